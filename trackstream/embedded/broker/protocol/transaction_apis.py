"""Layouts of the APIs of idempotent and transactional producers.

Source: https://github.com/apache/kafka/tree/trunk/clients/src/main/resources/common/message
"""

from trackstream.embedded.broker.protocol.api import Api
from trackstream.embedded.broker.protocol.wire import (
    BOOL,
    INT16,
    INT32,
    INT64,
    NULLABLE_STRING,
    STRING,
    Array,
    Field,
    Struct,
)

INIT_PRODUCER_ID = Api(
    key=22,
    name="InitProducerId",
    oldest=0,
    newest=4,
    flexible_since=2,
    request=Struct(
        Field("transactional_id", NULLABLE_STRING),
        Field("transaction_timeout_ms", INT32),
        Field("producer_id", INT64, since=3, default=-1),
        Field("producer_epoch", INT16, since=3, default=-1),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32),
        Field("error_code", INT16),
        Field("producer_id", INT64, default=-1),
        Field("producer_epoch", INT16, default=-1),
    ),
)

ADD_PARTITIONS_TO_TXN = Api(
    key=24,
    name="AddPartitionsToTxn",
    oldest=0,
    newest=3,
    flexible_since=3,
    request=Struct(
        Field("transactional_id", STRING),
        Field("producer_id", INT64),
        Field("producer_epoch", INT16),
        Field("topics", Array(Field("name", STRING), Field("partitions", Array(INT32)))),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("partitions", Array(Field("index", INT32), Field("error_code", INT16))),
            ),
        ),
    ),
)

ADD_OFFSETS_TO_TXN = Api(
    key=25,
    name="AddOffsetsToTxn",
    oldest=0,
    newest=3,
    flexible_since=3,
    request=Struct(
        Field("transactional_id", STRING),
        Field("producer_id", INT64),
        Field("producer_epoch", INT16),
        Field("group_id", STRING),
    ),
    response=Struct(Field("throttle_time_ms", INT32), Field("error_code", INT16)),
)

END_TXN = Api(
    key=26,
    name="EndTxn",
    oldest=0,
    newest=3,
    flexible_since=3,
    request=Struct(
        Field("transactional_id", STRING),
        Field("producer_id", INT64),
        Field("producer_epoch", INT16),
        Field("committed", BOOL),
    ),
    response=Struct(Field("throttle_time_ms", INT32), Field("error_code", INT16)),
)

TXN_OFFSET_COMMIT = Api(
    key=28,
    name="TxnOffsetCommit",
    oldest=0,
    newest=3,
    flexible_since=3,
    request=Struct(
        Field("transactional_id", STRING),
        Field("group_id", STRING),
        Field("producer_id", INT64),
        Field("producer_epoch", INT16),
        Field("generation_id", INT32, since=3, default=-1),
        Field("member_id", STRING, since=3),
        Field("group_instance_id", NULLABLE_STRING, since=3),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("offset", INT64),
                        Field("leader_epoch", INT32, since=2, default=-1),
                        Field("metadata", NULLABLE_STRING),
                    ),
                ),
            ),
        ),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("partitions", Array(Field("index", INT32), Field("error_code", INT16))),
            ),
        ),
    ),
)

APIS = (INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT)

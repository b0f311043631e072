"""Layouts of the APIs that move records: produce, fetch, offsets, metadata.

Source: https://github.com/apache/kafka/tree/trunk/clients/src/main/resources/common/message
"""

from trackstream.embedded.broker.protocol.api import Api
from trackstream.embedded.broker.protocol.wire import (
    BOOL,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_BYTES,
    NULLABLE_STRING,
    STRING,
    UUID,
    Array,
    Field,
    Struct,
)

NO_AUTHORIZED_OPERATIONS = -(2**31)
"""What brokers without authorisation answer for "authorised operations"."""

PRODUCE = Api(
    key=0,
    name="Produce",
    oldest=3,
    newest=9,
    flexible_since=9,
    # librdkafka concludes from missing versions 0-2 that the broker cannot take compressed
    # batches (KAFKA-18659); Apache Kafka 4 advertises them for the same reason.
    advertised_oldest=0,
    request=Struct(
        Field("transactional_id", NULLABLE_STRING),
        Field("acks", INT16),
        Field("timeout_ms", INT32),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("partitions", Array(Field("index", INT32), Field("records", NULLABLE_BYTES))),
            ),
        ),
    ),
    response=Struct(
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("error_code", INT16),
                        Field("base_offset", INT64, default=-1),
                        Field("log_append_time_ms", INT64, default=-1),
                        Field("log_start_offset", INT64, since=5, default=-1),
                        Field(
                            "record_errors",
                            Array(Field("batch_index", INT32), Field("message", NULLABLE_STRING)),
                            since=8,
                        ),
                        Field("error_message", NULLABLE_STRING, since=8),
                    ),
                ),
            ),
        ),
        Field("throttle_time_ms", INT32),
    ),
)

FETCH = Api(
    key=1,
    name="Fetch",
    oldest=4,
    newest=12,
    flexible_since=12,
    request=Struct(
        Field("replica_id", INT32),
        Field("max_wait_ms", INT32),
        Field("min_bytes", INT32),
        Field("max_bytes", INT32),
        Field("isolation_level", INT8),
        Field("session_id", INT32, since=7),
        Field("session_epoch", INT32, since=7, default=-1),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("current_leader_epoch", INT32, since=9, default=-1),
                        Field("fetch_offset", INT64),
                        Field("last_fetched_epoch", INT32, since=12, default=-1),
                        Field("log_start_offset", INT64, since=5, default=-1),
                        Field("max_bytes", INT32),
                    ),
                ),
            ),
        ),
        Field(
            "forgotten_topics",
            Array(Field("name", STRING), Field("partitions", Array(INT32))),
            since=7,
        ),
        Field("rack_id", STRING, since=11),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32),
        Field("error_code", INT16, since=7),
        Field("session_id", INT32, since=7),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("error_code", INT16),
                        Field("high_watermark", INT64, default=-1),
                        Field("last_stable_offset", INT64, default=-1),
                        Field("log_start_offset", INT64, since=5, default=-1),
                        Field(
                            "aborted_transactions",
                            Array(
                                Field("producer_id", INT64),
                                Field("first_offset", INT64),
                                nullable=True,
                            ),
                        ),
                        Field("preferred_read_replica", INT32, since=11, default=-1),
                        Field("records", NULLABLE_BYTES, default=b""),
                    ),
                ),
            ),
        ),
    ),
)

LIST_OFFSETS = Api(
    key=2,
    name="ListOffsets",
    oldest=1,
    newest=7,
    flexible_since=6,
    request=Struct(
        Field("replica_id", INT32),
        Field("isolation_level", INT8, since=2),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("current_leader_epoch", INT32, since=4, default=-1),
                        Field("timestamp", INT64),
                    ),
                ),
            ),
        ),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=2),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("error_code", INT16),
                        Field("timestamp", INT64, default=-1),
                        Field("offset", INT64, default=-1),
                        Field("leader_epoch", INT32, since=4, default=-1),
                    ),
                ),
            ),
        ),
    ),
)

METADATA = Api(
    key=3,
    name="Metadata",
    oldest=0,
    newest=12,
    flexible_since=9,
    request=Struct(
        Field(
            "topics",
            Array(
                Field("topic_id", UUID, since=10),
                Field("name", NULLABLE_STRING),
                nullable=True,
            ),
        ),
        Field("allow_auto_topic_creation", BOOL, since=4, default=True),
        Field("include_cluster_authorized_operations", BOOL, since=8, until=10),
        Field("include_topic_authorized_operations", BOOL, since=8),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=3),
        Field(
            "brokers",
            Array(
                Field("node_id", INT32),
                Field("host", STRING),
                Field("port", INT32),
                Field("rack", NULLABLE_STRING, since=1),
            ),
        ),
        Field("cluster_id", NULLABLE_STRING, since=2),
        Field("controller_id", INT32, since=1),
        Field(
            "topics",
            Array(
                Field("error_code", INT16),
                Field("name", NULLABLE_STRING),
                Field("topic_id", UUID, since=10),
                Field("is_internal", BOOL, since=1),
                Field(
                    "partitions",
                    Array(
                        Field("error_code", INT16),
                        Field("index", INT32),
                        Field("leader_id", INT32),
                        Field("leader_epoch", INT32, since=7, default=-1),
                        Field("replica_nodes", Array(INT32)),
                        Field("isr_nodes", Array(INT32)),
                        Field("offline_replicas", Array(INT32), since=5),
                    ),
                ),
                Field("authorized_operations", INT32, since=8, default=NO_AUTHORIZED_OPERATIONS),
            ),
        ),
        Field(
            "cluster_authorized_operations",
            INT32,
            since=8,
            until=10,
            default=NO_AUTHORIZED_OPERATIONS,
        ),
    ),
)

API_VERSIONS = Api(
    key=18,
    name="ApiVersions",
    oldest=0,
    newest=3,
    flexible_since=3,
    request=Struct(
        Field("client_software_name", STRING, since=3),
        Field("client_software_version", STRING, since=3),
    ),
    response=Struct(
        Field("error_code", INT16),
        Field(
            "apis",
            Array(Field("key", INT16), Field("oldest", INT16), Field("newest", INT16)),
        ),
        Field("throttle_time_ms", INT32, since=1),
    ),
)

DELETE_RECORDS = Api(
    key=21,
    name="DeleteRecords",
    oldest=0,
    newest=2,
    flexible_since=2,
    request=Struct(
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("partitions", Array(Field("index", INT32), Field("offset", INT64))),
            ),
        ),
        Field("timeout_ms", INT32),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("low_watermark", INT64, default=-1),
                        Field("error_code", INT16),
                    ),
                ),
            ),
        ),
    ),
)

OFFSET_FOR_LEADER_EPOCH = Api(
    key=23,
    name="OffsetForLeaderEpoch",
    oldest=2,
    newest=4,
    flexible_since=4,
    request=Struct(
        Field("replica_id", INT32, since=3, default=-2),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("current_leader_epoch", INT32, default=-1),
                        Field("leader_epoch", INT32),
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
                Field(
                    "partitions",
                    Array(
                        Field("error_code", INT16),
                        Field("index", INT32),
                        Field("leader_epoch", INT32, default=-1),
                        Field("end_offset", INT64, default=-1),
                    ),
                ),
            ),
        ),
    ),
)

APIS = (
    PRODUCE,
    FETCH,
    LIST_OFFSETS,
    METADATA,
    API_VERSIONS,
    DELETE_RECORDS,
    OFFSET_FOR_LEADER_EPOCH,
)

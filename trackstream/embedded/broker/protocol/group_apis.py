"""Layouts of the APIs of consumer groups and their offsets.

Source: https://github.com/apache/kafka/tree/trunk/clients/src/main/resources/common/message
"""

from trackstream.embedded.broker.protocol.api import Api
from trackstream.embedded.broker.protocol.records_apis import NO_AUTHORIZED_OPERATIONS
from trackstream.embedded.broker.protocol.wire import (
    BOOL,
    BYTES,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_STRING,
    STRING,
    Array,
    Field,
    Struct,
)

_PARTITION_ERRORS = Array(
    Field("name", STRING),
    Field("partitions", Array(Field("index", INT32), Field("error_code", INT16))),
)

OFFSET_COMMIT = Api(
    key=8,
    name="OffsetCommit",
    oldest=2,
    newest=8,
    flexible_since=8,
    request=Struct(
        Field("group_id", STRING),
        Field("generation_id", INT32),
        Field("member_id", STRING),
        Field("group_instance_id", NULLABLE_STRING, since=7),
        Field("retention_time_ms", INT64, until=4, default=-1),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("offset", INT64),
                        Field("leader_epoch", INT32, since=6, default=-1),
                        Field("metadata", NULLABLE_STRING),
                    ),
                ),
            ),
        ),
    ),
    response=Struct(Field("throttle_time_ms", INT32, since=3), Field("topics", _PARTITION_ERRORS)),
)

OFFSET_FETCH = Api(
    key=9,
    name="OffsetFetch",
    oldest=1,
    newest=7,
    flexible_since=6,
    request=Struct(
        Field("group_id", STRING),
        Field(
            "topics",
            Array(Field("name", STRING), Field("partitions", Array(INT32)), nullable=True),
        ),
        Field("require_stable", BOOL, since=7),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=3),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field(
                    "partitions",
                    Array(
                        Field("index", INT32),
                        Field("offset", INT64, default=-1),
                        Field("leader_epoch", INT32, since=5, default=-1),
                        Field("metadata", NULLABLE_STRING, default=""),
                        Field("error_code", INT16),
                    ),
                ),
            ),
        ),
        Field("error_code", INT16, since=2),
    ),
)

FIND_COORDINATOR = Api(
    key=10,
    name="FindCoordinator",
    oldest=0,
    newest=3,
    flexible_since=3,
    request=Struct(Field("key", STRING), Field("key_type", INT8, since=1)),
    response=Struct(
        Field("throttle_time_ms", INT32, since=1),
        Field("error_code", INT16),
        Field("error_message", NULLABLE_STRING, since=1),
        Field("node_id", INT32, default=-1),
        Field("host", STRING),
        Field("port", INT32, default=-1),
    ),
)

JOIN_GROUP = Api(
    key=11,
    name="JoinGroup",
    oldest=0,
    newest=9,
    flexible_since=6,
    request=Struct(
        Field("group_id", STRING),
        Field("session_timeout_ms", INT32),
        Field("rebalance_timeout_ms", INT32, since=1, default=-1),
        Field("member_id", STRING),
        Field("group_instance_id", NULLABLE_STRING, since=5),
        Field("protocol_type", STRING),
        Field("protocols", Array(Field("name", STRING), Field("metadata", BYTES))),
        Field("reason", NULLABLE_STRING, since=8),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=2),
        Field("error_code", INT16),
        Field("generation_id", INT32, default=-1),
        Field("protocol_type", NULLABLE_STRING, since=7),
        Field("protocol_name", NULLABLE_STRING, default=""),
        Field("leader", STRING),
        Field("skip_assignment", BOOL, since=9),
        Field("member_id", STRING),
        Field(
            "members",
            Array(
                Field("member_id", STRING),
                Field("group_instance_id", NULLABLE_STRING, since=5),
                Field("metadata", BYTES),
            ),
        ),
    ),
)

HEARTBEAT = Api(
    key=12,
    name="Heartbeat",
    oldest=0,
    newest=4,
    flexible_since=4,
    request=Struct(
        Field("group_id", STRING),
        Field("generation_id", INT32),
        Field("member_id", STRING),
        Field("group_instance_id", NULLABLE_STRING, since=3),
    ),
    response=Struct(Field("throttle_time_ms", INT32, since=1), Field("error_code", INT16)),
)

LEAVE_GROUP = Api(
    key=13,
    name="LeaveGroup",
    oldest=0,
    newest=5,
    flexible_since=4,
    request=Struct(
        Field("group_id", STRING),
        Field("member_id", STRING, until=2),
        Field(
            "members",
            Array(
                Field("member_id", STRING),
                Field("group_instance_id", NULLABLE_STRING),
                Field("reason", NULLABLE_STRING, since=5),
            ),
            since=3,
        ),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=1),
        Field("error_code", INT16),
        Field(
            "members",
            Array(
                Field("member_id", STRING),
                Field("group_instance_id", NULLABLE_STRING),
                Field("error_code", INT16),
            ),
            since=3,
        ),
    ),
)

SYNC_GROUP = Api(
    key=14,
    name="SyncGroup",
    oldest=0,
    newest=5,
    flexible_since=4,
    request=Struct(
        Field("group_id", STRING),
        Field("generation_id", INT32),
        Field("member_id", STRING),
        Field("group_instance_id", NULLABLE_STRING, since=3),
        Field("protocol_type", NULLABLE_STRING, since=5),
        Field("protocol_name", NULLABLE_STRING, since=5),
        Field("assignments", Array(Field("member_id", STRING), Field("assignment", BYTES))),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=1),
        Field("error_code", INT16),
        Field("protocol_type", NULLABLE_STRING, since=5),
        Field("protocol_name", NULLABLE_STRING, since=5),
        Field("assignment", BYTES),
    ),
)

DESCRIBE_GROUPS = Api(
    key=15,
    name="DescribeGroups",
    oldest=0,
    newest=5,
    flexible_since=5,
    request=Struct(
        Field("groups", Array(STRING)),
        Field("include_authorized_operations", BOOL, since=3),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=1),
        Field(
            "groups",
            Array(
                Field("error_code", INT16),
                Field("group_id", STRING),
                Field("state", STRING),
                Field("protocol_type", STRING),
                Field("protocol_data", STRING),
                Field(
                    "members",
                    Array(
                        Field("member_id", STRING),
                        Field("group_instance_id", NULLABLE_STRING, since=4),
                        Field("client_id", STRING),
                        Field("client_host", STRING),
                        Field("metadata", BYTES),
                        Field("assignment", BYTES),
                    ),
                ),
                Field("authorized_operations", INT32, since=3, default=NO_AUTHORIZED_OPERATIONS),
            ),
        ),
    ),
)

LIST_GROUPS = Api(
    key=16,
    name="ListGroups",
    oldest=0,
    newest=5,
    flexible_since=3,
    request=Struct(
        Field("states_filter", Array(STRING), since=4),
        Field("types_filter", Array(STRING), since=5),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=1),
        Field("error_code", INT16),
        Field(
            "groups",
            Array(
                Field("group_id", STRING),
                Field("protocol_type", STRING),
                Field("state", STRING, since=4),
                Field("type", STRING, since=5),
            ),
        ),
    ),
)

DELETE_GROUPS = Api(
    key=42,
    name="DeleteGroups",
    oldest=0,
    newest=2,
    flexible_since=2,
    request=Struct(Field("groups", Array(STRING))),
    response=Struct(
        Field("throttle_time_ms", INT32),
        Field("results", Array(Field("group_id", STRING), Field("error_code", INT16))),
    ),
)

OFFSET_DELETE = Api(
    key=47,
    name="OffsetDelete",
    oldest=0,
    newest=0,
    request=Struct(
        Field("group_id", STRING),
        Field(
            "topics",
            Array(Field("name", STRING), Field("partitions", Array(Field("index", INT32)))),
        ),
    ),
    response=Struct(
        Field("error_code", INT16),
        Field("throttle_time_ms", INT32),
        Field("topics", _PARTITION_ERRORS),
    ),
)

APIS = (
    OFFSET_COMMIT,
    OFFSET_FETCH,
    FIND_COORDINATOR,
    JOIN_GROUP,
    HEARTBEAT,
    LEAVE_GROUP,
    SYNC_GROUP,
    DESCRIBE_GROUPS,
    LIST_GROUPS,
    DELETE_GROUPS,
    OFFSET_DELETE,
)

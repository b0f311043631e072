"""Layouts of the APIs that administer topics and configurations.

Source: https://github.com/apache/kafka/tree/trunk/clients/src/main/resources/common/message
"""

from trackstream.embedded.broker.protocol.api import Api
from trackstream.embedded.broker.protocol.wire import (
    BOOL,
    INT8,
    INT16,
    INT32,
    NULLABLE_STRING,
    STRING,
    UUID,
    Array,
    Field,
    Struct,
)

_RESOURCE_ERRORS = Array(
    Field("error_code", INT16),
    Field("error_message", NULLABLE_STRING),
    Field("resource_type", INT8),
    Field("resource_name", STRING),
)

CREATE_TOPICS = Api(
    key=19,
    name="CreateTopics",
    oldest=0,
    newest=7,
    flexible_since=5,
    request=Struct(
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("num_partitions", INT32),
                Field("replication_factor", INT16),
                Field(
                    "assignments",
                    Array(Field("index", INT32), Field("broker_ids", Array(INT32))),
                ),
                Field("configs", Array(Field("name", STRING), Field("value", NULLABLE_STRING))),
            ),
        ),
        Field("timeout_ms", INT32),
        Field("validate_only", BOOL, since=1),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32, since=2),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("topic_id", UUID, since=7),
                Field("error_code", INT16),
                Field("error_message", NULLABLE_STRING, since=1),
                Field("num_partitions", INT32, since=5, default=-1),
                Field("replication_factor", INT16, since=5, default=-1),
                Field(
                    "configs",
                    Array(
                        Field("name", STRING),
                        Field("value", NULLABLE_STRING),
                        Field("read_only", BOOL),
                        Field("source", INT8, default=-1),
                        Field("is_sensitive", BOOL),
                        nullable=True,
                    ),
                    since=5,
                ),
            ),
        ),
    ),
)

DELETE_TOPICS = Api(
    key=20,
    name="DeleteTopics",
    oldest=0,
    newest=5,
    flexible_since=4,
    request=Struct(Field("names", Array(STRING)), Field("timeout_ms", INT32)),
    response=Struct(
        Field("throttle_time_ms", INT32, since=1),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("error_code", INT16),
                Field("error_message", NULLABLE_STRING, since=5),
            ),
        ),
    ),
)

DESCRIBE_CONFIGS = Api(
    key=32,
    name="DescribeConfigs",
    oldest=0,
    newest=4,
    flexible_since=4,
    request=Struct(
        Field(
            "resources",
            Array(
                Field("resource_type", INT8),
                Field("resource_name", STRING),
                Field("names", Array(STRING, nullable=True)),
            ),
        ),
        Field("include_synonyms", BOOL, since=1),
        Field("include_documentation", BOOL, since=3),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32),
        Field(
            "resources",
            Array(
                Field("error_code", INT16),
                Field("error_message", NULLABLE_STRING),
                Field("resource_type", INT8),
                Field("resource_name", STRING),
                Field(
                    "configs",
                    Array(
                        Field("name", STRING),
                        Field("value", NULLABLE_STRING),
                        Field("read_only", BOOL),
                        Field("is_default", BOOL, until=0),
                        Field("source", INT8, since=1, default=-1),
                        Field("is_sensitive", BOOL),
                        Field(
                            "synonyms",
                            Array(
                                Field("name", STRING),
                                Field("value", NULLABLE_STRING),
                                Field("source", INT8),
                            ),
                            since=1,
                        ),
                        Field("type", INT8, since=3),
                        Field("documentation", NULLABLE_STRING, since=3),
                    ),
                ),
            ),
        ),
    ),
)

ALTER_CONFIGS = Api(
    key=33,
    name="AlterConfigs",
    oldest=0,
    newest=2,
    flexible_since=2,
    request=Struct(
        Field(
            "resources",
            Array(
                Field("resource_type", INT8),
                Field("resource_name", STRING),
                Field("configs", Array(Field("name", STRING), Field("value", NULLABLE_STRING))),
            ),
        ),
        Field("validate_only", BOOL),
    ),
    response=Struct(Field("throttle_time_ms", INT32), Field("resources", _RESOURCE_ERRORS)),
)

INCREMENTAL_ALTER_CONFIGS = Api(
    key=44,
    name="IncrementalAlterConfigs",
    oldest=0,
    newest=1,
    flexible_since=1,
    request=Struct(
        Field(
            "resources",
            Array(
                Field("resource_type", INT8),
                Field("resource_name", STRING),
                Field(
                    "configs",
                    Array(
                        Field("name", STRING),
                        Field("operation", INT8),
                        Field("value", NULLABLE_STRING),
                    ),
                ),
            ),
        ),
        Field("validate_only", BOOL),
    ),
    response=Struct(Field("throttle_time_ms", INT32), Field("resources", _RESOURCE_ERRORS)),
)

CREATE_PARTITIONS = Api(
    key=37,
    name="CreatePartitions",
    oldest=0,
    newest=3,
    flexible_since=2,
    request=Struct(
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("count", INT32),
                Field("assignments", Array(Field("broker_ids", Array(INT32)), nullable=True)),
            ),
        ),
        Field("timeout_ms", INT32),
        Field("validate_only", BOOL),
    ),
    response=Struct(
        Field("throttle_time_ms", INT32),
        Field(
            "topics",
            Array(
                Field("name", STRING),
                Field("error_code", INT16),
                Field("error_message", NULLABLE_STRING),
            ),
        ),
    ),
)

APIS = (
    CREATE_TOPICS,
    DELETE_TOPICS,
    DESCRIBE_CONFIGS,
    ALTER_CONFIGS,
    INCREMENTAL_ALTER_CONFIGS,
    CREATE_PARTITIONS,
)

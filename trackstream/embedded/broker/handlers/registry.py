"""Which function handles which API."""

from trackstream.embedded.broker.handlers import (
    cluster,
    configs,
    fetch,
    group_offsets,
    groups,
    positions,
    produce,
    topics,
    transactions,
)
from trackstream.embedded.broker.protocol import (
    admin_apis,
    group_apis,
    records_apis,
    transaction_apis,
)
from trackstream.embedded.broker.request import Handler

HANDLERS: dict[int, Handler] = {
    records_apis.PRODUCE.key: produce.produce,
    records_apis.FETCH.key: fetch.fetch,
    records_apis.LIST_OFFSETS.key: positions.list_offsets,
    records_apis.METADATA.key: cluster.metadata,
    records_apis.API_VERSIONS.key: cluster.api_versions,
    records_apis.DELETE_RECORDS.key: positions.delete_records,
    records_apis.OFFSET_FOR_LEADER_EPOCH.key: positions.offset_for_leader_epoch,
    group_apis.OFFSET_COMMIT.key: group_offsets.offset_commit,
    group_apis.OFFSET_FETCH.key: group_offsets.offset_fetch,
    group_apis.FIND_COORDINATOR.key: cluster.find_coordinator,
    group_apis.JOIN_GROUP.key: groups.join_group,
    group_apis.HEARTBEAT.key: groups.heartbeat,
    group_apis.LEAVE_GROUP.key: groups.leave_group,
    group_apis.SYNC_GROUP.key: groups.sync_group,
    group_apis.DESCRIBE_GROUPS.key: groups.describe_groups,
    group_apis.LIST_GROUPS.key: groups.list_groups,
    group_apis.DELETE_GROUPS.key: groups.delete_groups,
    group_apis.OFFSET_DELETE.key: group_offsets.offset_delete,
    transaction_apis.INIT_PRODUCER_ID.key: transactions.init_producer_id,
    transaction_apis.ADD_PARTITIONS_TO_TXN.key: transactions.add_partitions_to_txn,
    transaction_apis.ADD_OFFSETS_TO_TXN.key: transactions.add_offsets_to_txn,
    transaction_apis.END_TXN.key: transactions.end_txn,
    transaction_apis.TXN_OFFSET_COMMIT.key: transactions.txn_offset_commit,
    admin_apis.CREATE_TOPICS.key: topics.create_topics,
    admin_apis.DELETE_TOPICS.key: topics.delete_topics,
    admin_apis.CREATE_PARTITIONS.key: topics.create_partitions,
    admin_apis.DESCRIBE_CONFIGS.key: configs.describe_configs,
    admin_apis.ALTER_CONFIGS.key: configs.alter_configs,
    admin_apis.INCREMENTAL_ALTER_CONFIGS.key: configs.incremental_alter_configs,
}

"""All APIs that this broker speaks, by key."""

from trackstream.embedded.broker.protocol import (
    admin_apis,
    group_apis,
    records_apis,
    transaction_apis,
)
from trackstream.embedded.broker.protocol.api import Api
from trackstream.embedded.broker.protocol.errors import ErrorCode
from trackstream.embedded.broker.protocol.wire import Decoded

APIS: dict[int, Api] = {
    api.key: api
    for api in (
        *records_apis.APIS,
        *group_apis.APIS,
        *transaction_apis.APIS,
        *admin_apis.APIS,
    )
}


def api_versions(error: ErrorCode = ErrorCode.NONE) -> Decoded:
    """Return the body of an ApiVersions response."""
    return {
        "error_code": error,
        "apis": [
            {
                "key": api.key,
                "oldest": api.oldest if api.advertised_oldest is None else api.advertised_oldest,
                "newest": api.newest,
            }
            for api in sorted(APIS.values(), key=lambda api: api.key)
        ],
    }

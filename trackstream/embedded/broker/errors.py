"""Why the broker does not start."""


class BrokerStartError(Exception):
    """It cannot run with this data directory or address; the message says why and what to do."""

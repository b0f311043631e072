"""The whole way of an event, through real processes."""

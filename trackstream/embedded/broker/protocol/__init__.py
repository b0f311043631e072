"""Kafka's wire protocol: primitive types, message layouts per version, error codes."""

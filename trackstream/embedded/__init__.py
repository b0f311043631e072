"""Servers that `trackstream up` starts on one machine: a Kafka-protocol broker, PostgreSQL, Valkey."""

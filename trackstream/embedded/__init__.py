"""Servers that `trackstream up` starts on one machine: broker, PostgreSQL, Valkey."""

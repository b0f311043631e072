"""Tests of postbacks, on real servers: PostgreSQL, the broker, and a receiver on loopback."""

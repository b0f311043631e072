"""Bytes on disk: record batches, segments, partition logs, journals."""

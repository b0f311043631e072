"""Tests of the storage adapters, on real servers."""

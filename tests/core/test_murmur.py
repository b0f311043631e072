from __future__ import annotations

import aiokafka.partitioner
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.murmur import murmur2, partition_of


@given(st.binary(max_size=100))
def test_it_is_the_hash_of_kafkas_clients(key: bytes) -> None:
    assert murmur2(key) == aiokafka.partitioner.murmur2(key)


@pytest.mark.parametrize(
    ("key", "expected"),
    [(b"", 275646681), (b"21", -973932308), (b"foobar", -790332482), (b"abc", 479470107)],
)
def test_examples_of_kafkas_own_tests(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


@given(st.binary(max_size=60), st.integers(1, 64))
def test_a_partition_is_that_of_the_default_partitioner(key: bytes, partitions: int) -> None:
    every = list(range(partitions))
    expected = aiokafka.partitioner.DefaultPartitioner()(key, every, every)
    assert partition_of(key, partitions) == expected

"""kcat, a client written in C that people use from a shell."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.embedded.broker.conftest import Kafka

pytestmark = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")


def _kcat(kafka: Kafka, *arguments: str, stdin: str | None = None) -> str:
    command = ["kcat", "-b", kafka.bootstrap, *arguments]
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    return done.stdout


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4"])
def test_produce_and_consume(kafka: Kafka, codec: str) -> None:
    topic = kafka.new_topic()
    lines = "".join(f"key{number}:value{number}\n" for number in range(100))
    _kcat(kafka, "-P", "-t", topic, "-K", ":", "-z", codec, "-H", "h=1", stdin=lines)
    out = _kcat(kafka, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J")
    messages = [json.loads(line) for line in out.splitlines()]
    assert [message["payload"] for message in messages] == [f"value{n}" for n in range(100)]
    assert [message["key"] for message in messages] == [f"key{n}" for n in range(100)]
    assert messages[0]["headers"] == ["h", "1"]


def test_consume_as_a_group(kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=2)
    _kcat(kafka, "-P", "-t", topic, "-p", "1", stdin="a\nb\nc\n")
    group = kafka.new_name("group")
    arguments = ("-G", group, "-c", "3", "-X", "auto.offset.reset=earliest", "-q", topic)
    assert _kcat(kafka, *arguments).split() == ["a", "b", "c"]


def test_metadata(kafka: Kafka) -> None:
    topic = kafka.new_topic(partitions=3)
    listed = json.loads(_kcat(kafka, "-L", "-J", "-t", topic))
    assert [item["partition"] for item in listed["topics"][0]["partitions"]] == [0, 1, 2]


def test_offsets_by_time(kafka: Kafka) -> None:
    topic = kafka.new_topic()
    _kcat(kafka, "-P", "-t", topic, stdin="a\nb\n")
    assert "offset 2" in _kcat(kafka, "-Q", "-t", f"{topic}:0:-1")
    assert "offset 0" in _kcat(kafka, "-Q", "-t", f"{topic}:0:-2")
    assert "offset 0" in _kcat(kafka, "-Q", "-t", f"{topic}:0:1000")

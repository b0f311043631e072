"""Settings: the environment over a file over defaults, frozen; all errors at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trackstream.settings import Settings, SettingsError, documented

if TYPE_CHECKING:
    from pathlib import Path


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_text("topic_partitions = 4\nsession_gap_s = 60\nworker_collects = true\n")
    loaded = Settings.load(
        {"TRACKSTREAM_CONFIG": str(file), "TRACKSTREAM_SESSION_GAP_S": "90", "HOME": "/"}
    )
    assert (loaded.topic_partitions, loaded.session_gap_s, loaded.worker_collects) == (4, 90, True)
    assert loaded.collector_port == Settings().collector_port


def test_a_file_in_the_data_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "trackstream.toml").write_text("topic_partitions = 3\n")
    assert Settings.load({"TRACKSTREAM_DATA_DIR": str(tmp_path)}).topic_partitions == 3


def test_all_problems_are_told_at_once_each_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "some.toml"
    file.write_text('colour = "red"\n')
    with pytest.raises(SettingsError) as caught:
        Settings.load(
            {
                "TRACKSTREAM_CONFIG": str(file),
                "TRACKSTREAM_TOPIC_PARTITIONS": "none",
                "TRACKSTREAM_KAFKA_URL": "http://somewhere",
                "TRACKSTREAM_LOG_LEVEL": "loud",
                "TRACKSTREAM_WORKER_COLLECTS": "perhaps",
                "TRACKSTREAM_COLOUR": "red",
            }
        )
    told = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 6
    for name in (
        "colour is not",
        "TOPIC_PARTITIONS",
        "kafka://",
        "debug, info",
        "COLOUR",
        "true or",
    ):
        assert name in told


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        Settings.load({"TRACKSTREAM_CONFIG": str(tmp_path / "none.toml")})


def test_another_process_can_be_given_the_same_settings(tmp_path: Path) -> None:
    mine = Settings.load(
        {"TRACKSTREAM_KAFKA_URL": "kafka://h:1", "TRACKSTREAM_DATA_DIR": str(tmp_path)},
        worker_collects=True,
    )
    assert Settings.load(mine.environ()) == mine


def test_every_setting_says_what_it_is() -> None:
    for name, _, doc in documented():
        assert name.startswith("TRACKSTREAM_")
        assert len(doc) > 10, name


def test_a_number_that_is_none_is_told_in_words() -> None:
    with pytest.raises(SettingsError, match="whole number from 1 to 1024"):
        Settings.load({"TRACKSTREAM_TOPIC_PARTITIONS": "many"})

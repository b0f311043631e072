"""`trackstream postbacks …` on a real database and a real receiver."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.core.postbacks.samples import an_attribution
from tests.postbacks.conftest import MASTER_KEY, future_ms, now_ms
from trackstream.cli import main
from trackstream.core.postbacks.outcomes import Settled
from trackstream.postbacks.outbox import settle, take

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.postbacks.conftest import Outbox
    from tests.postbacks.receiver import Receiver


@pytest.fixture(autouse=True)
def environment(
    outbox: Outbox, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TRACKSTREAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKSTREAM_POSTGRES_URL", database_url)
    monkeypatch.setenv("TRACKSTREAM_MASTER_KEY", MASTER_KEY.hex())
    monkeypatch.setenv("TRACKSTREAM_APP_ID", "shop")
    return monkeypatch


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["postbacks", *arguments])


def rows(*arguments: str) -> list[dict[str, Any]]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_destination_is_created_listed_and_disabled() -> None:
    (made,) = rows(
        *("create", "Acme", "--url", "https://acme.example/{event}", "--network", "acme"),
        *("--method", "POST", "--body", '{"id": "{click_id}"}', "--sign", "--event", "install"),
    )
    assert made["secret"].startswith("whsec_")
    (listed,) = rows("list")
    assert "secret" not in listed
    assert (listed["network"], listed["events"], listed["signed"]) == ("acme", ["install"], True)
    assert run("disable", made["destination_id"]).exit_code == 0
    assert rows("list")[0]["disabled_at"]
    assert "Acme" in run("list").stdout


async def test_a_destination_of_rejections_is_created_and_tried(
    receiver: Receiver, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("TRACKSTREAM_POSTBACKS_ALLOW_PRIVATE", "true")
    url = receiver.url + "/?{click_id}&{rejection_reason}&{method}"
    (made,) = rows("create", "No", "--url", url, "--rejected")
    assert (made["rejected"], rows("list")[0]["rejected"]) == (True, True)
    (row,) = await asyncio.to_thread(rows, "test", made["destination_id"])
    assert row["url"] == receiver.url + "/?test-click&click_flooding&rejected"
    both = run("create", "No", "--url", url, "--rejected", "--organic")
    assert both.exit_code == 1
    assert "rejected: tells of touches" in both.stderr


def test_every_problem_of_a_template_is_told_at_once() -> None:
    result = run("create", "Acme", "--url", "ftp://acme.example/?{one}&{two}", "--body", "{")
    assert result.exit_code == 1
    told = result.stderr.splitlines()
    assert len(told) == 5
    assert all(line.startswith("trackstream: ") for line in told)
    assert rows("list") == []


async def test_a_test_postback_shows_what_was_sent_and_answered(
    receiver: Receiver, environment: pytest.MonkeyPatch
) -> None:
    (made,) = rows("create", "Acme", "--url", receiver.url + "/?{click_id}&{event}&{revenue}")
    refused = await asyncio.to_thread(run, "test", made["destination_id"])
    assert refused.exit_code == 1
    assert "TRACKSTREAM_POSTBACKS_ALLOW_PRIVATE" in refused.stderr
    environment.setenv("TRACKSTREAM_POSTBACKS_ALLOW_PRIVATE", "true")
    (row,) = await asyncio.to_thread(rows, "test", made["destination_id"], "--event", "purchase")
    assert row["outcome"] == "delivered"
    assert row["url"] == receiver.url + "/?test-click&purchase&1.99"
    assert [one.path for one in receiver.received] == ["/?test-click&purchase&1.99"]


def test_the_dead_are_listed_and_queued_again_by_hand(outbox: Outbox) -> None:
    its_id = outbox.destination().destination.destination_id
    outbox.queue(an_attribution(decided_at_ms=future_ms()))
    (taken,) = take(outbox.engine, {its_id: 1}, now_ms=now_ms(), lease_ms=60_000)
    assert rows("dead") == []
    assert "was not given up" in run("resend", taken.postback_id).stderr
    settle(outbox.engine, taken, Settled(state="dead", reason="HTTP 400"), now_ms=now_ms())
    (dead,) = rows("dead", "--destination", its_id)
    assert (dead["state"], dead["reason"], dead["tries"]) == ("dead", "HTTP 400", 1)
    assert run("resend").exit_code == 2
    assert "1 queued" in run("resend", taken.postback_id).stdout
    assert outbox.states() == ["due"]
    assert "0 queued" in run("resend", "--all-dead", its_id).stdout

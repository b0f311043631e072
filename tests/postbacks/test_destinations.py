from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from trackstream.core.postbacks.webhooks import secret_problem
from trackstream.postbacks.destinations import Destinations
from trackstream.storage.errors import InvalidValueError, MasterKeyError, NotFoundError
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.postbacks.conftest import Outbox


def test_what_was_created_is_listed(outbox: Outbox) -> None:
    first = outbox.destination(
        method="POST", body="{}", signed=True, events=("install", "purchase"), network="acme"
    )
    second = outbox.destination(organic=True, revisions="all", on_uncertain="resend")
    third = outbox.destination(rejected=True)
    assert outbox.destinations.list_all("shop") == [first, second, third]
    assert outbox.destinations.list_all("other") == []
    assert outbox.destinations.get(first.destination.destination_id) == first
    assert first.secret is not None
    assert secret_problem(first.secret) is None
    assert second.secret is None


def test_a_secret_is_sealed(outbox: Outbox, engine: Engine) -> None:
    listed = outbox.destination(method="POST", body="{}", signed=True)
    assert listed.secret is not None
    with engine.connect() as connection:
        sealed = connection.execute(text("SELECT sealed_secret FROM postback_destinations"))
        assert listed.secret.encode() not in bytes(sealed.scalar_one())
    others = Destinations(engine, MasterKey(b"x" * 32))
    with pytest.raises(MasterKeyError):
        others.list_all()
    assert others.active() == []


def test_all_problems_are_told_and_nothing_is_saved(outbox: Outbox) -> None:
    with pytest.raises(InvalidValueError) as caught:
        outbox.destination(url="https://{network}/?x={nope}", name="")
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(NotFoundError, match="no app other"):
        outbox.destination(app_id="other")
    assert outbox.destinations.list_all() == []


def test_a_disabled_one_is_not_active(outbox: Outbox) -> None:
    its_id = outbox.destination().destination.destination_id
    outbox.destinations.disable(its_id)
    disabled_at_ms = outbox.destinations.get(its_id).disabled_at_ms
    outbox.destinations.disable(its_id)
    assert disabled_at_ms is not None
    assert outbox.destinations.get(its_id).disabled_at_ms == disabled_at_ms
    assert outbox.destinations.active() == []
    with pytest.raises(NotFoundError, match="dst_none"):
        outbox.destinations.disable("dst_none")

"""Each attack on a signature is refused, by a check without which it would succeed."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.http.service import (
    NOW_MS,
    OTHER_KEY,
    READING_KEY,
    ROTATED_KEY,
    SERVER_KEY,
    Service,
    refused,
)
from trackstream.core import signing
from trackstream.http import ingest
from trackstream.storage.used import UsedOnce

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientResponse

    from trackstream.ports import Key

    Attack = Callable[[Service], Awaitable[ClientResponse]]
    Removal = Callable[[pytest.MonkeyPatch, Service], None]

NOW_S = NOW_MS // 1000
BODY = b'{"event":"view","user_id":"u1","timestamp":1752148800}'


async def send(
    service: Service,
    key: Key = SERVER_KEY,
    *,
    secret: str | None = None,
    signed: bytes = BODY,
    sent: bytes | None = None,
    at_s: int = NOW_S,
    cut: int = 0,
    nonce: str | None = None,
) -> ClientResponse:
    """Send a body with a signature, honest unless something is said.

    Args:
        service: where to.
        key: the one that is named.
        secret: what signs instead of the key's own.
        signed: what is signed.
        sent: what is sent instead.
        at_s: when it is signed.
        cut: how many characters of the signature are left off.
        nonce: a new one if none is given.
    """
    headers = signing.signed_headers(
        *(key.key_id, secret or key.secret or ""),
        method="POST",
        path="/v1/event",
        body=signed,
        now_s=at_s,
        nonce=secrets.token_hex(8) if nonce is None else nonce,
    )
    authorization = headers["Authorization"]
    headers["Authorization"] = authorization[: len(authorization) - cut]
    headers["Content-Type"] = "application/json"
    return await service.client.post(
        "/v1/event", data=signed if sent is None else sent, headers=headers
    )


async def replay(service: Service) -> ClientResponse:
    await send(service, nonce="n")
    return await send(service, nonce="n")


def comparing(how: Callable[[str, str], bool]) -> Removal:
    """A comparison of the expected signature with the given one that lets more pass."""

    def remove(monkeypatch: pytest.MonkeyPatch, _: Service) -> None:
        monkeypatch.setattr(signing, "hmac", SimpleNamespace(new=hmac.new, compare_digest=how))
        monkeypatch.setattr(signing, "_HEX", re.compile("[0-9a-f]*"))

    return remove


def bodies_unsigned(monkeypatch: pytest.MonkeyPatch, _: Service) -> None:
    def sign(secret: str, *, timestamp: str, nonce: str = "", **_: Any) -> str:
        message = f"{timestamp}.{nonce}".encode()
        return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()

    monkeypatch.setattr(signing, "sign", sign)


def uses_unnoted(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    async def first_use(_: str, __: int) -> bool:
        return True

    monkeypatch.setattr(service.cache, "first_use", first_use)


def any_age(monkeypatch: pytest.MonkeyPatch, _: Service) -> None:
    monkeypatch.setattr(signing, "MAX_SKEW_S", 10**9)


def any_app(monkeypatch: pytest.MonkeyPatch, _: Service) -> None:
    monkeypatch.setattr(ingest, "_check_app", lambda *_: None)


OF_SHOP = BODY.replace(b"{", b'{"app_id":"shop",')
ATTACKS: dict[str, tuple[Attack, int, str, Removal]] = {
    "forged": (
        lambda service: send(service, secret="guessed"),
        401,
        "bad_signature",
        comparing(lambda *_: True),
    ),
    "signed with another app's secret": (
        lambda service: send(service, secret=OTHER_KEY.secret),
        401,
        "bad_signature",
        comparing(lambda *_: True),
    ),
    "truncated": (
        lambda service: send(service, cut=1),
        401,
        "bad_signature",
        comparing(lambda expected, given: expected.startswith(given)),
    ),
    "with another body": (
        lambda service: send(service, sent=BODY.replace(b"u1", b"u2")),
        401,
        "bad_signature",
        bodies_unsigned,
    ),
    "replayed": (replay, 409, "replayed", uses_unnoted),
    "expired": (lambda service: send(service, at_s=NOW_S - 301), 401, "expired_signature", any_age),
    "early": (lambda service: send(service, at_s=NOW_S + 301), 401, "expired_signature", any_age),
    "for another app": (
        lambda service: send(service, OTHER_KEY, signed=OF_SHOP),
        403,
        "forbidden",
        any_app,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_fails_and_would_not_without_its_check(
    name: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack, status, reason, remove = ATTACKS[name]
    await refused(await attack(service), status, reason)
    remove(monkeypatch, service)
    assert (await attack(service)).status == 201


async def test_a_key_is_of_use_only_for_what_it_is_for(service: Service) -> None:
    await refused(await send(service, READING_KEY), 403, "forbidden")
    path = "/v1/attributions/x/explain"
    for key, status in ((READING_KEY, 503), (OTHER_KEY, 403)):  # 503: there is no database here
        headers = signing.signed_headers(
            *(key.key_id, key.secret or ""), method="GET", path=path, body=b"", now_s=NOW_S
        )
        assert (await service.client.get(path, headers=headers)).status == status


async def test_two_secrets_sign_until_the_older_one_ends(service: Service) -> None:
    for secret in ("n3w", "0ld"):
        sent = await send(service, ROTATED_KEY, secret=secret, nonce="n")
        assert sent.status == 201
    await refused(await send(service, ROTATED_KEY, secret="0ther"), 401, "bad_signature")
    again = await send(service, ROTATED_KEY, secret="0ld", nonce="n")
    await refused(again, 409, "replayed")
    service.now_ms += 60_000
    later_s = service.now_ms // 1000
    await refused(
        await send(service, ROTATED_KEY, secret="0ld", at_s=later_s), 401, "bad_signature"
    )
    assert (await send(service, ROTATED_KEY, secret="n3w", at_s=later_s)).status == 201


async def test_a_signature_is_remembered_for_longer_than_it_is_good(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the end of the last second: the timestamp has no fractions."""
    until_ms: dict[str, int] = {}

    async def first_use(name: str, ttl_s: int) -> bool:  # with an end as sharp as Redis' own
        is_first = until_ms.get(name, 0) <= service.now_ms
        until_ms.setdefault(name, service.now_ms + ttl_s * 1000)
        return is_first

    monkeypatch.setattr(service.cache, "first_use", first_use)
    answers = []
    for passed_s in (0.0, 300.0, 599.9, 600.0, 600.6, 600.999, 601.0):
        service.now_ms = NOW_MS + int(passed_s * 1000)
        answers.append((await send(service, at_s=NOW_S + 300, nonce="n")).status)
    assert answers == [201, *[409] * 5, 401]


async def test_what_may_have_been_used_is_not_taken(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.cache, "_nonces", UsedOnce(1))
    assert (await send(service)).status == 201
    for _ in range(2):
        response = await send(service, nonce="n")
        assert "Retry-After" in response.headers
        await refused(response, 503, "unavailable")

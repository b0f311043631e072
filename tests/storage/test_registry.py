from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from trackstream.ports import App
from trackstream.storage.database import make_engine
from trackstream.storage.errors import (
    AlreadyExistsError,
    InvalidValueError,
    MasterKeyError,
    NotFoundError,
    StorageUnavailableError,
)
from trackstream.storage.registry import Registry
from trackstream.storage.sealing import MasterKey

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trackstream.ports import TrackingLink


@pytest.fixture
def app(registry: Registry) -> App:
    return registry.create_app("shop", "The shop")


def _link(registry: Registry, **other: Any) -> TrackingLink:
    values = {"app_id": "shop", "campaign_id": "cmp001", "web_url": "https://shop.example/x"}
    return registry.create_link(**{**values, **other})


def test_apps_are_created_once(registry: Registry, app: App) -> None:
    registry.create_app("other")
    assert registry.list_apps() == [App(app_id="other", name="other"), app]
    with pytest.raises(AlreadyExistsError, match="shop"):
        registry.create_app("shop")


@pytest.mark.parametrize("name", ["campaign_id", "campaign", "channel", "network", "ad_group"])
@pytest.mark.parametrize("text", ["x" * 257, "a\nb", "a\x1b[2Jb", "a\x85b", "a\u2028b"])
def test_a_name_that_breaks_rows_or_lines_is_refused(
    registry: Registry, app: App, name: str, text: str
) -> None:
    with pytest.raises(InvalidValueError, match=f"{name.replace('_', ' ')} .*takes 1 to 256"):
        _link(registry, **{name: text})
    assert registry.list_links() == []


def test_a_name_may_be_long_and_of_any_script(registry: Registry, app: App) -> None:
    for name in ("x" * 256, "春の sale · 50 %"):
        assert _link(registry, campaign_id=name, network=name).campaign_id == name


@pytest.mark.parametrize("app_id", ["", "a|b", "a b", "-a", "x" * 65, "ä"])
def test_an_app_id_that_would_break_keys_is_refused(registry: Registry, app_id: str) -> None:
    with pytest.raises(InvalidValueError, match="app id"):
        registry.create_app(app_id)


def test_a_server_key_has_a_secret_that_the_database_does_not_show(
    registry: Registry, app: App, engine: Engine
) -> None:
    key = registry.create_key(app.app_id, "server")
    assert key.secret is not None
    assert len(key.secret) >= 40
    assert registry.get_key(key.key_id) == key
    with engine.connect() as connection:
        sealed = connection.execute(text("SELECT sealed_secret FROM api_keys")).scalar_one()
    assert key.secret.encode() not in bytes(sealed)
    with pytest.raises(MasterKeyError):
        Registry(engine, MasterKey(b"x" * 32)).get_key(key.key_id)


def test_a_write_key_has_origins_and_no_secret(registry: Registry, app: App) -> None:
    key = registry.create_key(app.app_id, "write", origins=("https://Shop.example:8443/",))
    assert (key.secret, key.origins) == (None, ("https://shop.example:8443",))
    assert registry.get_key(key.key_id) == key


def test_keys_are_listed_without_secrets_and_revoked_for_good(registry: Registry, app: App) -> None:
    first = registry.create_key(app.app_id, "server")
    second = registry.create_key(app.app_id, "write")
    registry.create_app("other")
    registry.create_key("other", "write")
    registry.revoke_key(first.key_id)
    registry.revoke_key(first.key_id)
    listed = registry.list_keys(app.app_id)
    assert [one.key_id for one in listed] == [first.key_id, second.key_id]
    assert [one.revoked_at_ms is None for one in listed] == [False, True]
    assert len(registry.list_keys()) == 3
    with pytest.raises(NotFoundError):
        registry.get_key(first.key_id)
    with pytest.raises(NotFoundError):
        registry.revoke_key("srv_none")


def test_keys_have_scopes_and_only_those_that_a_signature_guards(
    registry: Registry, app: App
) -> None:
    assert registry.create_key(app.app_id, "server").scopes == ("ingest", "read")
    assert registry.create_key(app.app_id, "write").scopes == ("ingest",)
    key = registry.create_key(app.app_id, "server", scopes=("erase", "read", "read"))
    assert registry.get_key(key.key_id).scopes == key.scopes == ("read", "erase")
    assert registry.list_keys()[-1].scopes == ("read", "erase")
    with pytest.raises(InvalidValueError, match="scope 'read'"):
        registry.create_key(app.app_id, "write", scopes=("read",))
    with pytest.raises(InvalidValueError, match="scope 'all'"):
        registry.create_key(app.app_id, "server", scopes=("all",))


@pytest.mark.parametrize("grace_s", [None, 3600])
def test_a_rotated_key_has_two_secrets_until_the_old_one_is_retired(
    registry: Registry, app: App, grace_s: int | None
) -> None:
    old = registry.create_key(app.app_id, "server")
    new = registry.rotate_key(old.key_id, grace_s=grace_s)
    assert new.secret not in {None, old.secret}
    (listed,) = registry.list_keys()
    assert listed.rotated_at_ms is not None
    assert listed.previous
    now_ms = listed.rotated_at_ms
    assert new.secrets_at(now_ms) == (new.secret, old.secret)
    late_ms = now_ms + 3_600_000
    assert new.secrets_at(late_ms - 1) == (new.secret, old.secret)
    assert new.secrets_at(late_ms) == ((new.secret,) if grace_s else (new.secret, old.secret))
    with pytest.raises(InvalidValueError, match="two secrets"):
        registry.rotate_key(old.key_id)
    registry.retire_key(old.key_id)
    registry.retire_key(old.key_id)
    assert registry.get_key(old.key_id).secrets_at(now_ms) == (new.secret,)
    assert not registry.list_keys()[0].previous


def test_after_its_grace_a_key_can_be_rotated_again(registry: Registry, app: App) -> None:
    key = registry.create_key(app.app_id, "server")
    second = registry.rotate_key(key.key_id, grace_s=0)
    third = registry.rotate_key(key.key_id, grace_s=9)
    assert third.previous_secret == second.secret


def test_only_a_key_in_use_that_has_a_secret_is_rotated(registry: Registry, app: App) -> None:
    write, server = (registry.create_key(app.app_id, kind) for kind in ("write", "server"))
    with pytest.raises(InvalidValueError, match="no secret"):
        registry.rotate_key(write.key_id)
    registry.revoke_key(server.key_id)
    for change in (registry.rotate_key, registry.retire_key):
        with pytest.raises(NotFoundError):
            change("srv_none")
    with pytest.raises(NotFoundError):
        registry.rotate_key(server.key_id)


def test_a_key_needs_its_app_a_known_kind_and_origins_that_are_some(
    registry: Registry, app: App
) -> None:
    with pytest.raises(NotFoundError, match="no app nobody"):
        registry.create_key("nobody", "server")
    with pytest.raises(InvalidValueError, match="kind"):
        registry.create_key(app.app_id, "admin")
    with pytest.raises(InvalidValueError, match="origins"):
        registry.create_key(app.app_id, "server", origins=("https://a.example",))
    for origin in ("shop.example", "https://a.example/path", "https://u@a.example", "*"):
        with pytest.raises(InvalidValueError, match="origin"):
            registry.create_key(app.app_id, "write", origins=(origin,))


@pytest.mark.usefixtures("app")
def test_links_keep_all_that_they_are_given(registry: Registry) -> None:
    link = _link(
        registry,
        slug="summer_25",
        campaign="Summer",
        channel="email",
        network="own",
        ad_group="a",
        android_url="market://details?id=com.shop",
        ios_url="itms-apps://apps.apple.com/app/id1",
        deep_link="shop://sale?x={click_id}",
        expires_at_ms=1_752_148_800_123,
        overridable=["ad_group", "channel"],
    )
    assert registry.list_links("shop") == [link]
    assert link.overridable == ("channel", "ad_group")
    assert link.expires_at_ms == 1_752_148_800_123
    assert registry.list_links("other") == []


@pytest.mark.usefixtures("app")
def test_a_click_may_name_nothing_that_a_link_has_not(registry: Registry) -> None:
    assert _link(registry).overridable == ()
    with pytest.raises(InvalidValueError, match=r"overridable 'web_url': takes channel, network"):
        _link(registry, overridable=["web_url", "channel"])


@pytest.mark.usefixtures("app")
def test_slugs_are_given_or_not_to_be_guessed_and_unique(registry: Registry) -> None:
    slugs = {_link(registry).slug for _ in range(20)}
    assert len(slugs) == 20
    assert all(8 <= len(slug) <= 16 for slug in slugs)
    _link(registry, slug="mine")
    with pytest.raises(AlreadyExistsError, match="mine"):
        _link(registry, slug="mine")
    for slug in ("", "a/b", "a b", "x" * 65):
        with pytest.raises(InvalidValueError, match="slug"):
            _link(registry, slug=slug)
    with pytest.raises(NotFoundError, match="no app nobody"):
        _link(registry, app_id="nobody")
    with pytest.raises(InvalidValueError, match="campaign id"):
        _link(registry, campaign_id="")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("web_url", "javascript:alert(1)"),
        ("web_url", "market://details?id=x"),
        ("web_url", "//evil.example"),
        ("web_url", "/relative"),
        ("web_url", "https://"),
        ("web_url", "https://a.example/\r\nSet-Cookie: x=1"),
        ("web_url", "https://a.example/a b"),
        ("web_url", "https://a.example:port/"),
        ("web_url", "https://a.example/" + "x" * 2048),
        ("android_url", "data:text/html,x"),
        ("ios_url", "JavaScript:alert(1)"),
        ("deep_link", "file:///etc/passwd"),
        ("deep_link", "no scheme"),
        ("deep_link", "shop:"),
    ],
)
@pytest.mark.usefixtures("app")
def test_a_click_is_sent_nowhere_dangerous(registry: Registry, name: str, url: str) -> None:
    with pytest.raises(InvalidValueError, match=name.replace("_", " ")):
        _link(registry, **{name: url})
    assert registry.list_links() == []


def test_a_server_that_is_away_is_unavailable(master_key: MasterKey) -> None:
    engine = make_engine("postgresql://u@127.0.0.1:1/d")
    with pytest.raises(StorageUnavailableError, match="PostgreSQL"):
        Registry(engine, master_key).list_apps()

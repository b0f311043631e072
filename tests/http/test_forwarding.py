from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from trackstream.http.forwarding import Origin, origin_of
from trackstream.http.networks import Networks, address_of
from trackstream.http.problems import Refusal

TRUSTED = Networks("10.0.0.0/8,2001:db8:1::/48,127.0.0.1")


def seen(header: str, *values: tuple[str, str], peer: str = "10.0.0.1") -> Origin | Refusal | None:
    request = make_mocked_request("GET", "/", headers=CIMultiDict(values)).clone(remote=peer)
    return origin_of(request, trusted=TRUSTED, header=header)


@pytest.mark.parametrize(
    ("claimed", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("6.6.6.6,203.0.113.9:4711 ,10.9.9.9", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 2001:db8:1::5", "6.6.6.6"),
        ("10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("nonsense, 203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("6.6.6.6, unknown", "10.0.0.1"),
        ("6.6.6.6, Unknown , 10.2.2.2", "10.2.2.2"),
        ("6.6.6.6, 203.0.113.9, ,", "203.0.113.9"),
        ("", "10.0.0.1"),
    ],
)
def test_the_client_is_the_right_most_that_is_no_proxy_of_ours(claimed: str, address: str) -> None:
    assert seen("x-forwarded-for", ("X-Forwarded-For", claimed)) == Origin(address)


def test_several_headers_are_one_list() -> None:
    lines = [("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-For", "10.9.9.9")]
    assert seen("x-forwarded-for", *lines) == Origin("203.0.113.9")


def test_scheme_and_host_are_what_the_nearest_proxy_says() -> None:
    origin = seen(
        "x-forwarded-for",
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "http, HTTPS"),
        ("X-Forwarded-Host", "evil.example/\\, go.example:8443"),
    )
    assert origin == Origin("203.0.113.9", "https", "go.example:8443")
    odd = [("X-Forwarded-Proto", "javascript"), ("X-Forwarded-Host", "a b")]
    assert seen("x-forwarded-for", *odd) == Origin("10.0.0.1")


@pytest.mark.parametrize(
    ("claimed", "origin"),
    [
        ("for=203.0.113.9", Origin("203.0.113.9")),
        ('For="[2001:db8::7]:4711";proto=https;host=a.b', Origin("2001:db8::7", "https", "a.b")),
        ('for=6.6.6.6, for="1.2.3.4:80";proto=https ,for=10.9.9.9', Origin("1.2.3.4", "https")),
        ('for="a\\", for=6.6.6.6", for=203.0.113.9', Origin("203.0.113.9")),
        ("for=6.6.6.6, for=_hidden", Origin("10.0.0.1")),
        ("for=6.6.6.6, for=unknown, for=10.9.9.9", Origin("10.9.9.9")),
        ("x, for=6.6.6.6", Origin("6.6.6.6")),
        ('for=", for=6.6.6.6', Origin("6.6.6.6")),
        ('a="\\, for="6.6.6.6:_x"', Origin("6.6.6.6")),
        ('a="b", for="[::ffff:102:304]:80" ; by=_a;', Origin("1.2.3.4")),
        ("for=6.6.6.6; broken, for=203.0.113.9,, ", Origin("203.0.113.9")),
        ("for=6.6.6.6:80", Origin("6.6.6.6")),
        ("proto=https", Origin("10.0.0.1")),
        ("", Origin("10.0.0.1")),
    ],
)  # fmt: skip
def test_forwarded_is_read_as_rfc_7239_has_it(claimed: str, origin: Origin) -> None:
    assert seen("forwarded", ("Forwarded", claimed)) == origin


@pytest.mark.parametrize(
    "claimed",
    ["x", 'for="', "for=6.6.6.6; broken", "for=6.6.6.6, for=x", "for=6.6.6.6, x, for=10.9.9.9",
     "for=6.6.6.6;for=7.7.7.7", "for=6.6.6.6, for=", "for=a b", "for=6.6.6.6 proto=http",
     'for=6.6.6.6, for="10.9.9.9""'],
)  # fmt: skip
def test_what_a_proxy_should_have_written_has_to_be_readable(claimed: str) -> None:
    found = seen("forwarded", ("Forwarded", claimed))
    assert isinstance(found, Refusal)
    assert found.reason == "malformed_request"


@pytest.mark.parametrize(
    "claimed", ["nonsense", "6.6.6.6, nonsense, 10.2.2.2", "6.6.6.6, 1.2.3", "6.6.6.6, 7.7.7.7 x"]
)
def test_an_address_that_a_proxy_should_have_written_has_to_be_one(claimed: str) -> None:
    assert isinstance(seen("x-forwarded-for", ("X-Forwarded-For", claimed)), Refusal)


def test_what_clients_put_before_a_proxys_field_hides_nothing() -> None:
    for odd in ("x", 'for="', 'for="a', "\\", '"', ",", "for=1.1.1.1;", 'a="\\"'):
        lines = [("Forwarded", odd), ("Forwarded", "for=6.6.6.6"), ("Forwarded", "for=10.9.9.9")]
        assert seen("forwarded", *lines) == Origin("6.6.6.6")
        joined = ", ".join(value for _, value in lines)
        assert seen("forwarded", ("Forwarded", joined)) == Origin("6.6.6.6"), odd
        lines = [("X-Forwarded-For", odd), ("X-Forwarded-For", "6.6.6.6, 10.9.9.9")]
        assert seen("x-forwarded-for", *lines) == Origin("6.6.6.6")


def test_who_is_no_proxy_of_ours_is_believed_nothing() -> None:
    claims = [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6")]
    for header in ("x-forwarded-for", "forwarded"):
        assert seen(header, *claims, peer="203.0.113.9") is None
        assert seen(header, *claims, peer="") is None


def test_only_the_header_that_the_proxies_write_is_read() -> None:
    assert seen("x-forwarded-for", ("Forwarded", "for=6.6.6.6")) == Origin("10.0.0.1")
    assert seen("forwarded", ("X-Forwarded-For", "6.6.6.6")) == Origin("10.0.0.1")


@pytest.mark.parametrize(
    ("text", "address"),
    [("::FFFF:1.2.3.4", "1.2.3.4"), ("::ffff:1.2.3.4", "1.2.3.4"), ("fe80::1%eth0", "fe80::1"),
     ("::ffff:102:304", "1.2.3.4"), ("0:0:0:0:0:FFFF:0102:0304", "1.2.3.4"), ("1.2.3", None),
     ("", None), ("2001:DB8::0", "2001:db8::")],
)  # fmt: skip
def test_an_address_has_one_form(text: str, address: str | None) -> None:
    assert address_of(text) == address


def test_networks_hold_their_addresses() -> None:
    for address in ("10.255.0.1", "2001:db8:1:9::1", "::ffff:10.0.0.1", "::ffff:a00:1"):
        assert address in TRUSTED
    for other in ("11.0.0.1", "2001:db8:2::1", "nonsense", None):
        assert other not in TRUSTED
    assert not Networks("")
    assert "10.0.0.1" not in Networks("")


def test_networks_of_mapped_addresses_are_those_of_ipv4() -> None:
    mapped = Networks("::ffff:6.6.6.0/120,::ffff:707:707")
    for address in ("6.6.6.9", "::ffff:6.6.6.9", "::ffff:606:609", "7.7.7.7"):
        assert address in mapped
    for other in ("6.6.7.1", "7.7.7.8", "::ffff:607:1", "::606:609"):
        assert other not in mapped

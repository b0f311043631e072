from ipaddress import ip_address, ip_network

import pytest

from trackstream.core.addresses import address_of, network_of


def test_ipv4_inside_ipv6_is_ipv4_however_it_is_written() -> None:
    for text in ("6.6.6.6", "::ffff:6.6.6.6", "::FFFF:606:606", "0:0:0:0:0:ffff:0606:0606"):
        assert address_of(text) == ip_address("6.6.6.6")
        assert network_of(text) == ip_network("6.6.6.6/32")


def test_networks_inside_ipv6_are_those_of_ipv4() -> None:
    assert network_of("::ffff:6.6.6.0/120") == ip_network("6.6.6.0/24")
    assert network_of("::ffff:0:0/96") == ip_network("0.0.0.0/0")
    assert network_of("::ffff:606:606/120", strict=False) == ip_network("6.6.6.0/24")
    assert network_of("::/0") == ip_network("::/0")
    assert network_of("2001:db8::/32") == ip_network("2001:db8::/32")


@pytest.mark.parametrize("text", ["", "x", "6.6.6.6/24", "::ffff:6.6.6.6/120", "1.2.3/8"])
def test_what_is_no_network_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        network_of(text)

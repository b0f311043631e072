from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.postbacks.addresses import address_problem


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.2.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:168.63.129.16",
        "64:ff9b::7f00:1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "2001:0:4136:e378:8000:63bf:f7f7:f7f7",  # Teredo of 8.8.8.8
        "64:ff9b:1::7f00:1",
        "64:ff9b:1::808:808",
        "64:ff9b::1:7f00:1",
        "fec0::1",
        "feff::1",
        "::7f00:1",
        "::808:808",
        "1fff::1",
        "4000::1",
        "5f00::1",
        "3fff::1",
        "3fff:fff::1",
        "100::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2002:a83f:8110::",
        "2130706433",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "localhost",
        "",
    ],
)
def test_no_postback_goes_there(address: str) -> None:
    assert address_problem(address)


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
        *("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:80b::200e"),
        *("2c0f:fb50:4002::1", "240e::1", "3ffe:ffff::1"),
    ],
)
def test_public_addresses_are_fine(address: str) -> None:
    assert address_problem(address) is None


@given(st.ip_addresses(v=4))
def test_an_address_inside_ipv6_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    refused = address_problem(str(address)) is not None
    number = int(address)
    for carried in (
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ):
        assert (address_problem(str(carried)) is not None) == refused, carried

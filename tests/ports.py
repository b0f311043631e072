"""Ports for servers that are started some seconds after their port was chosen."""

from __future__ import annotations

import socket
from pathlib import Path
from random import SystemRandom

_RANDOM = SystemRandom()
"""Not the shared one, which is seeded alike for each test in each of the test processes."""
_LOWEST = 10_000


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, and which nobody is given by the kernel.

    The kernel gives the ports of its own range to whoever connects somewhere or asks for any port,
    which tests do all the time; so this one is below that range.
    """
    while True:
        port = _RANDOM.randrange(_LOWEST, _kernels_lowest())
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def _kernels_lowest() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii")
    except OSError:
        return 32_768
    return max(_LOWEST + 1_000, int(text.split()[0]))

"""Where a server of ours cannot listen, in words that name the setting."""

from __future__ import annotations

import errno

__all__ = ["cannot_listen", "is_about_the_port"]


def is_about_the_port(error: OSError) -> bool:
    """Whether another port may help: this one is taken, or not ours to take."""
    return error.errno in {errno.EADDRINUSE, errno.EACCES}


def cannot_listen(part: str, host: str, port: int, error: OSError) -> str:
    """Why a part (`collector`, `worker`) cannot listen there, after the setting that is to change.

    That is its host, where the address is none of this machine's, or no address.
    """
    setting = "PORT" if is_about_the_port(error) else "HOST"
    return f"TRACKSTREAM_{part.upper()}_{setting}: cannot listen on {host}:{port}: {error.strerror}"

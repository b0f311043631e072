from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.certificates import write_certificate
from tests.http.doors import door, told
from tests.http.served import running
from tests.waiting import PATIENCE_S
from trackstream.http.server import serve
from trackstream.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from trackstream.ports import Key
    from trackstream.storage.user_agents import UaParser


async def handshake(settings: Settings, latest: ssl.TLSVersion | None = None) -> tuple[str, str]:
    """The name in the certificate that is shown, and the protocol."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if latest is not None:
        context.maximum_version = latest
    _, writer = await asyncio.open_connection("127.0.0.1", settings.collector_port, ssl=context)
    tls = writer.get_extra_info("ssl_object")
    shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
    writer.close()
    [name] = shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value), tls.version()


async def until_shown(settings: Settings, name: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if (await handshake(settings))[0] == name:
                    return
            except ConnectionError:
                pass
            await asyncio.sleep(0.1)


@pytest.mark.xdist_group("collector")
async def test_https_takes_up_a_new_certificate_and_no_broken_one(
    settings: Settings, key: Key, tmp_path: Path
) -> None:
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    write_certificate(chain, private, "first")
    settings = replace(settings, tls_certificate=chain, tls_key=private)
    with running(settings):
        await until_shown(settings, "first")
        assert (await handshake(settings))[1] == "TLSv1.3"
        assert (await handshake(settings, ssl.TLSVersion.TLSv1_2))[1] == "TLSv1.2"
        chain.write_text("half a certif")
        await asyncio.sleep(2.5)
        await until_shown(settings, "first")
        write_certificate(chain, private, "second")
        await until_shown(settings, "second")
        reader, writer = await asyncio.open_connection("127.0.0.1", settings.collector_port)
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200" not in await reader.read()
        writer.close()


def test_a_certificate_that_cannot_be_used_names_its_settings(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    for name in ("bad.pem", "absent.pem"):
        with pytest.raises(SettingsError, match="TRACKSTREAM_TLS_CERTIFICATE"):
            serve(Settings(tls_certificate=tmp_path / name))


async def test_connections_that_only_shake_hands_count_and_end(
    user_agents: UaParser, tmp_path: Path
) -> None:
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    write_certificate(chain, private, "a")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    ask = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    async with door(user_agents, tls=context, max_connections=10, idle_timeout_s=3) as port:
        assert (await told(port, ask, tls=trusting)).startswith(b"HTTP/1.1 200 ")
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(90)]
        # 10 wait for a handshake and 64 to be told that there are too many
        closed = [asyncio.create_task(reader.read()) for reader, _ in silent]
        async with asyncio.timeout(PATIENCE_S):
            while sum(one.done() for one in closed) < 16:  # noqa: ASYNC110 - of many tasks
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert [one.done() for one in closed].count(False) == 74
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*closed, return_exceptions=True)
        for _, writer in silent:
            writer.close()

        late = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        assert (await told(port, ask, tls=trusting)).startswith(b"HTTP/1.1 503 ")
        for _, writer in late:
            writer.write(b"no TLS at all, and no secret")
            writer.close()
        async with asyncio.timeout(PATIENCE_S):
            while not (await told(port, ask, tls=trusting)).startswith(  # noqa: ASYNC110 - of which nobody here hears
                b"HTTP/1.1 200 "
            ):
                await asyncio.sleep(0.05)

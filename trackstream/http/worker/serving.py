"""The worker's web server: Faust's, with our bounds, our answers and our door."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from aiohttp import web
from faust.web.drivers import aiohttp as driver

from trackstream.http.addresses import cannot_listen
from trackstream.http.collector import problems
from trackstream.http.listening import ABORT_S, Listening
from trackstream.http.metrics import Counter, counter_text
from trackstream.http.operators import is_loopback
from trackstream.http.worker.access import Access
from trackstream.settings import SettingsError

if TYPE_CHECKING:
    from faust.types import AppT

    from trackstream.settings import Settings

__all__ = ["WorkerWeb", "listen"]


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there for the worker.

    Raises:
        SettingsError: It cannot; the message names the setting.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError([cannot_listen("worker", host, port, error)]) from error


class WorkerWeb(driver.Web):
    """Faust's web server.

    Its own pages are off, or behind the same door as the rest: every path but health.
    """

    def __init__(self, app: AppT, settings: Settings) -> None:
        super().__init__(app)
        self._settings = settings
        self.refusals = Counter(
            "trackstream_web_refusals_total",
            "Requests to the worker's web server refused, by reason.",
            ("reason", "status"),
        )
        self.access = Access(settings, exposed=self.is_exposed, refused=self.refused)
        self.web_app.middlewares.extend([problems(self.refused), self.access.admit])
        self._runner = web.AppRunner(self.web_app, shutdown_timeout=ABORT_S)
        self.door: Listening | None = None

    def refused(self, reason: str, status: int) -> None:
        """Count a refusal."""
        self.refusals.add((reason, str(status)))

    def measured(self) -> str:
        """What was refused, as Prometheus reads it."""
        return counter_text(self.refusals)

    def is_exposed(self) -> bool:
        """Whether others than this machine reach it; by what is served, whoever said so."""
        conf = self.app.conf
        return conf.web_transport.scheme != "unix" and not is_loopback(conf.web_bind)

    async def start_server(self) -> None:
        """Listen, once those are known who may ask.

        Raises:
            SettingsError: It cannot listen; the message names the setting.
        """
        await self.access.start()
        await self._runner.setup()
        conf = self.app.conf
        if conf.web_transport.scheme == "unix":
            await self._create_site().start()
            return
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is set up")
        self.door = Listening(server, self._settings, refused=self.refused)
        await self.door.start(listen(conf.web_bind, conf.web_port))

    async def stop_server(self) -> None:
        """Take no more connections, and end those that there are."""
        if self.door is not None:
            self.door.stop()
        await super().stop_server()
        await self.access.stop()

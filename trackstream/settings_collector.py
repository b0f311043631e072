"""Settings: how the collector takes what it is sent, and from whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trackstream.setting_values import choice, flag, networks, path, setting, url, whole
from trackstream.settings_places import PlaceSettings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CollectorSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectorSettings(PlaceSettings):
    """Links and cookies, TLS, bounds, the spool, limits; and `PlaceSettings`."""

    public_url: str | None = setting(
        url("http", "https"), "Where tracking links are reached from outside, if not collector_url"
    )
    cookie_max_age_days: int = setting(
        whole(0, 3650), "Life of the tracking cookie; 0: set none", 365
    )
    cookie_same_site: str = setting(
        choice("lax", "strict", "none"),
        "SameSite of the tracking cookie; `none` makes it Secure, too",
        "lax",
    )
    cookie_secure: str = setting(
        choice("auto", "always"),
        "Whether the tracking cookie is Secure; `auto`: if the link was called by HTTPS",
        "auto",
    )
    cookie_consent: str = setting(
        choice("assumed", "required"),
        "`required`: a click sets and reads the tracking cookie only if its URL has `consent=1`; "
        "`assumed`: also without, where all visitors have consented before they see a link. Never "
        "if the browser sends `Sec-GPC: 1` or `DNT: 1`",
        "required",
    )
    tls_certificate: Path | None = setting(
        path, "The collector's certificate chain (PEM); it serves HTTPS, and takes up changes"
    )
    tls_key: Path | None = setting(path, "Its key (PEM), if not in the same file")
    max_body_bytes: int = setting(whole(1024, 2**30), "Largest body of a request", 2**20)
    max_inflated_bytes: int = setting(
        whole(1024, 2**30), "Largest body after decompression", 5 * 2**20
    )
    max_batch_events: int = setting(whole(1, 100_000), "Most events in one request", 1000)
    produce_timeout_s: int = setting(
        whole(1, 300), "How long the collector waits for Kafka before it answers 503", 10
    )
    spool_max_mib: int = setting(
        whole(0, 2**20),
        "Most that a process of the collector keeps on disk, in `spool` of the data directory, "
        "while Kafka is away; 0: nothing, it answers 503",
        1024,
    )
    spool_max_age_h: int = setting(
        whole(1, 24 * 366),
        "What has been in the spool for longer goes to the topic `rejected` once Kafka is back",
        72,
    )
    spool_after_ms: int = setting(
        whole(10, 300_000),
        "How long a request waits for Kafka before what it brought is spooled",
        1000,
    )
    max_connections: int = setting(
        whole(0, 10**6),
        "Open connections of each process of the collector; more are answered 503; 0: any number",
        10_000,
    )
    idle_timeout_s: int = setting(
        whole(1, 3600),
        "How long a connection may be without a request whose headers have come whole",
        75,
    )
    body_timeout_s: int = setting(
        whole(1, 3600),
        "How long a sender may take for the body of a request, and answers may wait to be read",
        30,
    )
    shutdown_delay_ms: int = setting(
        whole(0, 300_000),
        "For how long a collector that is to stop says at `/health/ready` that it will, and "
        "serves on",
        100,
    )
    shutdown_grace_s: int = setting(
        whole(0, 3600),
        "How long requests may take that it has begun by then; later ones are answered 503",
        5,
    )
    metrics_open: bool = setting(
        flag,
        "Show the metrics of collectors and workers to whoever asks; else, unless they listen on "
        "loopback (and no proxy forwards the request to the collector), a key with the scope read "
        "or admin is needed, as Basic authentication",
        False,
    )
    rate_limit_key_per_s: int = setting(
        whole(0, 10**7), "Requests a second that each key may send; 0: any number", 50_000
    )
    rate_limit_ip_per_s: int = setting(
        whole(0, 10**7),
        "Requests a second that each address (of IPv6 each /64) may send; 0: any number",
        20_000,
    )
    rate_limit_burst_s: int = setting(
        whole(1, 3600), "For how many seconds the requests of a limit may come at once", 5
    )
    blocked_networks: str = setting(
        networks, "Addresses and networks that the collector refuses, separated by commas", ""
    )
    allowed_networks: str = setting(
        networks, "Networks that are neither blocked nor limited by their addresses", ""
    )
    trusted_proxies: str = setting(
        networks, "Networks of proxies that are believed whom they forward, and how", ""
    )
    trusted_proxy_header: str = setting(
        choice("x-forwarded-for", "forwarded"),
        "Where these proxies say it; the other header is not looked at",
        "x-forwarded-for",
    )
    click_repeat_ms: int = setting(
        whole(0, 60_000),
        "For how long the same click (address, user agent, URL) counts once; 0: always counts",
        1000,
    )

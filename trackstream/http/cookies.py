"""The tracking cookie that a click may set: first-party, out of reach of scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trackstream.http.client import COOKIE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trackstream.settings import Settings

__all__ = ["Cookies"]

_DAY_S = 86_400
_SECURE = "; Secure"


class Cookies:
    """How the cookie is set, by the settings.

    Attributes:
        kept: Whether it is set at all.
    """

    def __init__(self, settings: Settings) -> None:
        self.kept = settings.cookie_max_age_days > 0
        self._assumed = settings.cookie_consent == "assumed"
        max_age_s = settings.cookie_max_age_days * _DAY_S
        same_site = settings.cookie_same_site.capitalize()
        is_secure = (
            settings.cookie_secure == "always"
            or settings.cookie_same_site == "none"  # browsers refuse it otherwise
            or (settings.public_url or "").startswith("https:")
        )
        plain = f"; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite={same_site}"
        self._over_https = plain + _SECURE
        self._over_http = self._over_https if is_secure else plain

    def allowed(self, query: Mapping[str, str]) -> bool:
        """Whether a visitor that does not object may be given one, or known by its own."""
        return self._assumed or query.get("consent") == "1"

    def header(self, value: str, *, secure: bool) -> str:
        """What sets it (RFC 6265, section 4.1).

        Args:
            value: An id, as `ids.new_cookie_id` makes them.
            secure: Whether the request came by HTTPS.
        """
        return f"{COOKIE}={value}{self._over_https if secure else self._over_http}"

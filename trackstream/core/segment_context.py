"""What a Segment message's `context` says, in the words of our own events.

Segment's libraries are free with types where our own validation is strict. What has the wrong type
to be understood costs the event nothing: it is kept as it stands, under `$segment` in the context's
`extra`. Source: Segment's Common Fields spec and what its libraries send.
"""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from trackstream.core.segment_consent import consent_in, denials_of
from trackstream.core.segment_origin import campaign_in, is_identifier, object_in, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Channel", "Reading", "channel_of", "devices_of"]

Channel = Literal["browser", "mobile", "server"]
"""Where a message was made, which decides what its request shows of the user: a browser's request
has the user's address and user agent, an app's the address, a server's neither."""

_APPLE = frozenset({"ios", "ipados", "iphone os", "tvos", "visionos", "watchos"})
_ANDROID = frozenset({"android", "android tv", "fire os", "wear os"})
_CHANNELS: dict[str, Channel] = {
    "browser": "browser",
    "web": "browser",
    "mobile": "mobile",
    "server": "server",
}
_BROWSER_LIBRARY = re.compile(
    r"analytics\.js|(?<![a-z])(?:analytics-next|javascript|web)(?![a-z])", re.IGNORECASE
)
_MOBILE_LIBRARY = re.compile(
    r"(?<![a-z])(?:i(?:pad)?os|swift|android|kotlin|react-?native|flutter|xamarin|unity|cordova)"
    r"(?![a-z])",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MAX_PIXELS = 100_000
_NO_ADDRESS = "0.0.0.0"  # how a sender says that the address shall not be kept

_OBJECTS: dict[str, tuple[str, ...]] = {
    "app": ("version",),
    "os": ("name", "version"),
    "device": ("model", "manufacturer", "type"),
    "page": ("url", "referrer", "title"),
}
"""Objects that Segment and we call the same, and the texts in them that we know."""
_READ = frozenset(
    {
        *_OBJECTS, "campaign", "consent", "ip", "library", "locale", "screen", "sdk", "timezone",
        "user_agent", "userAgent",
    }
)  # fmt: skip


def channel_of(message: Mapping[str, Any]) -> Channel:
    """Where the message was made: its `channel`, else its library, else its device or system.

    Who calls the API without a library is taken for a browser, as on our own routes: its request
    is all that is known of it.
    """
    context = object_in(message, "context")
    for stated in (message.get("channel"), context.get("channel")):
        if isinstance(stated, str) and stated.lower() in _CHANNELS:
            return _CHANNELS[stated.lower()]
    library = text_of(object_in(context, "library").get("name", context.get("library")))
    if library and _MOBILE_LIBRARY.search(library):
        return "mobile"
    if library and _BROWSER_LIBRARY.search(library):
        return "browser"
    if library:
        return "server"
    return "mobile" if _system(context) in _APPLE | _ANDROID else "browser"


def devices_of(context: Mapping[str, Any], channel: Channel) -> dict[str, str]:
    """The device's identifiers: `device_id`, and `gaid`, or `idfa` and `idfv`, by its system.

    An advertising id of somebody whose system denies tracking (`denials_of`) is not one. What
    Apple's libraries give for `device.id` is the vendor's identifier.
    """
    device = object_in(context, "device")
    system = _system(context)
    found: dict[str, str] = {}
    if channel != "mobile" and system not in _APPLE | _ANDROID:
        return found
    device_id = text_of(device.get("id"))
    if device_id and is_identifier(device_id):
        found["device_id"] = device_id
        if system in _APPLE and _UUID.fullmatch(device_id):
            found["idfv"] = device_id
    advertised = text_of(device.get("advertisingId"))
    if advertised and is_identifier(advertised) and not denials_of(device):
        if system in _APPLE:
            found["idfa"] = advertised
        elif system in _ANDROID:
            found["gaid"] = advertised
    return found


class Reading:
    """One message's context, read once.

    Args:
        context: as Segment has it.
        page: what stands in for absent members of `context.page`: a page call's properties.
        devices: the identifiers that `devices_of` found in it.

    Attributes:
        context: as our own events have it.
        campaign: as our own events have it; empty when it says nothing of one.
        hides_address: whether it says that the user's address shall not be kept.
    """

    def __init__(
        self, context: dict[str, Any], *, page: Mapping[str, Any], devices: Mapping[str, str]
    ) -> None:
        self._given = context
        self._left: dict[str, Any] = {}
        self.campaign: dict[str, Any] = {}
        self.hides_address = context.get("ip") == _NO_ADDRESS
        self.context = {name: one for name, one in context.items() if name not in _READ}
        for name in ("locale", "timezone"):
            self._text(name, name)
        self._text("userAgent", "user_agent")
        for name, texts in _OBJECTS.items():
            self._object(name, texts)
        self._identified(devices)
        self._page(page)
        self._screen()
        self._address()
        self._library()
        self._consent()
        self._campaign()
        for name in ("sdk", "user_agent"):  # ours, and not Segment's: in it they mean anything
            if name in context:
                self._left[name] = context[name]
        if self._left:
            self.context["$segment"] = self._left

    def _text(self, name: str, ours: str) -> None:
        value = self._given.get(name)
        text = text_of(value)
        if text is not None:
            self.context[ours] = text
        elif value not in (None, ""):
            self._left[name] = value

    def _object(self, name: str, texts: tuple[str, ...]) -> None:
        value = self._given.get(name)
        if type(value) is not dict:
            if value not in (None, "", []):
                self._left[name] = value
            return
        part = dict(value)
        for member in texts:
            given = part.pop(member, None)
            text = text_of(given)
            if text is not None:
                part[member] = text
            elif given not in (None, ""):
                self._left[f"{name}.{member}"] = given
        if part:
            self.context[name] = part

    def _identified(self, devices: Mapping[str, str]) -> None:
        """What became an identifier of the event's is not said twice."""
        device = self.context.get("device")
        if device is None:
            return
        if "device_id" in devices:
            device.pop("id", None)
        if "gaid" in devices or "idfa" in devices:
            device.pop("advertisingId", None)
        if not device:
            del self.context["device"]

    def _page(self, page: Mapping[str, Any]) -> None:
        """A URL that the library keeps without its query gets it back: the campaign is in it."""
        given = self.context.get("page", {})
        stated = {name: one for name in _OBJECTS["page"] if (one := text_of(page.get(name)))}
        merged = {**stated, **given}
        url, search = merged.get("url"), given.get("search", page.get("search"))
        if url and "?" not in url and isinstance(search, str) and search.startswith("?"):
            path, hash_, fragment = url.partition("#")
            merged["url"] = f"{path}{search}{hash_}{fragment}"
        if merged:
            self.context["page"] = merged

    def _screen(self) -> None:
        value = self._given.get("screen")
        if type(value) is not dict:
            if value not in (None, "", []):
                self._left["screen"] = value
            return
        screen = dict(value)
        for name in ("width", "height"):
            pixels = screen.get(name)
            number = isinstance(pixels, int | float) and not isinstance(pixels, bool)
            if pixels is not None and not (number and 0 <= pixels <= _MAX_PIXELS):
                self._left[f"screen.{name}"] = screen.pop(name)
        self.context["screen"] = screen

    def _address(self) -> None:
        """What is no address is not kept either: it may be one with a port, or a list of them."""
        value = self._given.get("ip")
        with suppress(ValueError):
            self.context["ip"] = str(ipaddress.ip_address(value if type(value) is str else ""))

    def _library(self) -> None:
        value = self._given.get("library")
        part = value if type(value) is dict else {"name": value}
        name, version = (text_of(part.get(one)) for one in ("name", "version"))
        if name and len(name) <= 128 and len(version or "") <= 64:
            self.context["sdk"] = {"name": name, **({"version": version} if version else {})}
        elif value not in (None, ""):
            self._left["library"] = value

    def _consent(self) -> None:
        flags = consent_in(self._given, self._left)
        if flags:
            self.context["consent"] = flags

    def _campaign(self) -> None:
        value = self._given.get("campaign")
        if type(value) is not dict:
            if value not in (None, "", []):
                self._left["campaign"] = value
            return
        self.campaign = campaign_in(value, self._left)


def _system(context: Mapping[str, Any]) -> str:
    """The operating system's name in lower case; the device's type where none is given."""
    named = text_of(object_in(context, "os").get("name"))
    return (named or text_of(object_in(context, "device").get("type")) or "").strip().lower()

"""What kind of device an event is from: phone, tablet, desktop, TV, console, watch, or another.

By what the sender says of its device, then by the tokens that makers put into models and user
agents. Sources: MDN on browser detection by user agent (Android without `Mobile` is a tablet),
Apple's and Samsung's model identifiers, Amazon's of Fire tablets (`KF…`) and Fire TV (`AFT…`).

What cannot be told is None: a server's library, a crawler, a device that hides what it is. A
tablet that asks for the desktop's page, as iPads do, says that it is a desktop.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["FORM_FACTORS", "of_device", "of_user_agent"]

FORM_FACTORS = ("phone", "tablet", "desktop", "tv", "console", "watch", "other")
"""`other`: what is known to be none of them, such as headsets, cars and e-readers."""

_DEVICES = 4_096

_STATED = {
    one: kind
    for kind, words in {
        "phone": "phone, smartphone, smart phone, mobile, mobile phone, feature phone, handset, "
        "handheld, phablet",
        "tablet": "tablet, tablet pc, pad",
        "desktop": "desktop, pc, laptop, notebook, computer",
        "tv": "tv, smart tv, smarttv, television, ctv, connected tv, ott, stb, set top box, "
        "settop box, settop",
        "console": "console, game console, games console, gaming console",
        "watch": "watch, smartwatch, smart watch, wearable",
        "other": "other, headset, vr, vr headset, xr, car, automotive, e reader, smart speaker",
    }.items()
    for one in words.split(", ")
}
"""What senders call `context.device.type`, in lower case, with spaces for `-` and `_`."""

_SYSTEMS = {
    "ipados": "tablet",
    "windows phone": "phone",
    "kaios": "phone",
    "windows": "desktop",
    "macos": "desktop",
    "mac os x": "desktop",
    "mac os": "desktop",
    "os x": "desktop",
    "chrome os": "desktop",
    "chromeos": "desktop",
    "tvos": "tv",
    "android tv": "tv",
    "google tv": "tv",
    "webos": "tv",
    "roku": "tv",
    "roku os": "tv",
    "watchos": "watch",
    "wear os": "watch",
    "visionos": "other",
}
"""Systems that run on one kind of device. Linux is not among them: servers say that, too."""

_WORDS = {
    "watch": "watch, wear os, wearos, sm-r",
    "console": "playstation, xbox, nintendo, steam deck, steamdeck",
    "tv": "tv, web0s, netcast, viera, bravia, aquosbrowser, roku, crkey, chromecast, mibox, vidaa, "
    "ce-html, aft",
    "other": "oculus, quest, vision, realitydevice, hololens, pico, kindle/, kobo, automotive, "
    "qtcarbrowser, tesla/, homepod, echo show, echoshow",
    "tablet": "tablet, playbook, kindle fire, kf, sm-t, sm-x, gt-p, gt-n, galaxy tab, nexus 7, "
    "nexus 9, nexus 10, pixel c, pad, tb, xoom, transformer, iconia, touch",
}
_TOKENS = {
    "watch": r"(?:apple|galaxy|pixel) ?watch|ticwatch|watch ?os\b|\bwatch\d+,\d+|\bwear ?os\b|"
    r"\bsm-r[7-9]\d\d",
    "console": r"playstation|\bxbox|nintendo|steam ?deck",
    "tv": r"smart-?tv|apple ?tv|tv ?os\b|\b(?:google|android|fire|mi|opera|philips|net|inet|pov_)"
    r"[_ -]?tv\b|\btv\b|hbbtv|\bce-html|web0s|webos ?\.?tv|netcast|viera|bravia|aquosbrowser|"
    r"\broku|crkey|chromecast|\bmibox|\bvidaa|\b(?-i:AFT[A-Z0-9]{1,8})\b",
    "other": r"oculus|\bquest (?:pro|\d)|\bvision ?os\b|realitydevice|hololens|\bpico ?\d|"
    r"\bkindle/\d|\bkobo\b|automotive|qtcarbrowser|tesla/|homepod|echo ?show",
    "tablet": r"tablet(?! ?pc)|playbook|\bkindle fire|\b(?-i:KF[A-Z]{2,6})\b|\bsm-[tx]\d{3}|"
    r"\bgt-p\d{4}|\bgt-n[58]\d{3}|\bgalaxy tab|\bnexus (?:7|9|10)\b|\bpixel c\b|"
    r"\b(?:media|mate|honor|mi|xiaomi|redmi|oneplus|oppo|vivo) ?pad\b|\btb-?[0-9x]\w+|\bxoom\b|"
    r"\btransformer\b|\biconia|touchpad|windows nt [\d.]+; arm; (?:.*; )?touch",
}
_KINDS = [
    (kind, _WORDS[kind].split(", "), re.compile(tokens, re.IGNORECASE))
    for kind, tokens in _TOKENS.items()
]
"""What devices are called. Each match has one of the words in it: to look for these, in lower case,
costs a tenth of the search for the pattern, and few strings have any."""
_PHONES = (
    "windows phone", "iemobile", "blackberry", "bb10", "symbian", "series40", "series60",
    "series 60", "nokia", "kaios", "opera mini", "opera mobi", "midp", "j2me", "ucweb",
)  # fmt: skip
_DESKTOPS = (
    "windows", "win32", "win64", "win98", "win95", "macintosh", "x11;", "cros ", "linux x86_64",
    "linux i686", "linux aarch64",
)  # fmt: skip


@lru_cache(_DEVICES)
def of_device(
    device_type: str | None, os_name: str | None, model: str | None, by_agent: str | None
) -> str | None:
    """The form factor by what the sender says of its device.

    Args:
        device_type: What kind of device it says that it is; a system, in some libraries.
        os_name: The system that it says.
        model: The model that it says.
        by_agent: What `of_user_agent` makes of its user agent. It counts where the rest does not
            decide; for an Android device of which that cannot decide either, a phone is assumed.
    """
    stated = " ".join(re.split(r"[\s_-]+", (device_type or "").strip().lower()))
    system = (os_name or stated).strip().lower()
    found = _STATED.get(stated) or (_of_model(model) if model else None) or _SYSTEMS.get(system)
    return found or by_agent or ("phone" if system == "android" else None)


def of_user_agent(text: str) -> str | None:
    """The form factor by a user agent string, which is not a crawler's, and not too long."""
    told = _of_model(text)
    if told:
        return told
    lower = text.lower()
    mobile = "mobi" in lower
    browses = lower.startswith(("mozilla/", "opera/"))
    if "android" in lower or "harmonyos" in lower:
        # An app's string, which names no browser, has no `Mobile`, either; Opera Mini's has none.
        return "phone" if mobile or not browses or "opera mini" in lower else "tablet"
    if any(word in lower for word in _PHONES) or (browses and mobile):
        return "phone"
    return "desktop" if browses and any(word in lower for word in _DESKTOPS) else None


def _of_model(text: str) -> str | None:
    """By the tokens that name devices. Apple's are first: an app may be called after a TV."""
    if "iPad" in text:
        return "tablet"
    if "iPhone" in text or "iPod" in text:
        return "phone"
    lower = text.lower()
    for kind, words, tokens in _KINDS:
        if any(word in lower for word in words) and tokens.search(text):
            return kind
    return None

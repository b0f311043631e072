"""How much of a touch is kept: what owners and conversions remember of hundreds has a bound."""

from __future__ import annotations

import msgspec

from trackstream.core.records import Campaign, Touch
from trackstream.core.texts import cut

__all__ = ["MOST_BYTES", "shortened"]

MOST_BYTES = 4_096
"""Of a touch that is kept whole; hardly any is as large."""
_LONG = {"destination": 512, "deep_link": 512, "user_agent": 512}
"""Bytes that are kept of these texts of larger ones."""
_TEXT_BYTES = 128
"""Of all others, which are names of things."""
_MOST_CLICK_IDS = 8
_EXACT = frozenset({"touch_id", "app_id", "kind", "click_id", "link_id", "campaign_id", "channel"})
"""What touches are told apart and added up by."""
_ENCODER = msgspec.msgpack.Encoder()


def shortened(touch: Touch) -> Touch:
    """The touch; if it is large, with its long texts cut. What was shortened stays as it is."""
    if len(_ENCODER.encode(touch)) <= MOST_BYTES:
        return touch
    return msgspec.structs.replace(_cut(touch), campaign=_campaign(touch.campaign))


def _cut(touch: Touch) -> Touch:
    texts = {
        name: cut(text, _LONG.get(name, _TEXT_BYTES))
        for name in Touch.__struct_fields__
        if name not in _EXACT and isinstance(text := getattr(touch, name), str)
    }
    return msgspec.structs.replace(touch, **texts)


def _campaign(campaign: Campaign | None) -> Campaign | None:
    if campaign is None:
        return None
    texts = {
        name: cut(text, _TEXT_BYTES)
        for name in Campaign.__struct_fields__
        if name not in _EXACT and isinstance(text := getattr(campaign, name), str)
    }
    ids = campaign.click_ids
    return msgspec.structs.replace(
        campaign,
        **texts,
        click_ids={
            cut(name, _TEXT_BYTES): cut(ids[name], _TEXT_BYTES)
            for name in sorted(ids)[:_MOST_CLICK_IDS]
        },
    )

"""Whether this process stood still for so long that other workers may have its partitions."""

from __future__ import annotations

from time import monotonic

__all__ = ["Pauses", "StoodStillError"]


class StoodStillError(Exception):
    """What was handled before a long pause must not be written: others have its partitions."""


class Pauses:
    """Whether a process stood still, from which on its membership in the group may be over.

    Args:
        longest_s: A pause that harms nobody.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._seen_s = monotonic()
        self._paused_in: int | None = None

    def look(self, generation: int, *, at_s: float) -> None:
        """To be called all the time by who says that we are there; generation: of the group."""
        if at_s - self._seen_s > self._longest_s:
            self._paused_in = generation
        self._seen_s = at_s

    def refuse(self, generation: int, *, at_s: float) -> None:
        """Raise StoodStillError if there was such a pause in this generation, or is one now."""
        pause_s = at_s - self._seen_s
        if pause_s > self._longest_s or self._paused_in == generation:
            raise StoodStillError(f"stood still for more than {self._longest_s:g} s")

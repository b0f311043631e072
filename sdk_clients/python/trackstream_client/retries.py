"""How long to wait between tries."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Retries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Bounds of the waits. There is no last try: the queue is what is bounded.

    Attributes:
        first_s: the step after the first failure; each further one doubles it.
        most_s: the largest step.
        most_retry_after_s: as much of `Retry-After` is kept to: a day there would be a mistake.
    """

    first_s: float = 0.5
    most_s: float = 60.0
    most_retry_after_s: float = 600.0

    def wait_s(self, failures: int, *, retry_after_s: float = 0.0, chance: float) -> float:
        """The wait after so many failures in a row.

        At least half a step, and at least what `Retry-After` says; then up to half a step more by
        chance, so that clients that failed together do not come back together.

        Args:
            failures: at least 1.
            retry_after_s: what the answer says; 0 for nothing.
            chance: from 0 to 1.
        """
        step_s = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 60))
        least_s = max(step_s / 2, min(retry_after_s, self.most_retry_after_s))
        return least_s + chance * step_s / 2

"""How long tests wait for what must come.

Where something comes, nobody waits longer than it takes: this long is only waited for what never
comes. So it is meant for a machine many times slower and busier than one's own.
"""

from __future__ import annotations

PATIENCE_S = 120.0

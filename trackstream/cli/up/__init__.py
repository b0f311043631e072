"""`trackstream up`: the whole service on one machine.

- `command`: the command; from starting to the last line;
- `service`: what runs, in which order it starts and stops;
- `parts`: one running thing, and our own children among them;
- `credentials`: the app, its keys and its link;
- `report`: progress, and what is printed when all is ready;
- `follow`: one line for each attribution.
"""

from __future__ import annotations

__all__: list[str] = []

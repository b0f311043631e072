"""One file a step; `down_revision` makes the chain."""

"""Who works together: consumer groups, their offsets, transactions."""

"""The embedded servers, tried with the real programs."""

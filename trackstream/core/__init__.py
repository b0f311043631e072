"""Pure rules: values in, values out. No stream, no network, no clock, no randomness."""

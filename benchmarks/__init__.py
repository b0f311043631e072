"""Measurements: each stage by itself and the whole pipeline."""

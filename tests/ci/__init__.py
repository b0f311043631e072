"""What `.ci/` holds."""

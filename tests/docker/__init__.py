"""What `docker/` holds."""

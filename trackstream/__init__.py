"""TrackStream: self-hosted attribution and event tracking."""

"""vetset."""

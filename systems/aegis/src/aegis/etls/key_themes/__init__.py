"""Key themes."""

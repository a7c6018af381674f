"""Call summaries."""

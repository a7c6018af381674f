"""Call summaries and key themes of banks' earnings calls."""

"""Connections to aegis's database for code outside of runs."""

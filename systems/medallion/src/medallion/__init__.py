"""Advertising reports of many organizations, through bronze, silver and gold."""

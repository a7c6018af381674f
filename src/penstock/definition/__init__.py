"""What users write, and what is checked of it on import."""

"""What carries runs out."""

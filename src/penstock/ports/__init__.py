"""What the core asks of the world, as narrow Protocols whose docstrings are the promises."""

"""How good aegis's reports are, by labels that people gave: `python -m benchmarks aegis_quality`."""

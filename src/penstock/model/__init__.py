"""Frozen values that every other part speaks in: states, errors, shapes, attempts, results."""

"""The command line of the acceptance tests, with apps of these tests' own."""

from tests.acceptance.conftest import bare, cli

__all__ = ["bare", "cli"]

"""The one way in which the keeper gives up."""

from __future__ import annotations


class StartupError(Exception):
    """The server cannot be started; the text is shown to the user as it is and names the next step."""

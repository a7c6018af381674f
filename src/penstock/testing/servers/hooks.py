"""A receiver of webhooks: it keeps what it accepted."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from penstock.testing.servers.web import Fault, Request, Sent, WebServer

_GOOD = range(200, 300)


def webhook(script: Iterable[Fault | Sent] = ()) -> AbstractContextManager[WebhookServer]:
    """A receiver for the block: `with servers.webhook() as hook: ... hook.url ... hook.posts`.

    Args:
        script: What the first posts get, in their order, instead of being accepted with 204.
    """
    server = WebhookServer()
    server.then(*script)
    return server


class WebhookServer(WebServer):
    """See `webhook`; `then`, `fail` and `requests` are those of `servers.http`."""

    def __init__(self) -> None:
        super().__init__(Sent(status=204))
        self._posts: list[Request] = []

    @property
    def url(self) -> str:
        """Where to post."""
        return f"{super().url}/hook"

    @property
    def posts(self) -> list[Request]:
        """What was accepted, in the order of arrival; what was turned away is in `requests` alone."""
        with self._changed:
            return list(self._posts)

    def wait_for_posts(self, posts: int, timeout: float = 10) -> None:
        """Wait until so many were accepted.

        Raises:
            TimeoutError: They were not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._posts) >= posts, timeout):
                raise TimeoutError(f"{len(self._posts)} of {posts} posts were accepted within {timeout:g} s")

    def answer(self, request: Request) -> Sent:
        """Accept a post."""
        return Sent(status=204) if request.method == "POST" else Sent(status=405, headers=(("Allow", "POST"),))

    def made(self, request: Request, sent: Sent) -> None:
        """A post counts as accepted even if the answer to it is lost on its way: its sender cannot know."""
        if sent.status in _GOOD:
            with self._changed:
                self._posts.append(request)
                self._changed.notify_all()

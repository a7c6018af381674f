"""Which parts of a request are secret: they are learnt before it is sent, so that they come out nowhere."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from penstock.model.redaction import FROM_ENVIRONMENT, redact

if TYPE_CHECKING:
    from httpx2 import URL, Request

_SECRET: Final = re.compile(
    r"token|secret|passw|passphrase|(?:api|access|app|private|subscription)[_-]?key|authorization|signature|credential|"
    r"^(?:key|auth|sig|pwd|assertion)$",
    re.IGNORECASE,
)
_OF_A_PAGE: Final = re.compile(r"page|next|continu|cursor|sync", re.IGNORECASE)
"""A token that says where to go on is none; there are as many as pages."""
_OF_ONE_URL: Final = re.compile(r"^(?:x-amz-|x-goog-|sig$|signature$)", re.IGNORECASE)
"""A signed URL has a signature of its own, and each download its URL: they are known by their place, and not learnt."""
_FORM: Final = "application/x-www-form-urlencoded"
_LARGEST: Final = 64 * 1024
_LOGGERS: Final = ("httpx2",)


def is_secret(name: str) -> bool:
    """Whether a header or parameter of this name holds a secret."""
    return _SECRET.search(name) is not None and not _OF_A_PAGE.search(name)


def learn(request: Request) -> None:
    """The request's credentials are secret from now on: in its headers, its query, its form, its URL."""
    found = (value for value in _values(request) if len(value) >= FROM_ENVIRONMENT)
    redact.learn_passing(*found, request.url.password)


def shown(url: URL) -> str:
    """A URL as it may be shown: host and path, without user, query and fragment."""
    return redact(f"{url.netloc.decode('ascii', 'replace')}{url.path}")


def quieten() -> None:
    """From now on the client's own log, which names whole URLs, names no query."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_without_queries)


def _without_queries(record: logging.LogRecord) -> bool:
    from httpx2 import URL

    if isinstance(record.args, tuple):
        record.args = tuple(f"{arg.scheme}://{shown(arg)}" if isinstance(arg, URL) else arg for arg in record.args)
    return True


def _values(request: Request) -> Iterable[str]:
    for name, value in request.headers.items():
        if is_secret(name):
            yield value
            scheme, _, given = value.partition(" ")
            yield given  # of `Bearer …`
            if scheme.lower() == "basic":
                yield _password(given)
    for name, value in request.url.params.multi_items():
        if is_secret(name) and _OF_ONE_URL.search(name) is None:
            yield value
    if request.headers.get("content-type", "").startswith(_FORM):
        size = request.headers.get("content-length", "")
        if size.isdigit() and int(size) <= _LARGEST:
            form = parse_qsl(request.content.decode("utf-8", "replace"))
            yield from (value for name, value in form if is_secret(name))


def _password(given: str) -> str:
    try:
        return base64.b64decode(given).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""

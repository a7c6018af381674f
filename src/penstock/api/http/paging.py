"""Pages: an opaque cursor says where the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import Query, Request

from penstock.api.http.problems import Problem

LARGEST: Final = 500
HIGHEST: Final = 2**63 - 1

Limit = Annotated[int, Query(ge=1, le=LARGEST, description="Entries on a page.")]
Cursor = Annotated[
    str | None, Query(max_length=200, description="Where the page begins: `next_cursor` of the one before.")
]


def encode(kind: str, number: int) -> str:
    """The cursor that goes on after this number."""
    return base64.urlsafe_b64encode(json.dumps([kind, number]).encode()).decode().rstrip("=")


def decode(kind: str, cursor: str | None) -> int | None:
    """The number behind a cursor of this kind.

    Raises:
        Problem: It is none.
    """
    if cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        named, number = found
    except (binascii.Error, ValueError, TypeError):
        named, number = None, None
    if named != kind or not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= HIGHEST:
        raise Problem("invalid", "query.cursor: take it from the page before, as it is.")
    return number


def link(request: Request, cursor: str) -> str:
    """The `Link` header that leads to the next page."""
    query = {**request.query_params, "cursor": cursor}
    return f'<{request.url.path}?{urlencode(query)}>; rel="next"'

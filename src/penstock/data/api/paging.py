"""How the pages of a list follow one another; whoever gets the same page for ever is told so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from hashlib import blake2b
from typing import Any, TypeAlias

import httpx2

from penstock.data.api.wire import where
from penstock.model.errors import InvalidData
from penstock.model.narrowing import is_list, is_mapping

Next: TypeAlias = Callable[[httpx2.Response], "httpx2.URL | dict[str, str] | None"]
"""What asks for the page after this one: a URL, or query parameters; None after the last."""
Fetch: TypeAlias = Callable[["httpx2.URL | str", dict[str, str]], Awaitable[httpx2.Response]]


async def walk(
    fetch: Fetch, path: str, first: dict[str, str], following: Next, *, same_is_a_loop: bool
) -> AsyncGenerator[httpx2.Response]:
    """The pages, one after another.

    Args:
        fetch: Asks for a page.
        path: Where the first page is.
        first: The query parameters of the first page.
        following: What asks for the next page.
        same_is_a_loop: Whether a page with the bytes of the one before means that the server does not know the
            parameter; not so for cursors and links, which are looked at themselves.

    Raises:
        InvalidData: A page is asked for a second time.
    """
    url: httpx2.URL | str = path
    params, asked, before = first, set[bytes](), b""
    while True:
        page = await fetch(url, params)
        body = _digest(page.content)
        if same_is_a_loop and body == before:
            told = f"{where(page.request)} gives the same page for {_written(params)} as for the one before"
            raise InvalidData(f"{told}: it does not know that parameter.")
        before = body
        yield page
        after = following(page)
        if after is None:
            return
        key = _digest(str(after if isinstance(after, httpx2.URL) else sorted(after.items())).encode())
        if key in asked:
            raise InvalidData(f"{where(page.request)} goes in circles: it names a page that was read already.")
        asked.add(key)
        if isinstance(after, httpx2.URL):
            url, params = after, {}
        else:
            params = after


def by_link(page: httpx2.Response) -> httpx2.URL | None:
    """By the header `Link`, `rel="next"` (RFC 8288)."""
    found = page.links.get("next")
    return None if found is None or not found.get("url") else page.url.join(found["url"])


def by_url(field: str) -> Next:
    """By a field of the JSON body, which holds the next page's URL."""

    def following(page: httpx2.Response) -> httpx2.URL | None:
        value = field_of(page, field)
        if value in (None, "", False):
            return None
        if not isinstance(value, str):
            raise InvalidData(f"{where(page.request)}: {field} is {value!r}, which is no URL.")
        return page.url.join(value)

    return following


def by_cursor(field: str, param: str) -> Next:
    """By a field of the JSON body, which is handed back in a query parameter."""

    def following(page: httpx2.Response) -> dict[str, str] | None:
        value = field_of(page, field)
        if value in (None, "", False):
            return None
        if not isinstance(value, str | int):
            raise InvalidData(f"{where(page.request)}: {field} is {type(value).__name__}, which is no cursor.")
        return {param: str(value)}

    return following


def by_count(items: str, param: str, first: int, *, offset: bool, total: str | None) -> Next:
    """By a number that grows: of the page, or of the items that were read.

    It ends with an empty page, or when as many items (pages) were read as `total` says.
    """
    at = first

    def following(page: httpx2.Response) -> dict[str, str] | None:
        nonlocal at
        rows = field_of(page, items)
        if not is_list(rows):
            place = items or "the body"
            raise InvalidData(f"{where(page.request)}: {place} is {type(rows).__name__}, not a list of items.")
        at += len(rows) if offset else 1
        most = field_of(page, total) if total is not None else None
        if not rows or (isinstance(most, int) and at - (0 if offset else first) >= most):
            return None
        return {param: str(at)}

    return following


def field_of(page: httpx2.Response, path: str) -> Any:
    """A field of a JSON body, by its dotted path; None where it is not there. An empty path is the body itself."""
    value = parsed(page)
    for name in path.split(".") if path else ():
        if not is_mapping(value):
            return None
        value = value.get(name)
    return value


def parsed(answer: httpx2.Response) -> Any:
    """The body as JSON.

    Raises:
        InvalidData: It is none.
    """
    try:
        return answer.json()
    except ValueError as error:
        kind = answer.headers.get("content-type", "no type")
        raise InvalidData(f"{where(answer.request)} gave no JSON ({kind}): {error}") from None


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _written(params: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in params.items())

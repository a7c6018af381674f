"""Messages through Apprise: mail, chat and a hundred other services, each by its address."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from penstock.model.errors import NotDelivered, SettingError
from penstock.model.notifying import Notify, address_of, without_secrets
from penstock.observers.threads import in_thread

INSTALL = "Notices need Apprise: pip install 'penstock[notify]'."


class AppriseSender:
    """See `ports.notices.Sender`. An address is read when it is used, so that a missing secret stops no run.

    Args:
        notify: The addresses by target.
        environ: Where their variables are; the process's environment by default.
    """

    def __init__(self, notify: Notify, environ: Mapping[str, str] | None = None) -> None:
        self._notify, self._environ = notify, os.environ if environ is None else environ

    async def send(self, target: str, title: str, body: str) -> None:
        """Hand it over in a thread of its own, which nobody waits for when the process ends."""
        try:
            address = address_of(self._notify, target, self._environ)
        except SettingError as error:
            raise NotDelivered(str(error)) from None
        reason = await in_thread(lambda: _send(address, title, body), name="penstock-notice")
        if reason is not None:
            raise NotDelivered(without_secrets(reason, address))


def _send(address: str, title: str, body: str) -> str | None:
    """Why it was not delivered, or None."""
    try:
        import apprise
    except ImportError:
        return INSTALL
    with _listening() as said:
        try:
            instantiate: Any = apprise.Apprise.instantiate  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            service = instantiate(address)
            if service is None:
                return said.reason or "Apprise does not understand the address; its documentation has the forms."
            if service.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
                return None
        except Exception as error:  # noqa: BLE001 - a service's plugin may raise anything; the notice is kept
            return f"{type(error).__name__}: {error}"
        return said.reason or "the service refused it and said nothing"


class _Said:
    """What Apprise said in one thread."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.detail = ""

    @property
    def reason(self) -> str:
        """Its warnings, and what the other side answered."""
        return " ".join(" ".join([*self.warnings, self.detail]).split())


class _Ear(logging.Handler):
    """Keeps what Apprise says while a message is sent: at level DEBUG that holds secrets, so nobody else hears it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.listening: dict[int, _Said] = {}

    def emit(self, record: logging.LogRecord) -> None:
        said = self.listening.get(record.thread or 0)
        if said is None:  # somebody else uses Apprise in this process
            root = logging.getLogger()
            if record.levelno >= max(root.level, logging.INFO):
                root.handle(record)
        elif record.levelno >= logging.WARNING:
            said.warnings.append(record.getMessage())
        elif _ANSWER.search(text := record.getMessage()):
            said.detail = text


_ANSWER = re.compile("exception|error|response details", re.IGNORECASE)
_EAR = _Ear()


@contextmanager
def _listening() -> Generator[_Said]:
    logger = logging.getLogger("apprise")
    if _EAR not in logger.handlers:
        logger.addHandler(_EAR)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    said = _EAR.listening[threading.get_ident()] = _Said()
    try:
        yield said
    finally:
        del _EAR.listening[threading.get_ident()]

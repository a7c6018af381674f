"""Whom to tell of runs that ended: the block `notify:` of penstock.yaml as a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args
from urllib.parse import quote, unquote, urlsplit

from penstock.model.attempt import RunEnd
from penstock.model.errors import SettingError
from penstock.model.narrowing import is_list, is_mapping
from penstock.model.redaction import Redactor
from penstock.model.spelling import did_you_mean

ENDS: Final[tuple[RunEnd, ...]] = get_args(RunEnd)
NAMES: Final = ("targets", "ends", "collect", "every")
LONGEST: Final = 7 * 86_400.0
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_SECRET: Final = 6
"""A part of an address is hidden from this many characters on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Whom to tell, of what, and how often.

    Attributes:
        targets: Addresses by name, as Apprise writes them, with `${NAME}` for what the environment has.
        ends: Ends of runs that are told.
        collect: Seconds in which further ends are waited for, so that one message tells of all.
        every: Seconds between two messages to one target, at least.
    """

    targets: Mapping[str, str]
    ends: frozenset[RunEnd] = frozenset({"failed", "partial"})
    collect: float = 60.0
    every: float = 0.0

    def __repr__(self) -> str:
        """Without the addresses, which hold secrets."""
        return f"Notify(targets={list(self.targets)}, ends={sorted(self.ends)})"


def parse_notify(body: object, file: object) -> Notify | None:
    """The block as a value; None where nobody is to be told.

    Raises:
        SettingError: Something in it does not fit; the message names it, and no address.
    """
    if body is None:
        return None
    where = f"{file}, notify:"
    if not is_mapping(body):
        raise SettingError(f"{where} is a mapping with targets:, this is a {type(body).__name__}.")
    for name in body:
        if name not in NAMES:
            hint = did_you_mean(str(name), NAMES, otherwise=f"; there are {', '.join(NAMES)}.")
            raise SettingError(f"{where} there is no {name!r}{hint}")
    targets = body.get("targets")
    if not is_mapping(targets) or not targets:
        raise SettingError(f"{where} targets: is a mapping of a name to an address, such as ops: mailto://…")
    for name, address in targets.items():
        _check_target(where, name, address)
    return Notify(
        targets={str(name): str(address) for name, address in targets.items()},
        ends=_ends(where, body.get("ends", ["failed", "partial"])),
        collect=_seconds(where, "collect", body.get("collect", 60)),
        every=_seconds(where, "every", body.get("every", 0)),
    )


def address_of(notify: Notify, target: str, environ: Mapping[str, str]) -> str:
    """The address with the environment's values in it, quoted for a URL unless one is the whole of it.

    Raises:
        SettingError: A variable is not set; the message names it.
    """
    text = notify.targets[target]

    def value(found: re.Match[str]) -> str:
        if found[1] not in environ:
            raise SettingError(f"notify: target {target}: the environment has no {found[1]}.")
        given = environ[found[1]]
        return given if found[0] == text else quote(given, safe="")

    address = _VARIABLE.sub(value, text)
    if not _URL.fullmatch(address):
        raise SettingError(f"notify: target {target}: with the environment's values in it, it is no address.")
    return address


def without_secrets(text: str, address: str) -> str:
    """The text without the address and without any part of it that may be secret."""
    parts = urlsplit(address)
    hidden = {address, *parts.path.split("/"), *re.split(r"[&=]", parts.query), parts.netloc.rpartition("@")[0]}
    hidden |= set(parts.netloc.rpartition("@")[0].split(":"))
    secret = {part for part in (*hidden, *map(unquote, hidden)) if len(part) >= _SECRET}
    # What this one knows is taken out of this text alone: a part of an address may be a harmless word elsewhere.
    known = Redactor(shortest=1, distinct=1)
    known.learn(*secret, parts.password or "", unquote(parts.password or ""))
    return known(text)


def _check_target(where: str, name: object, address: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SettingError(f"{where} the target {name!r} needs a name of letters, digits, - and _.")
    if not isinstance(address, str) or not (_URL.fullmatch(address) or _VARIABLE.fullmatch(address)):
        raise SettingError(
            f"{where} the target {name} is no address such as mailto://user:${{PASSWORD}}@host, slack://… or ${{NAME}}."
        )


def _ends(where: str, value: object) -> frozenset[RunEnd]:
    given: list[Any] = list(value) if is_list(value) else [value]  # one may be said without brackets
    if not given or any(end not in ENDS for end in given):
        raise SettingError(f"{where} ends: is a list of {', '.join(ENDS)}; this is {value!r}.")
    return frozenset(given)


def _seconds(where: str, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST:
        raise SettingError(f"{where} {name}: is a number of seconds from 0 to {LONGEST:.0f}; this is {value!r}.")
    return float(value)

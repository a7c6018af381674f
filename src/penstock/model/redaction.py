"""What must not be read by others is taken out of text, at the edges where text leaves: ledger, logs, terminal.

Two things are taken out: values that are known to be secret (they are learnt when settings are read), whatever they
stand in, and what is told a secret by its place: a URL's password, `password=…`, an `Authorization` header.
"""

from __future__ import annotations

import json
import re
import threading
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeGuard
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from penstock.model.narrowing import is_mapping

MASK: Final = "***"
SHORTEST: Final = 4
"""Characters: a shorter value stands in half of all words, and whoever has it as a password is not helped by a mask."""
DISTINCT: Final = 12
"""Characters: from so many on a value is taken out inside of other words too."""
PASSING: Final = 200
"""Secrets of requests that are kept, the last ones: each costs time for every other, and tokens change hourly."""
FROM_ENVIRONMENT: Final = 8
"""Characters: a shorter value of a variable that is called a secret is more likely `true` or `none`."""

_NAMES: Final = (
    r"(?:ssl)?password|passwd|pwd|passphrase|secret|client_secret|token|access_token|refresh_token|id_token|auth|"
    r"api[_-]?key|apikey|access[_-]?key|key|sig|signature|x-amz-signature|x-amz-security-token|"
    r"x-amz-credential|x-goog-signature|x-goog-credential"
)
_VARIABLE: Final = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$", re.IGNORECASE
)
_PATTERNS: Final = {  # by what a text must hold in lower case for them to be tried at all
    "://": (
        # user:password@host, the password up to the last @ before a slash: one inside of it may not be encoded.
        (re.compile(r"(://[^\s:/?#@\"'<>]*):[^\s/\"'<>]*@"), rf"\1:{MASK}@"),
        (re.compile(r"(?:(?<=http)|(?<=https))(://)[^\s:/?#@\"'<>]+@", re.IGNORECASE), rf"\1{MASK}@"),  # a token
    ),
    "=": ((re.compile(rf"([?&](?:{_NAMES})=)[^&\s\"'<>#]+", re.IGNORECASE), rf"\1{MASK}"),),
    "password": ((re.compile(r"(password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&,;'\")]+)", re.IGNORECASE), rf"\1{MASK}"),),
    "authorization": (
        (re.compile(r"(authorization['\"]?\s*[:=]\s*b?['\"]?(?:[a-z]+\s+)?)[\w.~+/=-]+", re.IGNORECASE), rf"\1{MASK}"),
    ),
    "pst_": ((re.compile(r"\bpst_[0-9A-Za-z]{8,}"), f"pst_{MASK}"),),  # a token of the service
    "bearer": ((re.compile(r"(\bbearer\s+)[\w.~+/=-]{16,}", re.IGNORECASE), rf"\1{MASK}"),),
}
_URL: Final = re.compile(r"^([a-z][a-z0-9+.-]*://[^:/?#@]*):.*@", re.IGNORECASE | re.DOTALL)


class Redactor:
    """Knows secrets, and takes them out of text. May be used from any thread.

    Args:
        shortest: Characters; a shorter value is not taken for a secret.
        distinct: Characters; a shorter value counts only where it is a word by itself.
    """

    def __init__(self, *, shortest: int = SHORTEST, distinct: int = DISTINCT) -> None:
        self._shortest, self._distinct = shortest, distinct
        self._guard = threading.Lock()
        self._values: set[str] = set()
        self._forms: set[str] = set()
        self._passing: dict[str, set[str]] = {}
        self._known: re.Pattern[str] | None = None

    def learn(self, *values: str) -> None:
        """These are secret from now on, as they are, in a URL, and in quotes."""
        fresh = {
            form for value in values if len(value.strip()) >= self._shortest for form in _forms(value)
        } - self._forms
        if fresh:
            with self._guard:
                self._values.update(values)
                self._forms |= fresh
                self._compile()

    def learn_passing(self, *values: str) -> None:
        """These are secret while they are among the last of their kind: what goes with a request, and changes."""
        with self._guard:
            changed = False
            for value in dict.fromkeys(values):
                if len(value.strip()) < self._shortest or value in self._values:
                    continue
                known = self._passing.pop(value, None)  # the one used last is forgotten last
                self._passing[value] = _forms(value) if known is None else known
                changed |= known is None
            while len(self._passing) > PASSING:
                del self._passing[next(iter(self._passing))]
            if changed:
                self._compile()

    def _compile(self) -> None:
        forms = self._forms.union(*self._passing.values())
        longest = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(self._pattern(form) for form in longest))

    @property
    def known(self) -> tuple[str, ...]:
        """What was learnt, for a worker process, which must not tell it either."""
        with self._guard:
            return (*self._values, *self._passing)

    def _pattern(self, form: str) -> str:
        return re.escape(form) if len(form) >= self._distinct else _alone(form)

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        lower = text.lower()
        for mark, patterns in _PATTERNS.items():
            if mark in lower:
                for pattern, instead in patterns:
                    text = pattern.sub(instead, text)
        return text


redact: Final = Redactor()
"""The one of this process: a secret that one part has learnt must not come out of another."""


def redacted(value: Any) -> Any:
    """A value of a log record without secrets: text, in mappings and lists too; what is neither stays as it is."""
    if isinstance(value, str):
        return redact(value)
    if is_mapping(value):
        return {redacted(name): redacted(item) for name, item in value.items()}
    if _is_sequence(value):
        return [redacted(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else redact(str(value))


def traced(error: BaseException) -> str:
    """A traceback as text without secrets: what they stand in are the messages, of causes too."""
    return redact("".join(traceback.format_exception(error))).rstrip("\n")


def learn_url(url: str) -> None:
    """The password of a database's URL is secret; unless it is its user's name or host, which a mask would hide too."""
    try:
        parts = urlsplit(url)
        open_words = {unquote(parts.username or ""), parts.hostname or "", unquote(parts.path.strip("/"))}
        given = dict(parse_qsl(parts.query))
        found = [unquote(parts.password or ""), given.get("password", ""), given.get("sslpassword", "")]
    except ValueError:  # no URL at all, which whoever connects says in words of its own
        return
    redact.learn(*(password for password in found if password not in open_words))


def learn_environment(environ: Mapping[str, str]) -> None:
    """The values of variables whose names say that they are secret, such as OPENAI_API_KEY or PGPASSWORD."""
    named = {name: value for name, value in environ.items() if _VARIABLE.search(name) or name == "PGPASSWORD"}
    redact.learn(*(value for value in named.values() if len(value) >= FROM_ENVIRONMENT and not value.startswith("/")))


def learn_secrets(value: Any) -> None:
    """Every SecretStr and SecretBytes in a settings object, also of models, mappings and lists within it."""
    redact.learn(*_secrets(value))


def masked(url: str) -> str:
    """A database's URL, or what was given for one, without its password, wherever it stands.

    A password with an @ or a slash that is not encoded makes a wrong URL; all up to the last @ is taken out of it.
    """
    return redact(_URL.sub(rf"\1:{MASK}@", url))


def _secrets(value: Any) -> Iterable[str]:
    reveal = getattr(value, "get_secret_value", None)
    if callable(reveal):
        found: Any = reveal()
        yield found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    elif is_mapping(value):
        for item in value.values():
            yield from _secrets(item)
    elif _is_sequence(value):
        for item in value:
            yield from _secrets(item)
    else:  # a pydantic model
        fields: Mapping[str, Any] = getattr(value.__class__, "model_fields", {})
        for name in fields:
            yield from _secrets(getattr(value, name, None))


def _forms(value: str) -> set[str]:
    """How a value may be written: as it is, in a URL, in a Python or JSON string, with its lines joined."""
    quoted = {value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1], " ".join(value.split())}
    return quoted | {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}


def _alone(form: str) -> str:
    """A pattern of the form where it is a word by itself."""
    before, after = r"(?<![^\W_])" if form[0].isalnum() else "", r"(?![^\W_])" if form[-1].isalnum() else ""
    return before + re.escape(form) + after


def _is_sequence(value: Any) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, list | tuple | set | frozenset)

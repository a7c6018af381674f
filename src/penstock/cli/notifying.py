"""`notify`: whom failures are told to, whether it works, and what waits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from penstock.cli import printing
from penstock.cli.faults import FAILED, WrongUse
from penstock.cli.options import AppOption, JsonOption, group
from penstock.cli.session import Session, open_session
from penstock.cli.spoken import counted, moment
from penstock.model.spelling import did_you_mean

if TYPE_CHECKING:
    from penstock.model.notifying import Notify
    from penstock.operations.noticing import Notices
    from penstock.ports.notices import NoticeStore, Waiting

T = TypeVar("T")
TargetWord = Annotated[str, typer.Argument(metavar="TARGET", help="Its name under notify: in penstock.yaml.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    commands = group("Tell people of failures by mail and chat.")
    commands.command("list")(list_targets)
    commands.command("test")(try_out)
    commands.command("send")(send)
    commands.command("drop")(drop)
    cli.add_typer(commands, name="notify")


def list_targets(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """List whom failures are told to, and how it stands with each. Addresses are not shown."""
    session = open_session(ctx, app)
    notify = _settings(session)
    found = state_of(session)
    if as_json:
        document = [
            {
                "target": one.target, "service": _service(notify, one.target), "waiting": one.waiting,
                "oldest": one.oldest, "sent_at": one.sent_at, "tries": one.tries, "error": one.error,
                "next_at": one.next_at,
            }
            for one in found
        ]  # fmt: skip
        printing.document({"ends": sorted(notify.ends), "targets": document})
        return
    printing.table(
        ["target", "service", "waiting", "last told", "tried again", "error"],
        [
            [
                one.target,
                _service(notify, one.target) or "(not set here)",
                one.waiting,
                None if one.sent_at is None else moment(one.sent_at),
                moment(one.next_at) if one.error and one.next_at else None,
                one.error,
            ]
            for one in found
        ],
        right=["waiting"],
    )


def try_out(
    ctx: typer.Context,
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="One of them; all by default.")] = None,
    *,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a test message. Exits with 1 when one is refused."""
    import asyncio

    from penstock.model.errors import NotDelivered
    from penstock.observers.apprise_notices import AppriseSender
    from penstock.operations.noticing import trial_message

    session = open_session(ctx, app)
    notify = _settings(session)
    chosen = list(notify.targets) if target is None else [_known(notify, target)]
    sender = AppriseSender(notify)

    async def one(name: str) -> str | None:
        try:
            await sender.send(name, *trial_message(session.app.name))
        except NotDelivered as error:
            return str(error)
        return None

    async def work() -> list[str | None]:
        return await asyncio.gather(*(one(name) for name in chosen))

    refused = dict(zip(chosen, asyncio.run(work()), strict=True))
    if as_json:
        printing.document([{"target": name, "delivered": why is None, "error": why} for name, why in refused.items()])
    else:
        for name, why in refused.items():
            printing.line(f"{name}: {'delivered' if why is None else why}")
    if any(refused.values()):
        raise typer.Exit(FAILED)


def send(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Tell now what waits, as every process that works does by itself. Exits with 1 when something is left."""
    session = open_session(ctx, app)
    _settings(session)

    async def work(notices: Notices, _: NoticeStore) -> tuple[int, Sequence[Waiting]]:
        await notices.collect()
        return await notices.tell(whole=True), await notices.waiting()

    told, left = _ask(session, work)
    waiting = sum(one.waiting for one in left)
    if as_json:
        printing.document({"told": told, "waiting": waiting})
    elif waiting:
        whom = ", ".join(one.target for one in left if one.waiting)
        printing.line(f"{counted(told, 'notice')} told, {waiting:,} wait for {whom}: penstock notify list says why.")
    else:
        printing.line(f"{counted(told, 'notice')} told, nothing waits.")
    if waiting:
        raise typer.Exit(FAILED)


def drop(ctx: typer.Context, target: TargetWord, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Forget what waits for a target, such as one that was taken out of the settings."""
    from penstock.model.errors import NotFound

    session = open_session(ctx, app)

    async def work(_: Notices | None, store: NoticeStore) -> int | None:
        return await store.drop_notices(session.app.name, target)

    dropped = _ask(session, work)
    if dropped is None:
        raise NotFound(f"Nothing waits for a target {target}; penstock notify list shows what does.")
    if as_json:
        printing.document({"target": target, "dropped": dropped})
        return
    printing.line(f"{counted(dropped, 'notice')} for {target} forgotten.")


def state_of(session: Session) -> Sequence[Waiting]:
    """How it stands with each target."""

    async def work(notices: Notices, _: NoticeStore) -> Sequence[Waiting]:
        return await notices.waiting()

    return _ask(session, work)


def _ask(session: Session, work: Callable[[Any, NoticeStore], Coroutine[Any, Any, T]]) -> T:
    import asyncio

    from penstock.wiring import notices_on, open_ledger

    async def inside() -> T:
        async with open_ledger(session.settings, session.app.database) as ledger:
            notify = session.settings.notify
            notices = None if notify is None else notices_on(session.app.name, ledger, notify)
            return await work(notices, ledger)

    return asyncio.run(inside())


def _settings(session: Session) -> Notify:
    notify = session.settings.notify
    if notify is None:
        raise WrongUse("Nobody is told of anything: penstock.yaml has no block notify: with targets:.")
    return notify


def _known(notify: Notify, target: str) -> str:
    if target not in notify.targets:
        hint = did_you_mean(target, notify.targets, otherwise=f"; there are {', '.join(notify.targets)}.")
        raise WrongUse(f"notify: has no target {target}{hint}")
    return target


def _service(notify: Notify, target: str) -> str | None:
    """What kind of address it is, without anything of it that may be secret."""
    address = notify.targets.get(target)
    if address is None:
        return None
    scheme, mark, _ = address.partition("://")
    return scheme if mark else address

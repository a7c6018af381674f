"""One look at a ledger as tables that fit a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from penstock.cli.spoken import clock, length
from penstock.model.printable import visible
from penstock.ports.watching import COUNTED, SAMPLE

if TYPE_CHECKING:
    from datetime import datetime

    from penstock.ports.watching import Frame, LaneNow, QuotaNow

_COLOURS = {"running": "cyan", "waiting": "yellow", "crashed": "red", "lost": "red", "alive": "green"}
LEAST_LANES = 3
_RIGHT = ("runs/min", "queued", "lanes", "deferred", "failed", "10 min", "runs", "waiting", "attempt", "for", "took")


def frame_view(frame: Frame | None, where: str, fault: str | None, *, height: int | None, width: int) -> RenderableType:
    """The tables, the lanes cut to what room is left.

    Args:
        frame: What was seen last, if anything.
        where: The database, without its password.
        fault: Why there is nothing newer.
        height: Lines of the window; None where it has no end.
        width: Its columns.
    """
    at = "" if frame is None else f"  {clock(frame.at)} UTC"
    head = Text(f"penstock top  {where}{at}", style="bold", no_wrap=True, overflow="ellipsis")
    parts: list[RenderableType] = [head]
    if fault is not None:
        parts.append(Text(f"{fault} It is asked again.", style="red", no_wrap=True, overflow="ellipsis"))
    if frame is None:
        return Group(*parts, Text("waiting for the database"))
    blocks = [_pipelines(frame), _failures(frame, width), _quotas(frame.quotas), _processes(frame), _notices(frame)]
    tables = [table for table in blocks if table is not None]
    used = len(parts) + bool(frame.queues) + sum(table.row_count + 2 for table in tables)
    room = None if height is None else max(LEAST_LANES, height - used - 4)
    for place, table in enumerate(tables):
        parts += ["", table]
        if place == 0:
            parts += [*_queues(frame), *_lanes(frame.lanes, frame.at, room)]
    return Group(*parts)


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in headings:
        right = heading in _RIGHT
        table.add_column(heading, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    return table


def _row(table: Table, *cells: str | Text) -> None:
    """One row; what users wrote is no markup, and moves no cursor."""
    table.add_row(*(Text(visible(cell)) if isinstance(cell, str) else cell for cell in cells))


def _pipelines(frame: Frame) -> Table:
    table = _table("pipeline", "lanes", "runs/min", "10 min", "failed", "took", "deferred", "state")
    if not frame.pipelines:
        _row(table, "nothing was planned here yet")
    several = len({one.app for one in frame.pipelines}) > 1
    for one in frame.pipelines:
        held = [lane for lane in frame.lanes if (lane.app, lane.pipeline) == (one.app, one.pipeline)]
        _row(
            table,
            f"{one.app} {one.pipeline}" if several else one.pipeline,
            str(len(held)),
            f"{one.per_minute:,.0f}",
            f"{one.ended:,}" if one.ended < SAMPLE else f"{one.ended:,} in {length(one.span or 0)}",
            Text(f"{one.failed:,}", style="red" if one.failed else ""),
            "" if one.seconds is None else length(one.seconds),
            _capped(one.deferred) if one.deferred else "",
            Text("paused", style="yellow") if one.paused else "",
        )
    return table


def _queues(frame: Frame) -> list[RenderableType]:
    if not frame.queues:
        return []
    each = ", ".join(f"{one.queued:,} units of {one.space} in {one.lanes:,} lanes" for one in frame.queues)
    more = " and more" if sum(one.queued for one in frame.queues) + len(frame.lanes) > COUNTED else ""
    return [Text(f"queued: {each}{more}", style="dim", no_wrap=True, overflow="ellipsis")]


def _lanes(lanes: Sequence[LaneNow], now: datetime, room: int | None) -> list[RenderableType]:
    if not lanes:
        return ["", Text("no lane is at work", style="dim")]
    shown = list(lanes) if room is None else sorted(lanes, key=lambda lane: lane.state == "waiting")[:room]
    table = _table("lane", "run", "unit", "step", "attempt", "for", "state", "process")
    for lane in shown:
        unit = " ".join(str(value) for value in (lane.unit or {}).values())
        more = f" +{lane.units - 1}" if lane.units > 1 else ""
        _row(
            table,
            lane.lane,
            str(lane.run),
            f"{unit[:48]}{more}",
            lane.step or "",
            "" if lane.attempt is None else str(lane.attempt),
            "" if lane.seconds is None else length(lane.seconds),
            Text(_state(lane, now), style=_COLOURS.get(lane.state, "")),
            "" if lane.process is None else str(lane.process),
        )
    left = len(lanes) - len(shown)
    return ["", table, *([Text(f"and {left:,} more lanes", style="dim")] if left else [])]


def _state(lane: LaneNow, now: datetime) -> str:
    if lane.state != "waiting" or lane.not_before is None:
        return lane.state
    if lane.not_before <= now:
        return "due again"
    return f"{lane.wait_reason or 'waiting'} until {clock(lane.not_before)}"


def _failures(frame: Frame, width: int) -> Table | None:
    if not frame.failures:
        return None
    table = _table("failed in the last hour", "class", "runs", "last", "error")
    for one in frame.failures[:8]:
        error = " ".join((one.error or "").split())[: max(20, width - 60)]
        _row(table, one.pipeline, Text(one.error_class or "?", style="red"), f"{one.runs:,}", clock(one.last_at), error)
    return table


def _processes(frame: Frame) -> Table:
    table = _table("process", "app", "host", "pid", "runs", "for", "state")
    for one in frame.processes[-12:]:
        state = Text(one.state, style=_COLOURS.get(one.state, ""))
        _row(
            table,
            str(one.process),
            one.app,
            one.host.partition("/")[0],
            str(one.pid),
            str(one.runs),
            length(one.seconds),
            state,
        )
    if not frame.processes:
        _row(table, Text("none at work", style="dim"))
    return table


def _notices(frame: Frame) -> Table | None:
    late = [one for one in frame.notices if one.waiting]
    if not late:
        return None
    table = _table("notices to", "waiting", "error")
    for one in late:
        _row(table, f"{one.app} {one.target}", _capped(one.waiting), Text(visible(one.error or ""), style="red"))
    return table


def _quotas(quotas: Sequence[QuotaNow]) -> Table | None:
    """What is used of the limit, and when the window ends."""
    if not quotas:
        return None
    table = _table("quota", "used", "reserved", "of", "until")
    several = len({one.app for one in quotas}) > 1
    for one in quotas:
        _row(
            table,
            f"{one.app} {one.name}" if several else one.name,
            f"{one.used:,}",
            f"{one.reserved:,}",
            f"{one.limit:,}" + (f" a {one.per}" if one.per else ""),
            one.ends_at.strftime("%Y-%m-%d %H:%M") if one.ends_at else "",
        )
    return table


def _capped(number: int) -> str:
    return f"over {COUNTED:,}" if number > COUNTED else f"{number:,}"

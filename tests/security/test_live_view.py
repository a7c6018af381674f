"""What `penstock top` draws on a terminal."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table

from penstock.cli import frames


def drawn(*cells: str) -> str:
    table = Table()
    frames._row(table, *cells)
    out = io.StringIO()
    Console(file=out, force_terminal=False, width=100).print(table)
    return out.getvalue()


def test_a_cell_moves_no_cursor() -> None:
    assert "\x1b" not in drawn("lane\x1b[2J")
    assert "lane\\x1b[2J" in drawn("lane\x1b[2J")
    out = io.StringIO()  # the control: rich itself lets it through
    Console(file=out, force_terminal=False).print("lane\x1b[2J")
    assert "\x1b[2J" in out.getvalue()

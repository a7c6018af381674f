"""Steps that compute in worker processes; they stand at the top of a module, where those processes find them."""

from __future__ import annotations

import os

import penstock as ps
from penstock.testing.contracts.engine_units import Letter

squares = ps.Pipeline("squares", Letter)


@squares.step(cpu=True)
def square(letter: Letter) -> int:
    """Compute, and say where."""
    return ord(letter.name) ** 2


@squares.step(cpu=True)
def where(of: int = square.output) -> tuple[int, int]:
    """The process, and what another step gave."""
    return os.getpid(), of


endless = ps.Pipeline("endless", Letter, retry={"timeout": ps.Retry(attempts=1)})


@endless.step(cpu=True, timeout=0.3)
def turn() -> None:
    """Never end."""
    while True:
        pass


deadly = ps.Pipeline("deadly", Letter, retry={"unknown": ps.Retry(attempts=1)})


@deadly.step(cpu=True)
def die(letter: Letter) -> int:
    """End the process without an answer."""
    os._exit(letter.name == "a")

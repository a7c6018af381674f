#!/bin/sh
# Chooses versions within the bounds of the pyproject.toml files, and writes requirements.lock: every package
# of every extra and group with its hashes, and no name of a host to fetch it from. Versions that an earlier
# run chose stay where they fit; --upgrade takes the newest of all.
set -eu
cd "$(dirname "$0")/.."
. tools/environment.sh

"$UV" lock --python "$PYTHON" "$@"
"$UV" export --quiet --frozen --python "$PYTHON" --all-packages --all-extras --all-groups --no-emit-workspace \
    --no-emit-index-url --no-header --no-annotate --format requirements-txt --output-file requirements.lock
say 'wrote requirements.lock'

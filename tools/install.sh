#!/bin/sh
# Puts what requirements.lock names, and the packages of this repository as editables, into .venv. It does
# nothing when the stamp in .venv says that this was done already, and starts afresh after an install that
# was cut off.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.installed
unfinished=.venv/.unfinished

# What the state of .venv depends on. The folder is part of it, since commands in .venv/bin name it.
wanted=$(pwd; cat requirements.lock pyproject.toml systems/*/pyproject.toml tools/install.sh | cksum)

# PYTHON is only looked at when .venv is made; `make clean` comes before a change of it.
if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

. tools/environment.sh

if [ -f "$unfinished" ] || ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    ! grep -qs "VIRTUAL_ENV=.*$(pwd)/.venv" .venv/bin/activate; then
    say "making .venv with $PYTHON"
    "$UV" venv --quiet --clear --no-project --python "$PYTHON" .venv
fi

say 'installing from requirements.lock'
rm -f "$stamp"
: >"$unfinished"
"$UV" pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode requirements.lock
set --
for project in systems/*/pyproject.toml; do
    set -- "$@" --editable "${project%/pyproject.toml}"
done
"$UV" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --compile-bytecode \
    --editable . "$@"
printf '%s\n' "$wanted" >"$stamp"
rm -f "$unfinished"

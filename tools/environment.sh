# Finds a Python and a uv for the scripts beside it, which read it with `.`; it runs from the root of the
# repository. It sets PYTHON and UV, and hands this machine's pip settings (mirror, certificates) on to uv,
# which does not read them by itself.

export UV_PYTHON_DOWNLOADS=never UV_PYTHON_PREFERENCE=system
# Settings of the caller that would send packages elsewhere than to .venv, or refuse the editable installs.
unset UV_SYSTEM_PYTHON UV_MANAGED_PYTHON UV_NO_MANAGED_PYTHON UV_REQUIRE_HASHES UV_NO_EDITABLE

say() { printf 'penstock: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }

# uv_suits FILE: is it a uv of 0.8 or later, the first that knows all the options used here?
uv_suits() {
    version=$("$1" --version 2>/dev/null) || return 1
    version=${version#uv }
    major=${version%%.*}
    minor=${version#*.}
    minor=${minor%%.*}
    case $major$minor in '' | *[!0-9]*) return 1 ;; esac
    [ "$major" -gt 0 ] || [ "$minor" -ge 8 ]
}

# python_path NAME: where that Python is, if it starts and is new enough.
python_path() {
    "$1" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys.executable)' 2>/dev/null
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        python_path "$PYTHON" ||
            fail "PYTHON=$PYTHON does not start, or is older than 3.11; name another: make PYTHON=python3.12"
        return
    fi
    for name in python3.13 python3.12 python3.11 python3; do
        python_path "$name" && return
    done
    fail 'no Python 3.11 or later on the PATH; install one, or name it: make PYTHON=/opt/python/bin/python3.12'
}

# fetch_uv: puts the pinned uv into .tools/uv. With --target pip leaves the system's packages alone, so it
# may do this on a distribution that manages them itself (PEP 668), and needs neither venv nor ensurepip.
fetch_uv() {
    for pip_python in "$PYTHON" python3 ''; do
        [ -n "$pip_python" ] || fail "neither uv nor pip is here; install one of them (Debian: apt install python3-pip)"
        "$pip_python" -m pip --version >/dev/null 2>&1 && break
    done
    say 'fetching uv, the installer, into .tools/uv'
    rm -rf .tools/uv
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
        "$pip_python" -m pip install --quiet --no-deps --only-binary :all: --require-hashes \
        --target .tools/uv --requirement tools/uv-requirements.txt >&2 ||
        fail 'pip could not fetch uv: see its message above'
}

choose_uv() {
    for candidate in uv .tools/uv/bin/uv; do
        uv_suits "$candidate" && UV=$candidate && return
    done
    fetch_uv
    UV=.tools/uv/bin/uv
    uv_suits "$UV" || fail "the uv in .tools/uv does not start; remove .tools and try again"
}

# pip_setting NAME: what pip's environment, or else its configuration files, say; nothing without pip. It reads
# `config list`, since `config get` overlooks the file that PIP_CONFIG_FILE names.
pip_setting() {
    for section in :env: install global; do
        value=$(printf '%s\n' "$pip_settings" | sed -n "s/^$section\.$1='\(.*\)'\$/\1/p")
        [ -z "$value" ] || { printf '%s\n' "$value"; return; }
    done
}

# uv_has_index: does this machine tell uv itself where packages come from?
uv_has_index() {
    [ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ] ||
        grep -qs 'index' "${UV_CONFIG_FILE:-/etc/uv/uv.toml}" "${XDG_CONFIG_HOME:-${HOME:-}/.config}/uv/uv.toml"
}

hand_on_pip_settings() {
    pip_settings=$("$PYTHON" -m pip config list 2>/dev/null || python3 -m pip config list 2>/dev/null) || pip_settings=
    if ! uv_has_index; then
        index=${PIP_INDEX_URL:-$(pip_setting index-url)}
        [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
    fi
    if [ -z "${SSL_CERT_FILE:-}" ]; then
        certificates=${PIP_CERT:-$(pip_setting cert)}
        [ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"
    fi
    if [ -z "${UV_INSECURE_HOST:-}" ]; then
        trusted=${PIP_TRUSTED_HOST:-$(pip_setting trusted-host)}
        [ -z "$trusted" ] || export UV_INSECURE_HOST="$trusted"
    fi
    export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-${PIP_DEFAULT_TIMEOUT:-120}}"
    # A user without a home of their own (a service, a container) still gets a cache.
    [ -n "${UV_CACHE_DIR:-}${XDG_CACHE_HOME:-}" ] || [ -w "${HOME:-/nonexistent}" ] || export UV_CACHE_DIR=.tools/cache
}

PYTHON=$(choose_python) || exit 1
choose_uv
hand_on_pip_settings

# Sourced by quickstart.sh and run_tests.sh: makes or reuses the virtual environment, and puts it first on the PATH.
# MDTK_VENV names another place for it (default .venv), PYTHON another interpreter (default python3).
start="$PWD" # paths that the user gives are relative to this
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${MDTK_VENV:-$root/.venv}"
python="${PYTHON:-python3}"

mdtk_fail() {
    echo "error: $*" >&2
    exit 1
}

command -v "$python" >/dev/null || mdtk_fail "$python not found; install Python 3.10 or newer, or name it with PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    mdtk_fail "$("$python" --version) is too old; install Python 3.10 or newer, or name it with PYTHON=..."

# The stamp is written last: an interrupted installation is done again, a finished one is reused as long as the
# declared dependencies stay the same.
stamp="$venv/.mdtk-$("$python" -c "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest()[:16])" "$root/pyproject.toml")"
if [ ! -f "$stamp" ]; then
    echo "installing into $venv (torch alone is several GB; once)"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" ||
        mdtk_fail "cannot make $venv; on Debian and Ubuntu install the package python3-venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$root[dev]" 2>"$venv/pip.log" || {
        cat "$venv/pip.log" >&2
        mdtk_fail "installation failed, see above; it needs a network and about 7 GB"
    }
    touch "$stamp"
fi
export PATH="$venv/bin:$PATH"
# This checkout's mdtk, also where several checkouts share one environment.
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
cd "$root" || exit 1

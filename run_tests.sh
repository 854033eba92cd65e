#!/usr/bin/env bash
# The tests, from a bare machine with Python >= 3.10 and a network. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools/venv.sh"
ruff check --quiet --output-format concise .
ruff format --check --quiet .
mypy --no-error-summary
export OMP_NUM_THREADS=1
exec python -m pytest --numprocesses auto "$@"

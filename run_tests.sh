#!/usr/bin/env bash
# The tests, from a bare machine with Python >= 3.10 and a network. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/tools/venv.sh"
ruff check --quiet --output-format concise .
ruff format --check --quiet .
mypy --no-error-summary
export OMP_NUM_THREADS=1
python -m pytest --numprocesses auto "$@"
# Where there is a GPU, the whole suite is followed by what must be seen there.
if [ $# = 0 ] && python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    python -m pytest tests/gpu
fi

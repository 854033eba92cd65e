"""The one error that a user sees as a sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class MdtkError(RuntimeError):
    """Bad input. The message is one sentence that names the file, key or option, and what to do."""


def sentence(error: MdtkError) -> str:
    """The sentence alone: torch's loader puts a worker's whole traceback before it."""
    return str(error).rstrip().rsplit("MdtkError: ", 1)[-1]


def run_tool(main: Callable[[], int | None]) -> int:
    """Runs a command-line tool and gives its exit status: what `main` returns (None: 0).

    An `MdtkError` becomes one line on stderr and status 1 (with `MDTK_DEBUG=1` its traceback), Ctrl-C status 130.
    """
    try:
        return main() or 0
    except MdtkError as error:
        if os.environ.get("MDTK_DEBUG") == "1":
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130

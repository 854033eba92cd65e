"""The one exception for bad input, and how a command-line tool shows it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class MdtkError(RuntimeError):
    """Bad input. The message is one sentence that names the file, key or option, and what to do."""


class OthersFailed(RuntimeError):
    """Another process of the run failed, and says why: this one ends without a word."""


def sentence(error: MdtkError) -> str:
    """The message of `error` alone, without the traceback that torch's data loader puts before a worker's error."""
    return str(error).rstrip().rsplit("MdtkError: ", 1)[-1]


def run_tool(main: Callable[[], int | None]) -> int:
    """Runs a command-line tool and returns its exit status: what `main` returns, where None means 0.

    An `MdtkError` is printed as one line on stderr and gives 1; with `MDTK_DEBUG=1` it is raised. Ctrl-C gives 130.
    """
    try:
        return main() or 0
    except MdtkError as error:
        if os.environ.get("MDTK_DEBUG") == "1":
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 1
    except OthersFailed:
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130

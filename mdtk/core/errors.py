"""The one exception for bad input, and how a command-line tool shows it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable

LONGEST = 500  # characters of a message: content of a file may stand in it, and 3 MB of it help nobody
_END = 160  # of them for the end of a message that is cut, which holds the advice


class MdtkError(RuntimeError):
    """Bad input. The message is one sentence that names the file, key or option, and what to do.

    It is kept to one line of at most `LONGEST` printable characters, whatever a file put into it.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(sentence(message)))


class OthersFailed(RuntimeError):
    """Another process of the run failed, and says why: this one ends without a word."""


def one_line(text: str, longest: int = LONGEST) -> str:
    """`text` in one line without control characters (a file's text may hold a terminal's), its middle cut out."""
    if len(text) > 4 * longest:  # before any work on megabytes
        text = f"{text[: 2 * longest]} … {text[-2 * longest :]}"
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    if len(line) <= longest:
        return line
    end = min(_END, longest // 3)
    return f"{line[: longest - end - 3]} … {line[-end:]}"


def sentence(error: MdtkError | str) -> str:
    """The message of `error` alone, without the traceback that torch's data loader puts before a worker's error."""
    text = str(error).rstrip()
    return text.rsplit("MdtkError: ", 1)[-1] if "Traceback" in text else text


def run_tool(main: Callable[[], int | None]) -> int:
    """Runs a command-line tool and returns its exit status: what `main` returns, where None means 0.

    An `MdtkError`, or a file that the system refuses (a full disk, no permission), is printed as one line on stderr and
    gives 1; with `MDTK_DEBUG=1` it is raised. torchrun is told it too. Ctrl-C gives 130.
    """
    try:
        return main() or 0
    except (MdtkError, OSError) as error:
        if os.environ.get("MDTK_DEBUG") == "1":
            raise
        if isinstance(error, BrokenPipeError):  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        refused = f"the system refused a file ({error}); make room, or correct the name or its permissions"
        said = sentence(error) if isinstance(error, MdtkError) else one_line(refused)
        print(f"error: {said}", file=sys.stderr)
        _tell_launcher(said)
        return 1
    except OthersFailed:
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _tell_launcher(text: str) -> None:
    """Leaves `text` for torchrun, which shows it as the root cause at the end of its own report."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as file:
            json.dump({"message": text, "timestamp": int(time.time())}, file)

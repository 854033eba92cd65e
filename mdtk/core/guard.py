"""The one guard between files that may come from anywhere and the libraries that parse them.

Every reader is one function that parses inside `reading`: whatever the library raises there becomes the reader's own
sentence. Nothing is computed inside, so a programming error of ours still shows its traceback.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mdtk.core.errors import MdtkError, one_line
from mdtk.core.files import require_file

TEXT_LIMIT = 64 << 20  # bytes of a text file; the longest published list has 3 MB
JSON_LIMIT = 4 << 20  # bytes of a JSON file
_REASON = 160  # characters of the library's own words in a message
_OURS = (NameError, ImportError)  # no content of a file raises these


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], what: str, advice: str) -> Iterator[None]:
    """Turns any failure of the library that parses `path` in this block into one `MdtkError`.

    `what` says what the file should be, `advice` what to do. An `MdtkError` of the block passes as it is.
    """
    try:
        yield
    except (MdtkError, *_OURS):
        raise
    except FileNotFoundError as error:
        raise MdtkError(f"{what} not found: {path}; {advice}") from error
    except Exception as error:
        reason = one_line(str(error), _REASON) or "no reason given"
        raise MdtkError(f"{what} cannot be read: {path} ({type(error).__name__}: {reason}); {advice}") from error


def read_text(path: str | os.PathLike[str], what: str, advice: str, limit: int = TEXT_LIMIT) -> str:
    """The UTF-8 text of a file of at most `limit` bytes. Raises `MdtkError` as `reading` and `require_file` do."""
    path = require_file(path, what, advice)
    with reading(path, what, advice):
        check_size(path, what, limit)
        return Path(path).read_text(encoding="utf-8")


def read_json(path: str | os.PathLike[str], what: str, advice: str, limit: int = JSON_LIMIT) -> Any:
    """The content of a JSON file of at most `limit` bytes."""
    text = read_text(path, what, advice, limit)
    with reading(path, what, advice):
        return json.loads(text)


def json_record(line: str) -> dict[str, Any] | None:
    """The mapping in a line of a .jsonl file; None for one that is none, or that a kill cut off."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def check_size(path: Path, what: str, limit: int) -> None:
    """Raises `MdtkError` for a file of more than `limit` bytes, before it is read."""
    size = path.stat().st_size
    if size > limit:
        raise MdtkError(
            f"{path}: {size / 1e6:.1f} MB are too large for {what}, of at most {limit / 1e6:g} MB; give the right file"
        )

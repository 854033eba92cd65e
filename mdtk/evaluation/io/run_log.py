"""metrics.jsonl, the log of a training: a JSON record a line, read with what a kill left of the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdtk.core.guard import check_size, json_record, reading

LIMIT = 1 << 30  # bytes
KINDS = ("train", "epoch")  # of records; each has a table of its own


def read_lines(path: Path) -> list[str]:
    """The lines of metrics.jsonl that are not empty."""
    with reading(path, "log of metrics", "move it away"):
        check_size(path, "log of metrics", LIMIT)
        return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]


def parse(line: str) -> dict[str, Any] | None:
    """The record of a line of metrics.jsonl; None for one that a kill cut off, or that is no record."""
    record = json_record(line) or {}
    return record if isinstance(record.get("step"), int) and record.get("kind") in KINDS else None


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl; none where there is no such file."""
    lines = read_lines(path) if path.is_file() else []
    return [record for line in lines if (record := parse(line)) is not None]

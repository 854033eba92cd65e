"""The world that the quickstart renders stays small: a piece of every kind of file, scaled to all of them."""

from __future__ import annotations

from pathlib import Path

from mdtk.synthetic.world import LAYOUTS
from mdtk.synthetic.world_files import Task

LIMIT = 200e6  # bytes


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_small_world_has_at_most_200_megabytes(tmp_path):
    total = 0.0
    for name, layout in LAYOUTS.items():
        kinds: dict[str, list[Task]] = {}
        for task in layout.tasks(tmp_path / name, "small", 0):
            kinds.setdefault(task.call.func.__name__, []).append(task)
        for kind, tasks in kinds.items():
            before = size(tmp_path)
            tasks[0].call()
            share = tasks[0].weight / sum(task.weight for task in tasks)
            copies = 2 if kind == "_write_labeled" else 1  # NYU's labelled images are in the .mat file too
            total += copies * (size(tmp_path) - before) / share
    assert 0.5 * LIMIT < total < LIMIT

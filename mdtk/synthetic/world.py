"""Makes the sample world: plans the files of every dataset, renders them in processes, and records what is finished."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import joblib
from tqdm import tqdm

from mdtk.core.errors import MdtkError
from mdtk.core.files import clear_torn, write_text
from mdtk.synthetic import cityscapes_layout as cityscapes
from mdtk.synthetic import kitti_odom_layout as kitti_odom
from mdtk.synthetic import kitti_raw_layout as kitti_raw
from mdtk.synthetic import make3d_layout as make3d
from mdtk.synthetic import nyuv2_layout as nyuv2
from mdtk.synthetic import zero_shot_layouts
from mdtk.synthetic.world_files import Task

VERSION = 7  # of the world: raised when its content changes


class WorldLayout(Protocol):
    """A dataset's layout: a module, or an object, that plans its files and ends their making."""

    def tasks(self, root: Path, scale: str, seed: int, /) -> list[Task]: ...
    def finish(self, root: Path, scale: str, seed: int, /) -> None: ...


LAYOUTS: dict[str, WorldLayout] = {
    "kitti_raw": kitti_raw,
    "kitti_odom": kitti_odom,
    "nyuv2": nyuv2,
    "make3d": make3d,
    "cityscapes": cityscapes,
    **zero_shot_layouts.LAYOUTS,
}
SCALES = ("small", "full", "tiny")  # tiny: a few frames of each dataset, for tests
STAMP = "sample.json"


def make_sample(
    output: str | os.PathLike,
    scale: str = "small",
    seed: int = 0,
    only: Sequence[str] | None = None,
    jobs: int | None = None,
) -> dict[str, str]:
    """Writes the sample world below `output`; its bytes depend on `scale` and `seed` only.

    A finished dataset is kept, an interrupted one is completed.

    Args:
        scale: how much is made, one of `SCALES`.
        only: names of datasets in `LAYOUTS`; None is all.
        jobs: number of processes; None is the number of CPUs that this process may use.

    Returns:
        "made" or "reused" for each dataset.

    Raises:
        MdtkError: `output` holds another sample world or other data.
    """
    output = Path(output)
    datasets = list(only or LAYOUTS)
    if unknown := [name for name in datasets if name not in LAYOUTS]:
        raise MdtkError(f"--only: no dataset '{unknown[0]}'; choose from {', '.join(LAYOUTS)}")
    if scale not in SCALES:
        raise MdtkError(f"--scale: no scale '{scale}'; choose from {', '.join(SCALES)}")
    finished = _finished(output, scale, seed)
    todo = [name for name in datasets if name not in finished]
    if todo:
        _write_stamp(output, scale, seed, finished)  # what follows belongs to this world
        for name in todo:
            clear_torn(output / name, "**/.*.tmp.*")
    tasks = [task for name in todo for task in LAYOUTS[name].tasks(output / name, scale, seed)]
    _run(tasks, jobs or len(os.sched_getaffinity(0)))
    for name in todo:
        LAYOUTS[name].finish(output / name, scale, seed)
        finished.append(name)
        _write_stamp(output, scale, seed, finished)
    return {name: "made" if name in todo else "reused" for name in datasets}


def _finished(output: Path, scale: str, seed: int) -> list[str]:
    """The datasets that `output` holds completely. Raises `MdtkError` if it holds another world or other data."""
    stamp = output / STAMP
    if not stamp.exists():
        if taken := [name for name in LAYOUTS if (output / name).exists()]:
            raise MdtkError(
                f"{output / taken[0]} exists but {stamp} does not: not made by this tool; choose another --output"
            )
        return []
    try:
        found = json.loads(stamp.read_text(encoding="utf-8"))
        world = {key: found[key] for key in ("version", "scale", "seed")}
        finished = list(found["finished"])
    except (ValueError, KeyError, TypeError) as error:
        raise MdtkError(
            f"{stamp} is not a sample's stamp ({error}); remove {output} or choose another --output"
        ) from error
    asked = {"version": VERSION, "scale": scale, "seed": seed}
    if world != asked:
        raise MdtkError(f"{output} holds the world {world}, asked is {asked}; remove it or choose another --output")
    return finished


def _write_stamp(output: Path, scale: str, seed: int, finished: list[str]) -> None:
    stamp = {"version": VERSION, "scale": scale, "seed": seed, "finished": finished}
    write_text(output / STAMP, json.dumps(stamp, indent=1) + "\n")


def _call(task: Task) -> int:
    cv2.setNumThreads(1)  # the processes share the CPUs
    task.call()
    return task.weight


def _run(tasks: list[Task], jobs: int) -> None:
    if not tasks:
        return
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    with tqdm(total=sum(task.weight for task in tasks), desc="sample world", unit="frame", disable=None) as bar:
        for weight in parallel(joblib.delayed(_call)(task) for task in tasks):
            bar.update(weight)

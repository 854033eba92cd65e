"""Tiny data, and tools run as a user runs them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from mdtk.config import default_config
from mdtk.datasets.catalogue import build_source
from mdtk.datasets.readers.own_frames import SequenceReader

PROJECT = Path(__file__).resolve().parents[2]


def run_tool(tool: str, *arguments: object, processes: int = 0, check: bool = True, **environment: str):
    """Runs tools/<tool>.py as a user does (under torchrun with `processes`), and returns the finished process."""
    launcher = [sys.executable]
    if processes:
        launcher += ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--master_port=0", "--standalone"]
    command = [*launcher, str(PROJECT / "tools" / f"{tool}.py"), *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)
    assert not check or done.returncode == 0, f"{tool} failed:\n{done.stdout}\n{done.stderr}"
    return done


def write_clip(folder: Path, frames: int = 14, size: tuple[int, int] = (128, 96), seed: int = 0) -> Path:
    """Frames of a camera that slides past a textured wall with a box before it, and their depth in millimetres."""
    generator = np.random.default_rng(seed)
    width, height = size
    texture = cv2.GaussianBlur(generator.uniform(0, 255, (height, width * 4, 3)).astype(np.float32), (0, 0), 2.0)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    box = cv2.normalize(cv2.GaussianBlur(texture[::-1], (0, 0), 1.0), None, 0, 255, cv2.NORM_MINMAX)
    (folder / "color").mkdir(parents=True)
    (folder / "depth").mkdir()
    for frame in range(frames):
        image = texture[:, 2 * frame : 2 * frame + width].copy()
        depth = np.full((height, width), 4000, np.uint16)
        left = 90 - 4 * frame
        image[40:80, max(left, 0) : left + 30] = box[40:80, : min(30, left + 30)][:, : image.shape[1] - max(left, 0)]
        depth[40:80, max(left, 0) : left + 30] = 2000
        cv2.imwrite(str(folder / "color" / f"{frame:06d}.png"), image.astype(np.uint8))
        cv2.imwrite(str(folder / "depth" / f"{frame:06d}.png"), depth)
    return folder


def open_sequence(node, split: str, needs_camera: bool = True, **changes: object) -> SequenceReader:
    """The sequences of a DATA node; `changes` are fields of its `DataSource`."""
    source = build_source(SequenceReader, node, default_config(), needs_camera)
    return SequenceReader.open(dataclasses.replace(source, **changes), split)

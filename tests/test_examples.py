"""examples/camera_motion.py, on a drive of the tiny world whose poses are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mdtk.datasets.pose_files import read_trajectory

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "camera_motion.py"


def run(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, EXAMPLE, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def test_a_drive_at_steady_speed(tiny_world, tmp_path):
    """The direction to 3 degrees and every turn to half a degree; the way is as long as the speed says."""
    drive = tiny_world / "kitti_odom" / "sequences" / "00"
    frames = sorted((drive / "image_2").iterdir())
    height, width = cv2.imread(str(frames[0])).shape[:2]
    lines = dict(line.split(":", 1) for line in (drive / "calib.txt").read_text().splitlines() if ":" in line)
    P = np.array(lines["P2"].split(), float).reshape(3, 4)
    assert P[0, 2] < width
    assert P[1, 2] < height
    out = tmp_path / "poses.txt"
    pattern = drive / "image_2" / f"%06d{frames[0].suffix}"
    done = run(pattern, "--K", P[0, 0], P[1, 1], P[0, 2], P[1, 2], "--speed", 0.8, "--output", out)
    assert done.returncode == 0, done.stderr
    _, found = read_trajectory(out)
    _, truth = read_trajectory(tiny_world / "kitti_odom" / "poses" / "00.txt")
    assert len(found) == len(truth) == len(frames)
    steps, true_steps = (np.linalg.solve(poses[:-1], poses[1:]) for poses in (found, truth))
    assert np.linalg.norm(steps[:, :3, 3], axis=1) == pytest.approx(0.8)
    directions = true_steps[:, :3, 3] / np.linalg.norm(true_steps[:, :3, 3], axis=1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip((directions * steps[:, :3, 3] / 0.8).sum(1), -1, 1)))
    assert np.median(angle) < 3
    turns = Rotation.from_matrix(steps[:, :3, :3].transpose(0, 2, 1) @ true_steps[:, :3, :3]).magnitude()
    assert np.degrees(np.median(turns)) < 0.5


def test_what_is_no_film_is_told(tmp_path):
    done = run(tmp_path / "absent.mp4", "--K", 1, 1, 1, 1, "--speed", 1, "--output", tmp_path / "out.txt")
    assert done.returncode == 2
    assert "absent.mp4: no two frames can be read" in done.stderr
    assert not (tmp_path / "out.txt").exists()

"""tools/evaluate.py on the tiny world: the KITTI benchmark's PNGs, and scores from exported ground truth."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mdtk.config import dump, load_config
from mdtk.core.weights import write_weights
from mdtk.models import build_model, load_model
from tests.helpers.tiny import run_tool


@pytest.fixture(scope="module")
def checkpoint(tiny_world, tmp_path_factory) -> Path:
    """Fresh networks for small images; they know where the tiny world is."""
    pairs = ["DATA.HEIGHT", "32", "DATA.WIDTH", "64", "MODEL.SCALES", "[0]", "DATA.WORKERS", "0"]
    cfg = load_config(None, [*pairs, "ROOTS.KITTI_RAW", str(tiny_world / "kitti_raw")])
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "model.pth"
    write_weights(path, {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    return path


def test_benchmark_pictures(checkpoint, tiny_world, tmp_path):
    """One 16-bit PNG an entry of the list, numbered by it: the model's depth x 256 at the server's size."""
    run_tool("evaluate", "--checkpoint", checkpoint, "--datasets", "kitti_benchmark", "--output", tmp_path)
    root = tiny_world / "kitti_raw"
    entries = (root / "splits" / "benchmark" / "test_files.txt").read_text().split("\n")
    count = len([entry for entry in entries if entry.strip()])
    pictures = sorted(tmp_path.rglob("*.png"))
    assert [path.name for path in pictures] == [f"{index:010d}.png" for index in range(count)]
    assert count > 1
    model = load_model(checkpoint)
    for index, path in enumerate(pictures):
        stored = np.asarray(Image.open(path))
        assert (stored.shape, stored.dtype) == ((352, 1216), np.uint16)
        image = np.asarray(Image.open(image_of(root, index)).convert("RGB").resize((64, 32), Image.Resampling.LANCZOS))
        disparity = model.disparity(torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255)[0, 0].numpy()
        # A network pixel's centre and the same place of the picture; untrained networks are smooth.
        rows, columns = (np.arange(32) * 11 + 5)[:, None], (np.arange(64) * 19 + 9)[None]
        expected = np.clip(5.4 / disparity, 0, 80)
        np.testing.assert_allclose(stored[rows, columns] / 256, expected, atol=0.05)


def image_of(root: Path, index: int) -> Path:
    """The benchmark's image of one number."""
    (path,) = (root / "image").glob(f"{index:010d}.*")
    return path


def rows_of(folder: Path) -> list[dict[str, str]]:
    (path,) = folder.glob("kitti_eigen*.csv")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_exported_ground_truth_gives_the_same_rows(checkpoint, tiny_world, tmp_path):
    exported = tmp_path / "gt_depths.npz"
    root = tiny_world / "kitti_raw"
    run_tool("export_gt_depth", "--data_path", root, "--split", "eigen", "--output", exported)
    common = ("--checkpoint", checkpoint, "--datasets", "kitti_eigen", "--eval_mono")
    run_tool("evaluate", *common, "--output", tmp_path / "read")
    run_tool("evaluate", *common, "--output", tmp_path / "exported", "--ground_truth", exported)
    read, stored = rows_of(tmp_path / "read"), rows_of(tmp_path / "exported")
    assert len(read) > 2
    assert read == stored
    # It is the file that was scored: another one gives other rows.
    with np.load(exported) as file:
        arrays = {name: file[name] for name in file.files}
    halved = {name: array / 2 if array.dtype == np.float32 else array for name, array in arrays.items()}
    np.savez(tmp_path / "half.npz", **halved)
    run_tool("evaluate", *common, "--output", tmp_path / "half", "--ground_truth", tmp_path / "half.npz")
    assert rows_of(tmp_path / "half") != read

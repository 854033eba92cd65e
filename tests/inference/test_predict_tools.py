"""The tools as a user calls them, with a real checkpoint."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mdtk.config import dump, load_config
from mdtk.core.weights import write_weights
from mdtk.models import build_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A small stereo-trained depth network with random weights."""
    torch.manual_seed(0)
    keys = "MODEL.ENCODER mobilenetv3_small_050 MODEL.POSE none DATA.SOURCES [] DATA.STEREO true DATA.HEIGHT 64"
    cfg = load_config(None, [*keys.split(), "DATA.WIDTH", "96"])
    path = tmp_path_factory.mktemp("checkpoint") / "weights.pth"
    write_weights(path, {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    return path


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(3):
        coarse = generator.integers(0, 255, (5, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((120, 75), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a tool's file as `python tools/<tool> …` would, in this process (a new one imports torch for seconds)."""

    def call(tool: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments), "--device", "cpu"])
        status = 0
        try:
            runpy.run_path(str(ROOT / "tools" / tool), run_name="__main__")
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return call


def test_test_simple_writes_what_it_says(run, checkpoint, pictures, tmp_path):
    out = tmp_path / "out"
    options = ["--save_npy", "--save_png16", "--save_ply", "--K", 90, 90, 60, 37, "--output", out]
    status, out_text, error_text = run(
        "test_simple.py", "--image_path", pictures / "1.jpg", "--checkpoint", checkpoint, *options
    )
    assert status == 0, error_text
    assert "depth is metric; unit: metres; scale: stereo baseline: 0.54 m" in out_text
    told = {Path(line.removeprefix("wrote ")).name for line in out_text.splitlines() if line.startswith("wrote")}
    assert told == {entry.name for entry in out.iterdir()}
    depth = np.load(out / "1_depth_metric.npy")
    assert depth.shape == (75, 120)
    np.testing.assert_allclose(depth * np.load(out / "1_disp.npy"), 5.4, rtol=1e-5)
    assert len(json.loads((out / "1_depth.json").read_text())["checkpoint_sha256"]) == 64


def test_test_video_writes_a_film(run, checkpoint, pictures, tmp_path):
    out = tmp_path / "film.gif"
    status, out_text, error_text = run(
        "test_video.py", "--image_path", pictures, "--checkpoint", checkpoint, "--output", out, "--width", 96
    )
    assert status == 0, error_text
    assert "3 frames of 96x120" in out_text
    with Image.open(out) as film:
        assert (film.n_frames, film.size) == (3, (96, 120))


def test_errors_are_one_line(run, checkpoint, pictures, tmp_path):
    (pictures / "1.jpg").write_bytes(b"damaged")
    status, _, error_text = run("test_simple.py", "--image_path", pictures, "--checkpoint", checkpoint)
    assert status == 1
    lines = error_text.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert "1 of 3 images could not be read (1.jpg)" in lines[-1]
    assert len(list((tmp_path / "pictures_disp").iterdir())) == 2

"""The package of docs/extending.md, made outside the repository: it trains and evaluates without an edit here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mdtk.core.weights import read_weights
from tests.helpers.tiny import PROJECT, run_tool, write_clip

PAGE = (PROJECT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = {name: text for name, text in re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)}
TRAINING = ("SOLVER.BATCH_SIZE", "2", "SOLVER.MAX_STEPS", "5", "LOG.PERIOD", "1", "LOG.TENSORBOARD", "false")
RUN = {"DATA.WORKERS": "0", "DEVICE": "cpu"}
PAIRS = [word for pair in RUN.items() for word in pair]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with the page's package and recipe, and a dataset of its layout."""
    folder = tmp_path_factory.mktemp("user")
    for name, text in BLOCKS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    clip = write_clip(folder / "clip")
    root = folder / "data" / "my_drives"
    (root / "one").mkdir(parents=True)
    for number, frame in enumerate(sorted((clip / "color").iterdir())):
        Image.open(frame).save(root / "one" / f"{number:04d}.png")
        depth = np.asarray(Image.open(clip / "depth" / frame.name), np.float32) / 1000
        np.save(root / "one" / f"{number:04d}.npy", depth)
    (root / "splits" / "my_drives").mkdir(parents=True)
    for name, frames in {"train": range(1, 10), "test": range(10, 13)}.items():
        lines = "".join(f"one {frame}\n" for frame in frames)
        (root / "splits" / "my_drives" / f"{name}_files.txt").write_text(lines)
    return folder


def run_there(package: Path, monkeypatch, tool: str, *arguments: object, check: bool = True):
    monkeypatch.chdir(package)
    return run_tool(tool, *arguments, *PAIRS, check=check, MDTK_DATASETS=str(package / "data"))


@pytest.fixture(scope="module")
def trained(package) -> Path:
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_there(package, monkeypatch, "train", "--config", "my_depth.yaml", "OUT_DIR", "out", *TRAINING)
    return package / "out"


def test_each_example_is_short():
    assert len([name for name in BLOCKS if name.endswith(".py")]) == 6
    for name, text in BLOCKS.items():
        parts = re.split(r"\n\n\n(?=@)", text)  # imports, then one example each
        assert all(len(part.splitlines()) < 30 for part in parts), name


def test_it_trains_and_is_evaluated(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "train"]
    assert len(steps) == 5
    assert {"full/log_depth_spread", "upside_down/log_depth_spread", "upside_down/0"} <= steps[0].keys()
    assert all(np.isfinite(step["total"]) for step in steps)
    assert "my_drives/within_5_percent" in lines[-1]


def test_the_command_names_the_plugins_of_a_checkpoint(trained, package, monkeypatch):
    """A checkpoint says which modules it was trained with, and imports none of them."""
    assert "my_depth.networks" in read_weights(trained / "last.pth")["cfg"]
    arguments = ("evaluate", "--checkpoint", trained / "last.pth", "--datasets", "my_drives", "--output", "scores")
    failed = run_there(package, monkeypatch, *arguments, check=False)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "my_depth.networks" in failed.stderr
    assert "PLUGINS" in failed.stderr
    done = run_there(package, monkeypatch, *arguments, "--config", "my_depth.yaml")
    assert "within_5_percent" in done.stdout


def test_a_predictor_of_the_package(package, monkeypatch):
    plugins = "[my_depth.dataset, my_depth.scores, my_depth.predictor]"
    arguments = ("--predictor", "brightness", "near=2.5", "--datasets", "my_drives", "--output", "bright")
    done = run_there(package, monkeypatch, "evaluate", *arguments, "PLUGINS", plugins)
    assert "Brightness(near=2.5)" in (package / "bright" / "my_drives.json").read_text()
    assert "within_5_percent" in done.stdout


def test_a_package_is_found_by_its_entry_point(package, tmp_path, monkeypatch):
    """Installed metadata is enough: the recipe needs no PLUGINS then."""
    info = package / "my_depth-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-depth\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mdtk.plugins]\nnetworks = my_depth.networks\n")
    code = "from mdtk.models.decoders import DECODERS; print(DECODERS.find('plain', 'MODEL.DECODER').__module__)"
    env = {"PYTHONPATH": f"{package}:{PROJECT}", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.stdout.strip() == "my_depth.networks", done.stderr

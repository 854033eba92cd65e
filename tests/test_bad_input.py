"""Bad input ends in one sentence that names what is wrong, and a non-zero exit; nothing half-written is left."""

from __future__ import annotations

import runpy
import shutil
import sys

import pytest
import torch

from mdtk.core.weights import write_weights
from tests.helpers.tiny import PROJECT


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs a tool in this process as the command line would; returns (exit status, the lines of stderr)."""

    def run(name: str, *arguments: object) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            runpy.run_path(str(PROJECT / "tools" / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        return status, [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]

    return run


@pytest.fixture
def train(tool, tiny_recipe, clip, tmp_path):
    """Trains the tiny recipe on a private copy of the clip with changed keys, and returns the one line of error."""
    copy = tmp_path / "clip"
    shutil.copytree(clip, copy)

    def run(*overrides: object) -> str:
        paths = ["DATA.SEQUENCE.PATHS", f"[{copy / 'color'}]", "DATA.SEQUENCE.DEPTH", f"[{copy / 'depth'}]"]
        status, errors = tool("train", "--config", tiny_recipe, "OUT_DIR", tmp_path / "out", *paths, *overrides)
        assert (status, len(errors)) == (1, 1)
        left = [path for path in (tmp_path / "out").rglob("*") if ".tmp" in path.name]
        assert not left
        return errors[0]

    run.clip = copy
    return run


@pytest.fixture
def kitti(tool, tmp_path, tiny_recipe):
    """Trains on a drive of six one-colour frames without calibration, on the entries of the given frames."""
    drive = tmp_path / "2011_09_26" / "2011_09_26_drive_0001_sync" / "image_02" / "data"
    drive.mkdir(parents=True)
    for frame in range(6):
        shutil.copy(PROJECT / "tests" / "helpers" / "pixel.png", drive / f"{frame:010d}.png")

    def run(frames: range, *overrides: object) -> tuple[int, list[str]]:
        split = tmp_path / "list.txt"
        split.write_text("".join(f"2011_09_26/2011_09_26_drive_0001_sync {frame} l\n" for frame in frames))
        keys = ["DATA.NAME", "kitti_raw", "DATA.ROOT", tmp_path, "DATA.TRAIN_SPLIT", split, "DATA.VAL_SPLIT", ""]
        return tool("train", "--config", tiny_recipe, *keys, "OUT_DIR", tmp_path / "out", *overrides)

    return run


def test_missing_frame(kitti):
    status, errors = kitti(range(1, 6))
    assert (status, len(errors)) == (1, 1)
    assert "0000000006.png" in errors[0]


def test_corrupt_png(train):
    path = train.clip / "color" / "000003.png"
    path.write_bytes(path.read_bytes()[:200])
    assert "000003.png" in train()


def test_missing_calibration(kitti):
    status, errors = kitti(range(1, 5), "DATA.INTRINSICS", "calibrated")
    assert (status, len(errors)) == (1, 1)
    assert "calib_cam_to_cam.txt" in errors[0]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["DATA.SEQUENCE.K_SIZE", "[]"], "DATA.SEQUENCE.K_SIZE"),
        (["DATA.WIDTH", 100], "multiple of 32, for example 96"),
        (["SOLVER.LEARNING_RATE", 1], "unknown key SOLVER.LEARNING_RATE; the nearest is SOLVER."),
        (["SOLVER.EPOCHS", "many"], "SOLVER.EPOCHS takes int"),
        (["DATA.SEQUENCE.PATHS", "[/nowhere]"], "/nowhere"),
        (["SOLVER.BATCH_SIZE", 500], "fewer than SOLVER.BATCH_SIZE 500"),
        (["MODEL.ENCODER", "resnet81"], "resnet81"),
        (["EVAL.PROTOCOLS", "[kitti_egen]"], "kitti_egen"),
    ],
)
def test_keys(train, keys, words):
    assert words in train(*keys)


def test_empty_folder(train, tmp_path):
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / "empty") in train(
        "DATA.SEQUENCE.PATHS", f"[{tmp_path / 'empty'}]", "DATA.SEQUENCE.DEPTH", "[]"
    )


def test_unreadable_video(train, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"not a film")
    error = train("DATA.SEQUENCE.PATHS", f"[{tmp_path / 'film.mp4'}]", "DATA.SEQUENCE.DEPTH", "[]")
    assert "film.mp4" in error


def test_checkpoint_of_another_model(train, tmp_path):
    path = tmp_path / "other.pth"
    write_weights(path, {"model": {"depth.encoder.x": torch.zeros(2)}, "cfg": "", "meta": {}})
    error = train("MODEL.WEIGHTS", path)
    assert "other.pth does not fit the model" in error
    assert "missing depth." in error


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"hello"])
def test_file_that_is_no_checkpoint(tool, tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    status, errors = tool(
        "test_simple", "--image_path", PROJECT / "tests" / "helpers" / "pixel.png", "--checkpoint", path
    )
    assert status == 1
    assert len(errors) == 1
    assert "weights.pth" in errors[0]
    assert "weights_only" not in errors[0], "torch's advice to load it unsafely is not passed on"


def test_malicious_checkpoint_does_not_run(tool, tmp_path):
    class Evil:
        def __reduce__(self):
            import os

            return os.system, (f"touch {tmp_path / 'executed'}",)

    torch.save({"format": "mdtk", "version": 1, "model": Evil()}, tmp_path / "evil.pth")
    status, _ = tool("test_simple", "--image_path", tmp_path, "--checkpoint", tmp_path / "evil.pth")
    assert status == 1
    assert not (tmp_path / "executed").exists()

"""Samples that cannot be read, or are not what they should be."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.training import prepare as prepare_module
from tests.helpers.training import checkpoint, train_here


@pytest.fixture
def frames(clip, tmp_path):
    shutil.copytree(clip / "color", tmp_path / "color")
    return tmp_path / "color"


def keys(frames) -> list[object]:
    return ["DATA.SEQUENCE.PATHS", f"[{frames}]", "DATA.SEQUENCE.DEPTH", "[]", "SOLVER.EPOCHS", 1, "DATA.VAL_SPLIT", ""]


def test_an_unreadable_frame_is_an_error(tiny_recipe, frames, tmp_path):
    (frames / "000005.png").write_bytes(b"no image")
    with pytest.raises(MdtkError, match=r"000005\.png"):
        train_here(tmp_path / "out", tiny_recipe, keys(frames))


def test_an_unreadable_frame_is_replaced_and_named(tiny_recipe, frames, tmp_path, capsys):
    (frames / "000005.png").write_bytes(b"no image")
    train_here(tmp_path / "out", tiny_recipe, [*keys(frames), "DATA.MAX_UNREADABLE", 5])
    assert "replaced by the next sample" in capsys.readouterr().out
    named = [json.loads(line) for line in (tmp_path / "out" / "unreadable.jsonl").read_text().splitlines()]
    assert 1 <= len(named) <= 3
    assert all("000005.png" in line["sample"] for line in named)
    assert checkpoint(tmp_path / "out")["training"]["step"] > 0


def test_too_many_unreadable_frames_are_an_error(tiny_recipe, frames, tmp_path):
    for frame in (4, 7):
        (frames / f"{frame:06d}.png").write_bytes(b"no image")
    with pytest.raises(MdtkError, match=r"more than DATA.MAX_UNREADABLE 1"):
        train_here(tmp_path / "out", tiny_recipe, [*keys(frames), "DATA.MAX_UNREADABLE", 1])


def test_a_frame_of_another_size_than_its_neighbours_is_an_error(tiny_recipe, frames, tmp_path):
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(frames / "000005.png")
    with pytest.raises(MdtkError, match="different sizes"):
        train_here(tmp_path / "out", tiny_recipe, keys(frames))


def test_data_is_looked_at_before_networks_are_built(tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "build_model", lambda cfg: pytest.fail("a network was built"))
    with pytest.raises(MdtkError, match="PATHS is empty"):
        train_here(tmp_path, tiny_recipe, ["DATA.SEQUENCE.PATHS", "[]"])

"""Corruptions: seeded, stronger with their level; mCE and mRR by their formulas; a published folder is read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.evaluation.corruptions import CORRUPTIONS, LEVELS, SET, corrupt
from mdtk.evaluation.eval_config import build_eval_config
from mdtk.evaluation.robustness import (
    BASELINE,
    BASELINE_CLEAN,
    CorruptedReader,
    at_width,
    error_of,
    evaluate_corruptions,
    mean_corruption_error,
    mean_resilience,
)
from mdtk.evaluation.scoring.protocols import get_protocol
from tests.helpers.tools import call_tool

GENERATOR = np.random.default_rng(4)
IMAGE = np.clip(
    np.asarray(Image.fromarray(GENERATOR.integers(0, 255, (12, 20, 3), np.uint8)).resize((120, 72), 3)), 0, 255
)


def test_there_are_eighteen_and_each_has_a_published_baseline():
    assert len(CORRUPTIONS) == 18
    assert set(CORRUPTIONS) == set(BASELINE)
    assert min(BASELINE.values()) > BASELINE_CLEAN


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seeded_and_stronger_with_the_level(name):
    before = IMAGE.copy()
    found = [corrupt(IMAGE, name, level, "a") for level in LEVELS]
    np.testing.assert_array_equal(IMAGE, before)
    assert all(one.shape == IMAGE.shape and one.dtype == np.uint8 for one in found)
    change = [np.abs(one.astype(float) - IMAGE).mean() for one in found]
    assert 0.5 < change[0] < change[-1]
    np.testing.assert_array_equal(found[2], corrupt(IMAGE, name, 3, "a"))
    noisy = {"gaussian_noise", "impulse_noise", "shot_noise", "iso_noise", "dark", "fog", "frost", "snow", "glass_blur"}
    noisy |= {"elastic_transform", "motion_blur"}
    assert (name in noisy) == bool((found[2] != corrupt(IMAGE, name, 3, "b")).any())


def test_levels_are_the_published_ones():
    grey = np.full((200, 200, 3), 128, np.uint8)
    assert corrupt(grey, "gaussian_noise", 2).astype(float).std() / 255 == pytest.approx(0.12, rel=0.02)
    salt = corrupt(grey, "impulse_noise", 5)
    assert np.mean((salt == 0) | (salt == 255)) == pytest.approx(0.27, rel=0.02)
    assert len(np.unique(corrupt(IMAGE, "color_quant", 5))) == 2
    half = corrupt(IMAGE, "contrast", 1).astype(float)
    assert half.std((0, 1)) == pytest.approx(0.4 * IMAGE.astype(float).std((0, 1)), rel=0.02)
    brighter = corrupt(grey, "brightness", 3)
    assert brighter.mean() / 255 == pytest.approx(128 / 255 + 0.3, abs=0.005)
    with pytest.raises(MdtkError, match="corruption level 6"):
        corrupt(grey, "fog", 6)
    with pytest.raises(MdtkError, match="--corruptions names the corruption 'rain', and there is none"):
        corrupt(grey, "rain", 1)


def test_images_are_corrupted_at_the_published_size():
    sizes = [(1242, 375), (1224, 370), (1238, 374), (1226, 370), (1241, 376)]  # all of KITTI
    assert {at_width(Image.new("RGB", size)).size for size in sizes} == {(640, 192)}
    assert at_width(Image.new("RGB", (128, 96))).size == (128, 96)


def test_directions_and_fields_are_the_published_ones():
    dot = np.zeros((101, 101, 3), np.uint8)
    dot[50, 50] = 255
    blurred = [np.argwhere(corrupt(dot, "motion_blur", 5, seed)[..., 0] > 0) - 50 for seed in "abcdefgh"]
    for places in blurred:  # half a bell: it starts at the dot and goes one way, at most 45 degrees steep
        assert np.abs(places[:, 1]).max() <= 40
        assert min(abs(places[:, 1].min()), abs(places[:, 1].max())) == 0
        assert (np.abs(places[:, 0]) <= np.abs(places[:, 1]) + 1).all()
    ramp = np.tile(np.arange(200, dtype=np.uint8)[None, :, None], (100, 1, 3))
    moved = corrupt(ramp, "elastic_transform", 5).astype(float)[10:-10, 10:-10, 0] - ramp[10:-10, 10:-10, 0]
    # uniform noise within 0.5 rows smoothed by (1, 2) pixels has σ = 0.5/√3 · 1/√(4π·1·2), times 30
    assert moved.std() == pytest.approx(30 * 0.5 / np.sqrt(3) / np.sqrt(8 * np.pi), rel=0.15)
    grey = np.full((200, 200, 3), 128, np.uint8)
    frost = np.mean([corrupt(grey, "frost", 1, seed).mean() for seed in "abc"])
    assert frost / 255 == pytest.approx(128 / 255 + 0.4 * 0.6, abs=0.02)


def test_errors_by_their_formulas():
    assert error_of({"abs_rel": 0.115, "a1": 0.877}) == pytest.approx(BASELINE_CLEAN)
    same = {name: [value] * 5 for name, value in BASELINE.items()}
    assert mean_corruption_error(same) == pytest.approx(100)
    assert mean_corruption_error({"fog": [0.31] * 5, "snow": [0.511] * 5}) == pytest.approx(150)
    assert mean_resilience({"fog": [0.2, 0.4]}, 0.1) == pytest.approx(100 * (0.8 + 0.6) / 2 / 0.9)


def test_over_a_protocol(tiny_recipe, tmp_path, capsys):
    path = tmp_path / "near.py"
    path.write_text(
        "class Near:\n    input_size = (48, 64)\n    def predict(self, images): return 0.05 + images.mean(-1) / 255\n"
    )
    options = ("--config", tiny_recipe, "--output", tmp_path, "--no_baselines", "EVAL.BATCH_SIZE", "2")
    call_tool("evaluate", "--predictor", f"{path}:Near", "--corruptions", "contrast", "dark", *options)
    content = json.loads((tmp_path / f"sequence_corruptions_{SET}.json").read_text())
    assert [len(levels) for levels in content["errors"].values()] == [5, 5]
    assert content["mCE"] == pytest.approx(mean_corruption_error(content["errors"]))
    clean = json.loads((tmp_path / "sequence.json").read_text())["results"]["model"]["metrics"]
    assert content["clean_error"] == pytest.approx(error_of(clean))
    assert "(of these corruptions only)" in capsys.readouterr().out


def test_over_any_protocol_with_ground_truth(tiny_world, tmp_path, capsys):
    path = tmp_path / "near.py"
    path.write_text(
        "class Near:\n    input_size = (48, 64)\n    def predict(self, images): return 0.05 + images.mean(-1) / 255\n"
    )
    options = ("--predictor", f"{path}:Near", "--output", tmp_path, "--no_baselines", "--corruptions", "contrast")
    make3d = ("--datasets", "make3d", "ROOTS.MAKE3D", tiny_world / "make3d")
    call_tool("evaluate", *options, *make3d)  # whose tables have no a1
    stored = tmp_path / f"make3d_monodepth2_corruptions_{SET}.json"
    content = json.loads(stored.read_text())
    assert len(content["errors"]["contrast"]) == 5
    assert {"versions", "list_sha256", "image_format", "hardware", "contamination"} <= set(content)
    first = stored.read_bytes()
    call_tool("evaluate", *options, *make3d)
    assert json.loads(stored.read_bytes())["errors"] == json.loads(first)["errors"]
    with pytest.raises(MdtkError, match=r"another configuration \(corruptions: \['contrast'\], now \['fog'\]\)"):
        call_tool("evaluate", *options[:-1], "fog", *make3d)
    config = build_eval_config(load_config())
    with pytest.raises(MdtkError, match="photometric: corruptions are measured against ground truth"):
        evaluate_corruptions(config, get_protocol("photometric"), None, None, ["fog"])


class Listed:
    """A stand-in for a reader."""

    def __init__(self, root):
        self.root = root

    def files(self, index, offsets):
        return [self.root / "2011_09_26" / "drive" / "a.jpg"] * len(offsets)


@pytest.mark.parametrize("inner", ["", "kitti_data"])
def test_a_published_folder_is_read(tmp_path, inner):
    home = tmp_path / "kitti_c" / "fog" / "3" / inner / "2011_09_26" / "drive"
    home.mkdir(parents=True)
    Image.fromarray(IMAGE).save(home / "a.png")
    reader = CorruptedReader(Listed(tmp_path / "raw"), "fog", 3, str(tmp_path / "kitti_c"))
    (image,) = reader.images(0, [0])
    np.testing.assert_array_equal(np.asarray(image), IMAGE)
    other = CorruptedReader(Listed(tmp_path / "raw"), "fog", 4, str(tmp_path / "kitti_c"))
    with pytest.raises(MdtkError, match="image not found"):
        other.images(0, [0])

"""Inputs that were once accepted wrongly: read right now, or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mdtk.config import dump, load_config
from mdtk.core.errors import MdtkError
from mdtk.core.weights import write_weights
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.prepare.check_list import check_list
from mdtk.datasets.readers.kitti import KittiRaw
from mdtk.datasets.sequence.frames import grey_stack
from mdtk.evaluation.baselines import MEDIAN_MAP, from_grids
from mdtk.evaluation.eval_config import build_baselines
from mdtk.evaluation.io.results import cell
from mdtk.inference.images import find_inputs
from mdtk.inference.outputs import Saves, write_outputs
from mdtk.inference.scale import DepthScale
from mdtk.models import build_model, load_model


@pytest.fixture
def model(tiny_recipe, tmp_path):
    cfg = load_config(tiny_recipe)
    path = tmp_path / "m.pth"
    write_weights(path, {"model": build_model(cfg).state_dict(), "cfg": dump(cfg)})
    return load_model(path)


def test_disparity_takes_images_of_its_own_kind(model):
    image = torch.zeros(1, 3, model.height, model.width)
    assert model.disparity(image).shape == (1, 1, model.height, model.width)
    with pytest.raises(MdtkError, match=r"images are torch\.uint8; give floating-point values"):
        model.disparity(image.byte())
    for wrong in (image[:, :, 1:], image[0], image[:, :2]):
        with pytest.raises(MdtkError, match=r"images have the shape .*: resize them"):
            model.disparity(wrong)


def test_a_relative_depth_fills_its_png(tmp_path):
    disparity = np.linspace(1 / 0.25, 1 / 0.2, 300 * 400).reshape(300, 400).astype(np.float32)
    image = Image.new("RGB", (400, 300))
    scale = DepthScale(1.0, False, "none")
    write_outputs(tmp_path / "a", image, disparity, scale, Saves(png16=True), None, {})
    stored = np.asarray(Image.open(tmp_path / "a_depth_relative.png")).astype(float)
    note = json.loads((tmp_path / "a_depth.json").read_text())
    assert len(np.unique(stored)) > 10_000
    assert note["png_pixels_beyond_its_range"] == 0
    np.testing.assert_allclose(stored / note["png_value_of_one_unit"], 1 / disparity, rtol=1e-4)
    write_outputs(tmp_path / "b", image, disparity, DepthScale(5.4, True, "x"), Saves(png16=True), None, {})
    assert json.loads((tmp_path / "b_depth.json").read_text())["png_value_of_one_unit"] == 256


def test_sixteen_bit_grey_is_no_white(tmp_path):
    values = np.linspace(0, 65535, 32 * 24).reshape(24, 32).astype(np.uint16)
    for suffix in ("png", "tif"):
        Image.fromarray(values).save(tmp_path / f"a.{suffix}")
        read = np.asarray(open_rgb(tmp_path / f"a.{suffix}"))
        np.testing.assert_array_equal(read, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, 2))
    assert grey_stack([tmp_path / "a.png"]).std() > 50


def test_float_pictures_are_refused(tmp_path):
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(MdtkError, match="holds float values, which are no colours"):
        open_rgb(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_photos_are_turned_upright(tmp_path, suffix):
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.fromarray(picture).save(tmp_path / f"a.{suffix}", exif=exif)
    read = np.asarray(open_rgb(tmp_path / f"a.{suffix}"))
    assert read.shape == (32, 16, 3)
    assert read[:12].min() > 200 > 50 > read[20:].max()


def test_tif_files_of_a_folder(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.tif")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.TIFF")
    assert [path.name for path in find_inputs(tmp_path)] == ["a.tif", "b.TIFF"]


def test_check_data_on_frame_minus_one(tmp_path):
    (tmp_path / "d" / "e" / "image_02" / "data").mkdir(parents=True)
    checked = check_list(KittiRaw(tmp_path, ["d/e 0 l"]), [0, -1, 1], "train")
    assert [finding.what for finding in checked.findings] == ["list"]
    assert "has no frame at offset -1; a recording begins with frame 0" in checked.findings[0].text


def test_the_median_map_is_the_same_for_every_input_size(tiny_recipe):
    maps = [
        build_baselines(load_config(tiny_recipe, ["DATA.HEIGHT", height, "DATA.WIDTH", width])).median_map
        for height, width in (("64", "96"), ("128", "160"))
    ]
    np.testing.assert_array_equal(*maps)
    assert from_grids([np.ones((5, 7), np.float32)], "x").disparities(True)[MEDIAN_MAP].shape == (5, 7)


def test_csv_cells_are_no_formulas():
    for text in ("=1+1", "+1", "-1", "@x", "\t=1"):
        assert cell(text) == f"'{text}"
    assert cell("2011_09_26/a 5 l") == "2011_09_26/a 5 l"

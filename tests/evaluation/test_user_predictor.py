"""A predictor class in the user's own file, and examples/predictors with stand-ins for what they import."""

from __future__ import annotations

import json
import re
import sys
import types

import numpy as np
import pytest
import torch

from mdtk.core.errors import MdtkError
from mdtk.core.files import ROOT
from mdtk.evaluation.user_predictor import load_user_predictor
from tests.helpers.tools import call_tool

EXAMPLES = ROOT / "examples" / "predictors"
OWN = """
import numpy as np

class Wall:
    gives = "{gives}"
    input_size = {size}
    needs_camera = True

    def __init__(self, metres, slope=0.0):
        self.metres = metres

    def predict(self, images, cameras):
        assert images.dtype == np.uint8 and images.shape[-1] == 3 and len(images) == len(cameras)
        assert cameras[0].K[0, 0] == 100.0 * images.shape[2] / 128
        return {value} * np.ones(images.shape[:3])
"""


def own(folder, gives="depth", size="(48, 64)", value="self.metres"):
    path = folder / "my_model.py"
    path.write_text(OWN.format(gives=gives, size=size, value=value))
    return f"{path}:Wall"


def score(tiny_recipe, folder, name, *options, alignment="none"):
    command = ("evaluate", "--config", tiny_recipe, "--output", folder, "EVAL.ALIGNMENT", alignment, "--no_baselines")
    call_tool(*command, "--predictor", name, *options)
    return json.loads((folder / "sequence.json").read_text())


@pytest.mark.parametrize("size", ["(48, 64)", "None"])
def test_a_file_of_ones_own(tiny_recipe, tmp_path, capsys, size):
    content = score(tiny_recipe, tmp_path, own(tmp_path, size=size), "metres=4")
    # a wall at four metres, and a box at two
    assert content["results"]["model"]["metrics"]["abs_rel"] == pytest.approx(40 * 30 / (96 * 128), rel=1e-6)
    shown = "input 64x48" if size != "None" else "images as they are"
    assert content["predictions"].endswith(f"my_model.py:Wall(metres=4), gives depth, {shown}")
    assert content["results"]["model"]["alignment_row"]["fit"] == "none"


def test_affine_maps_of_a_file(tiny_recipe, tmp_path, capsys):
    name = own(tmp_path, "affine_disparity", value="-images[..., 0].astype(float)")
    content = score(tiny_recipe, tmp_path, name, "metres=4", alignment="auto")
    assert content["results"]["model"]["alignment"] == "scale_shift"
    assert content["results"]["model"]["predictions_are"] == "affine_disparity"
    score(tiny_recipe, tmp_path, name, "metres=4", "--overwrite", alignment="median")
    assert "affine_disparity have no depth under the alignment median" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {}, r"my_model\.py:Wall: missing a required argument: 'metres'; it takes \(metres, slope=0.0\)"),
        ({}, {"metres": 1, "steep": 2}, "got an unexpected keyword argument 'steep'"),
        ({"gives": "metres"}, {"metres": 1}, "gives is 'metres'; it is one of disparity, depth, affine_disparity"),
    ],
)
def test_wrong_classes(tmp_path, change, options, message):
    with pytest.raises(MdtkError, match=message):
        load_user_predictor(own(tmp_path, **change), options)


def test_wrong_files(tmp_path):
    name = own(tmp_path)
    with pytest.raises(MdtkError, match=r"other\.py not found"):
        load_user_predictor(str(tmp_path / "other.py:Wall"), {})
    with pytest.raises(MdtkError, match="has no class Floor; it has Wall"):
        load_user_predictor(name.replace(":Wall", ":Floor"), {})
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    with pytest.raises(MdtkError, match=r"broken\.py cannot be imported \(ModuleNotFoundError"):
        load_user_predictor(f"{tmp_path / 'broken.py'}:Wall", {})
    (tmp_path / "plain.py").write_text("class Plain: pass")
    with pytest.raises(MdtkError, match=re.escape("the class has no predict(images)")):
        load_user_predictor(f"{tmp_path / 'plain.py'}:Plain", {})


def test_a_wrong_shape_is_said(tiny_recipe, tmp_path, capsys):
    name = own(tmp_path, value="self.metres * np.ones(3) if True else")
    path = tmp_path / "my_model.py"
    path.write_text(path.read_text().replace(" * np.ones(images.shape[:3])", " 0"))
    assert call_tool(
        *("evaluate", "--config", tiny_recipe, "--output", tmp_path, "--no_baselines"),
        *("--predictor", name, "metres=1"),
    )
    assert "predict() gave float64 of shape (3,)" in capsys.readouterr().err


def test_what_a_class_raises_is_said(tiny_recipe, tmp_path, capsys):
    name = own(tmp_path, value="self.nothing")
    command = ("evaluate", "--config", tiny_recipe, "--output", tmp_path / "out", "--no_baselines", "--predictor", name)
    assert call_tool(*command, "metres=1") == 1
    error = capsys.readouterr().err
    assert re.search(
        r"predict\(\) of .* and \d others failed \(AttributeError: 'Wall' object has no .*my_model.py line", error
    )
    for value, said in (
        ("[[1.0], [[2.0]]] or 0", "ValueError"),
        ("np.zeros((len(images), 0, 0)) if 1 else 0", "of shape"),
    ):
        path = tmp_path / "my_model.py"
        own(tmp_path, value=value)
        path.write_text(path.read_text().replace(" * np.ones(images.shape[:3])", ""))
        assert call_tool(*command, "metres=1") == 1
        assert said in capsys.readouterr().err
    path.write_text("class Wall:\n    def __init__(self): 1 / 0\n    def predict(self, images): return images\n")
    with pytest.raises(MdtkError, match=r"cannot be made \(ZeroDivisionError: division by zero, my_model.py line"):
        load_user_predictor(name, {})
    for attribute, said in (
        ("input_size = 48", r"input_size is 48; it is \(height, width\)"),
        ("input_size = (0, 4)", r"input_size is \(0, 4\)"),
        ("frames = 0", "frames is 0; it is a tuple"),
        ("frames = (0, 'left')", "frames is .*; it is a tuple of whole numbers and 's'"),
    ):
        path.write_text(f"class Wall:\n    {attribute}\n    def predict(self, images): return images\n")
        with pytest.raises(MdtkError, match=said):
            load_user_predictor(name, {})


class Pipeline:
    """The interface of a transformers depth-estimation pipeline."""

    def __init__(self, task, model, device):
        assert (task, device) == ("depth-estimation", "cpu")

    def __call__(self, images):
        return [{"predicted_depth": torch.from_numpy(np.asarray(one, np.float32).mean(-1))[None]} for one in images]


def test_transformers_pipeline(tiny_recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace(pipeline=Pipeline))
    content = score(tiny_recipe, tmp_path, f"{EXAMPLES}/depth_anything_v2.py:DepthAnythingV2", alignment="midas")
    assert content["results"]["model"]["alignment"] == "midas"


def test_transformers_itself(tiny_recipe, tmp_path, capsys):
    transformers = pytest.importorskip("transformers")
    config = transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, is_hybrid=False,
    )  # fmt: skip
    transformers.DPTForDepthEstimation(config).save_pretrained(tmp_path / "tiny")
    transformers.DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "tiny")
    name = f"{EXAMPLES}/depth_anything_v2.py:DepthAnythingV2"
    assert score(tiny_recipe, tmp_path, name, f"checkpoint={tmp_path / 'tiny'}", alignment="midas")["images"] > 0


class Session:
    """The interface of an onnxruntime session."""

    def __init__(self, path, providers):
        assert providers == ["CPUExecutionProvider"]

    def get_inputs(self):
        return [types.SimpleNamespace(name="image")]

    def run(self, outputs, feeds):
        assert feeds["image"].dtype == np.float32
        return [0.5 + feeds["image"].mean(1, keepdims=True)]


def test_onnx_file(tiny_recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", types.SimpleNamespace(InferenceSession=Session))
    options = ("path=a.onnx", "height=32", "width=64", "gives=depth")
    content = score(tiny_recipe, tmp_path, f"{EXAMPLES}/onnx_file.py:OnnxFile", *options, alignment="median")
    assert "gives depth, input 64x32" in content["predictions"]


def test_torch_hub(tiny_recipe, tmp_path, capsys):
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "hubconf.py").write_text("import torch\ndef tiny(): return torch.nn.Conv2d(3, 1, 3, padding=1)\n")
    options = (f"repository={hub}", "model=tiny", "height=32", "width=64", "source=local")
    content = score(tiny_recipe, tmp_path, f"{EXAMPLES}/torch_hub.py:TorchHub", *options, alignment="auto")
    assert content["results"]["model"]["predictions_are"] == "affine_disparity"


def test_stereo_matching_measures_the_rendered_world(tiny_world, tmp_path, capsys):
    command = ("--predictor", f"{EXAMPLES}/stereo_sgbm.py:StereoSGBM", "disparities=64", "--alignment", "none")
    roots = ("ROOTS.KITTI_RAW", tiny_world / "kitti_raw", "DATA.INTRINSICS", "calibrated")
    call_tool("evaluate", *command, "--no_baselines", "--datasets", "kitti_eigen", "--output", tmp_path, *roots)
    content = json.loads((tmp_path / "kitti_eigen_monodepth2.json").read_text())
    assert content["input_frames"] == [0, "s"]
    assert content["results"]["model"]["metrics"]["abs_rel"] < 0.25

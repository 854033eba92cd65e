"""Exported files: the same numbers from ONNX Runtime and torch.export, at any batch size; no file when they differ."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mdtk.config import dump, load_config
from mdtk.core.errors import MdtkError
from mdtk.core.weights import write_weights
from mdtk.datasets.sequence.video_frames import read_frames
from mdtk.inference import exported
from mdtk.inference.exported import depth_part, export, motion_part
from mdtk.inference.onnx_file import run_onnx
from mdtk.models import LoadedModel, build_model
from mdtk.viz.film import write_film
from tests.helpers.tiny import PROJECT
from tests.helpers.tools import call_tool


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(0)
    keys = "MODEL.ENCODER resnet10t MODEL.POSE_ENCODER resnet10t MODEL.SCALES [0] DATA.HEIGHT 32 DATA.WIDTH 64"
    cfg = load_config(None, [*keys.split(), "SOLVER.PRECISION", "bf16"])
    return LoadedModel(build_model(cfg).eval(), cfg, "c0ffee", Path("weights.pth"), torch.device("cpu"))


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 32, 64, generator=torch.Generator().manual_seed(10 * count + seed))


def test_a_missing_package_is_named_with_its_cure(model, tmp_path, monkeypatch):
    real = importlib.import_module

    def import_module(name):
        if name == "onnxscript":
            raise ImportError(name)
        return real("json") if name.startswith("onnx") else real(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    with pytest.raises(MdtkError, match=r"needs onnxscript, .*not installed: pip install onnx onnxscript onnxruntime"):
        export(depth_part(model), tmp_path / "m.onnx", (images(1),))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def onnx_path(model, tmp_path_factory) -> Path:
    """The depth network as a file, written once: an export takes seconds."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="ONNX export is an extra: pip install mdtk-depth[onnx]")
    path = tmp_path_factory.mktemp("exported") / "m.onnx"
    assert export(depth_part(model), path, (images(1),)).relative < 1e-5
    return path


def test_onnx_runtime_agrees_at_every_batch_size(model, onnx_path, monkeypatch):
    path, part = onnx_path, depth_part(model)
    assert [one.name for one in path.parent.iterdir()] == ["m.onnx"]  # weights and all
    for count in (1, 3):
        with torch.no_grad():
            expected = part.network(images(count)).numpy()
        assert expected.std() > 0
        np.testing.assert_allclose(run_onnx(path, {"image": images(count).numpy()}), expected, atol=1e-5)
    onnx = importlib.import_module("onnx")
    notes = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert notes["checkpoint_sha256"] == "c0ffee"
    assert model.system.precision == "bf16"  # the model itself is left as it was

    content, run = path.read_bytes(), exported.run_onnx
    monkeypatch.setattr(exported, "write_onnx", lambda *given: given[5].write_bytes(content))
    monkeypatch.setattr(exported, "run_onnx", lambda *given: run(*given) * 1.01)
    with pytest.raises(
        MdtkError, match=r"is not written: what it gives differs from torch by 0.01 of the largest disp"
    ):
        export(part, path, (images(1),))
    assert path.read_bytes() == content


def test_a_static_file_in_half_precision(model, tmp_path, onnx_path):
    half = tmp_path / "h.onnx"
    parity = export(depth_part(model), half, (images(2),), exported.HALF_TOLERANCE, static=True, half=True)
    assert parity.images == 2
    assert 1e-6 < parity.relative < exported.HALF_TOLERANCE
    assert half.stat().st_size < 0.6 * onnx_path.stat().st_size
    onnx = importlib.import_module("onnx")
    shape = [one.dim_value for one in onnx.load(str(half)).graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 3, model.height, model.width]
    assert run_onnx(half, {"image": images(1).numpy()}).dtype == np.float32
    with pytest.raises(Exception, match="dimension"):
        run_onnx(half, {"image": images(2).numpy()})


def test_the_pose_network_too(model, onnx_path, tmp_path):
    path, part, first, second = tmp_path / "pose.onnx", motion_part(model), images(2), images(2, 1)
    assert export(part, path, (first, second)).relative < 1e-5
    with torch.no_grad():
        expected = part.network(first[:1], second[:1]).numpy()
    assert np.abs(expected - np.eye(4)).max() > 1e-4  # not the identity
    found = run_onnx(path, {"first": first[:1].numpy(), "second": second[:1].numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_command_writes_both_networks_for_torch_export(model, tmp_path, capsys):
    path = tmp_path / "weights.pth"
    write_weights(path, {"model": model.system.state_dict(), "cfg": dump(model.cfg)})
    call_tool("export_onnx", "--checkpoint", path, "--output", tmp_path / "m.pt2", "--pose")
    printed = capsys.readouterr().out
    assert re.search(r"image 1…B x 3 x 32 x 64 → disparity; wrote \S+m\.pt2", printed)
    assert re.search(r"first and second 1…B x 3 x 32 x 64 → motion; wrote \S+m_pose\.pt2", printed)
    notes = {"output.txt": ""}
    depth = torch.export.load(tmp_path / "m.pt2", extra_files=notes).module()
    assert notes["output.txt"].startswith("disparity = 1 / depth")
    motion, frames = torch.export.load(tmp_path / "m_pose.pt2").module(), (images(3), images(3, 1))
    with torch.no_grad():
        for found, part, given in ((depth, depth_part(model), frames[:1]), (motion, motion_part(model), frames)):
            np.testing.assert_allclose(found(*given).numpy(), part.network(*given).numpy(), atol=1e-5)
    for output, options, message in (
        ("m.tflite", (), r"m\.tflite must end with \.onnx, \.pt2 or"),
        ("h.pt2", ("--half",), r"--half is of \.onnx files"),
    ):
        with pytest.raises(MdtkError, match=message):
            call_tool("export_onnx", "--checkpoint", path, "--output", tmp_path / output, *options)


def test_the_camera_example_shows_depth(onnx_path, tmp_path):
    """examples/camera_depth.py, with a film in place of the camera and a file in place of the window."""
    pictures = [np.full((60, 80, 3), 20 * number, np.uint8) for number in range(5)]
    write_film(tmp_path / "in.webm", pictures, 10.0)
    script = PROJECT / "examples" / "camera_depth.py"
    assert len(script.read_text().splitlines()) <= 45
    command = [sys.executable, script, onnx_path, tmp_path / "in.webm", tmp_path / "out.webm"]
    subprocess.run(command, check=True, capture_output=True)
    frames = list(read_frames(tmp_path / "out.webm"))
    assert len(frames) == 5
    assert frames[0].shape == (120, 80, 3)


def test_the_camera_example_keeps_its_colours_when_something_near_passes(tmp_path):
    """The range of colours follows slowly: a bright thing in one frame must not repaint the others."""
    onnx = pytest.importorskip("onnx", reason="ONNX export is an extra: pip install mdtk-depth[onnx]")
    pytest.importorskip("onnxruntime")
    kinds = [(name, [1, planes, 32, 64]) for name, planes in (("image", 3), ("disparity", 1))]
    given, made = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in kinds)
    planes = onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), 1 / 3, np.float32), "mean")
    node = onnx.helper.make_node("Conv", ["image", "mean"], ["disparity"])
    graph = onnx.helper.make_graph([node], "grey", [given], [made], [planes])
    opset = onnx.helper.make_opsetid("", 13)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), tmp_path / "grey.onnx")
    ramp = np.tile(np.linspace(0, 120, 128).astype(np.uint8)[None, :, None], (64, 1, 3))
    passing = ramp.copy()
    passing[:24] = 250
    write_film(tmp_path / "in.webm", [ramp, ramp, passing, ramp, ramp], 10.0)
    script = PROJECT / "examples" / "camera_depth.py"
    words = [sys.executable, script, tmp_path / "grey.onnx", tmp_path / "in.webm", tmp_path / "out.webm"]
    subprocess.run(words, check=True, capture_output=True)
    frames = [frame.astype(float)[64 + 32 : 120, 40:88].mean((0, 1)) for frame in read_frames(tmp_path / "out.webm")]
    assert np.ptp(frames, axis=0).max() < 16  # with a range of its own the third frame is far darker

"""ONNX export: the same disparity from ONNX Runtime, at any batch size; no file when it differs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.datasets.sequence.video_frames import read_frames
from mdtk.inference import onnx_file as export_onnx
from mdtk.models import LoadedModel, build_model
from mdtk.viz.film import write_film
from tests.helpers.tiny import PROJECT


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(0)
    keys = "MODEL.ENCODER mobilenetv3_small_050 MODEL.POSE none DATA.SOURCES [] DATA.STEREO true DATA.HEIGHT 32"
    cfg = load_config(None, [*keys.split(), "DATA.WIDTH", "64", "SOLVER.PRECISION", "bf16"])
    return LoadedModel(build_model(cfg).eval(), cfg, "c0ffee", Path("weights.pth"), torch.device("cpu"))


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 32, 64, generator=torch.Generator().manual_seed(count))


def test_a_missing_package_is_named_with_its_cure(model, tmp_path, monkeypatch):
    real = importlib.import_module

    def import_module(name):
        if name == "onnxscript":
            raise ImportError(name)
        return real("json") if name.startswith("onnx") else real(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(torch, "__version__", "2.6.0")
    with pytest.raises(MdtkError, match="onnxscript is not installed: pip install onnx onnxscript onnxruntime"):
        export_onnx.export_onnx(model, tmp_path / "m.onnx", images(1))
    assert not list(tmp_path.iterdir())


def test_onnx_runtime_agrees_at_every_batch_size(model, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx", reason="ONNX export is an extra: pip install mdtk-depth[onnx]")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "m.onnx"
    parity = export_onnx.export_onnx(model, path, images(1))
    assert parity.relative < 1e-5
    network = export_onnx.DisparityNetwork(model)
    for count in (1, 3):
        with torch.no_grad():
            expected = network(images(count)).numpy()
        assert expected.std() > 0
        np.testing.assert_allclose(export_onnx.run_onnx(runtime, path, images(count).numpy()), expected, atol=1e-5)
    notes = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert notes["checkpoint_sha256"] == "c0ffee"
    assert model.system.precision == "bf16"  # the model itself is left as it was

    content, run = path.read_bytes(), export_onnx.run_onnx
    monkeypatch.setattr(export_onnx, "_write", lambda network, images, target, static: target.write_bytes(content))
    monkeypatch.setattr(export_onnx, "run_onnx", lambda *args: run(*args) * 1.01)
    with pytest.raises(MdtkError, match=r"is not written: ONNX Runtime differs from torch by 0.01"):
        export_onnx.export_onnx(model, path, images(1))
    assert path.read_bytes() == content


def test_a_static_file_takes_one_image(model, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "m.onnx"
    parity = export_onnx.export_onnx(model, path, images(2), static=True)
    assert (parity.images, parity.relative < 1e-5) == (2, True)
    shape = [one.dim_value for one in onnx.load(str(path)).graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 3, model.height, model.width]
    with pytest.raises(Exception, match="dimension"):
        export_onnx.run_onnx(runtime, path, images(2).numpy())


def test_the_camera_example_shows_depth(model, tmp_path):
    """examples/camera_depth.py, with a film in place of the camera and a file in place of the window."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    export_onnx.export_onnx(model, tmp_path / "m.onnx", images(1))
    pictures = [np.full((60, 80, 3), 20 * number, np.uint8) for number in range(5)]
    write_film(tmp_path / "in.webm", pictures, 10.0)
    script = PROJECT / "examples" / "camera_depth.py"
    assert len(script.read_text().splitlines()) <= 45
    command = [sys.executable, script, tmp_path / "m.onnx", tmp_path / "in.webm", tmp_path / "out.webm"]
    subprocess.run(command, check=True, capture_output=True)
    frames = list(read_frames(tmp_path / "out.webm"))
    assert len(frames) == 5
    assert frames[0].shape == (120, 80, 3)

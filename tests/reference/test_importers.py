"""Every stored network, through its published file format, gives the published output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mdtk.convert import ConvertedCheckpoint, convert
from mdtk.convert.mxnet_params import read_params
from mdtk.convert.paddle import read_pdparams
from mdtk.geometry.pose import pose_matrix
from mdtk.models import build_model, load_model
from mdtk.models.system import DepthSystem
from tests.helpers.published_files import write_bdedepth, write_monodepth2, write_paddle, write_params
from tests.reference.stored import Stored

TOLERANCE = 1e-4


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Emptied at once: the larger checkpoints would otherwise stay on disk after the tests."""
    yield tmp_path
    for file in sorted(tmp_path.rglob("*")):
        if file.is_file():
            file.unlink()


def networks_keys(reference, reader: str, name: str) -> dict:
    keys = reference.json(f"{reader}_state_dict_keys")
    start = f"{reader}/{name}/"
    return {key.removeprefix(start): value for key, value in keys.items() if key.startswith(start)}


def filled_parts(reference, reader: str, name: str) -> dict[str, dict[str, np.ndarray]]:
    keys = networks_keys(reference, reader, name)
    return {part: reference.filled(shapes, f"{reader}/{name}") for part, shapes in keys.items()}


def system_of(converted: ConvertedCheckpoint) -> DepthSystem:
    """Its networks in eval mode, without the cost of an initialisation that the weights replace."""
    with torch.device("meta"):
        system = build_model(converted.cfg)
    system.load_state_dict(converted.state, strict=True, assign=True)
    return system.eval()


def check_depth(converted: ConvertedCheckpoint, reference, expected: Stored, names: list[str]) -> None:
    """`names`: the stored outputs, finest first."""
    system = system_of(converted)
    with torch.no_grad():
        outputs = system.depth(torch.from_numpy(reference.images(3)))
    assert sorted(outputs) == list(range(len(names)))
    for scale, name in enumerate(names):
        stored, ours = expected[name], expected.at(name, outputs[scale].numpy())
        assert stored.std() > 1e-3, "a constant output would prove nothing"
        np.testing.assert_allclose(ours, stored, rtol=0, atol=TOLERANCE)


def check_pose(converted: ConvertedCheckpoint, reference, expected: dict[str, np.ndarray], prefix: str) -> None:
    """The stored poses are of one pair, the earlier frame first; all that the decoder predicts is compared."""
    network = system_of(converted).pose
    pair = torch.from_numpy(reference.images(6))
    with torch.no_grad():
        features = pair if network.kind == "posecnn" else [network.encoder(pair)[-1]]
        raw = network.decoder(features)
        # The whole network: once with the reference first (a later source), once with it second (an earlier one).
        frames = torch.stack([pair[:, :3], pair[:, 3:]], dim=1)
        later = network(frames, [1])
        earlier = network(frames.flip(1), [-1])
    for part, name in enumerate(("axisangle", "translation")):
        stored = expected[f"{prefix}{name}"][:, :, 0]
        assert np.abs(stored).max() > TOLERANCE, "outputs near zero would prove nothing"
        np.testing.assert_allclose(raw[part].numpy(), stored, rtol=0, atol=TOLERANCE / 10)
        np.testing.assert_allclose(later[part].numpy()[:, 0], stored[:, 0], rtol=0, atol=TOLERANCE / 10)
        np.testing.assert_allclose(earlier[part].numpy()[:, 0], stored[:, 0], rtol=0, atol=TOLERANCE / 10)
    assert network.inverted([1]) == (False,)
    assert network.inverted([-1]) == (True,)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_monodepth2(reference, folder, name):
    parts = filled_parts(reference, "monodepth2", name)
    converted = convert(write_monodepth2(folder, parts))
    stored = reference.npz("monodepth2_networks")
    check_depth(converted, reference, stored, [f"monodepth2/{name}/disp{s}" for s in range(4)])
    check_pose(converted, reference, stored, f"monodepth2/{name}/")
    assert converted.cfg.MODEL.ENCODER == converted.cfg.MODEL.POSE_ENCODER == name
    assert sorted(converted.dropped) == sorted(
        f"{part}:encoder.fc.{leaf}" for part in ("encoder", "pose_encoder") for leaf in ("weight", "bias")
    )


def test_monodepth2_posecnn(reference, folder):
    parts = filled_parts(reference, "monodepth2", "resnet18")
    parts.pop("pose_encoder")
    parts["pose"] = filled_parts(reference, "monodepth2", "posecnn")["pose"]
    converted = convert(write_monodepth2(folder, parts))
    check_pose(converted, reference, reference.npz("monodepth2_networks"), "monodepth2/posecnn/")
    assert converted.cfg.MODEL.POSE == "posecnn"


@pytest.mark.parametrize(
    ("name", "encoder"), [("resnet18", "resnet18"), ("resnet50", "resnet50"), ("hrnet18", "hrnet_w18")]
)
def test_bdedepth(reference, folder, name, encoder):
    parts = filled_parts(reference, "bdedepth", name)
    pose = filled_parts(reference, "bdedepth", "resnet18")
    parts |= {part: pose[part] for part in ("pose_encoder", "pose")}
    converted = convert(write_bdedepth(folder / "model19.pth", parts))
    stored = reference.npz("bdedepth_networks")
    model = dict(converted.cfg.MODEL)
    assert model["ENCODER"] == encoder
    assert model["DECODER"] == "grid"
    assert model["CONTEXT_STEM"]
    check_depth(converted, reference, stored, [f"bdedepth/{name}/disp{s}" for s in range(4)])
    if name == "resnet18":
        check_pose(converted, reference, stored, "bdedepth/resnet18/")


def test_bdedepth_single_scale(reference, folder):
    """One head is inferred from the keys; the outputs are those behind the stored losses."""
    keys = reference.json("bdedepth_single_scale_state_dict_keys")
    parts = {part: reference.filled(shapes) for part, shapes in keys.items()}
    converted = convert(write_bdedepth(folder / "ckpt.pth", parts))
    assert converted.cfg.MODEL.SCALES == [0]
    stored = reference.npz("bdedepth_losses")
    check_loss_networks(system_of(converted), stored)


def check_loss_networks(system, stored: dict[str, np.ndarray]) -> None:
    frames = torch.stack([torch.from_numpy(stored[f"batch/color_{f}_0"]) for f in (0, -1, 1)], dim=1)
    with torch.no_grad():
        for view in ("", "_local"):
            disparity = system.depth(torch.from_numpy(stored[f"batch/color{view}_0_0"]))[0]
            np.testing.assert_allclose(disparity.numpy(), stored[f"outputs/disp{view}_0"], rtol=0, atol=TOLERANCE)
        axisangle, translation, _ = system.pose(frames, [-1, 1])
    for index, (offset, inverted) in enumerate(zip((-1, 1), system.pose.inverted([-1, 1]), strict=True)):
        matrix = pose_matrix(axisangle[:, index], translation[:, index], inverted)
        np.testing.assert_allclose(matrix.numpy(), stored[f"outputs/cam_T_cam_0_{offset}"], rtol=0, atol=TOLERANCE)


def test_paddle(reference, folder):
    keys = reference.json("paddle_state_dict_keys")
    parts = {part: reference.filled(shapes) for part, shapes in keys.items()}
    converted = convert(write_paddle(folder, parts))
    stored = reference.npz("paddle_networks")
    check_depth(converted, reference, stored, [f"disp{s}" for s in range(4)])
    check_pose(converted, reference, stored, "")
    assert converted.meta["source_format"] == "paddle"


def test_gluoncv(reference, folder):
    keys = reference.json("gluoncv_state_dict_keys")
    for part, shapes in keys.items():
        write_params(folder / f"{part}.params", gluon_filled(reference, shapes))
    converted = convert(folder)
    stored = reference.npz("gluoncv_networks")
    check_depth(converted, reference, stored, [f"out{3 - s}" for s in range(4)])  # out0 is the coarsest
    check_pose(converted, reference, stored, "")


def gluon_filled(reference, shapes: dict) -> dict[str, np.ndarray]:
    """Both names of a decoder parameter have the value of the second, which the stored network was filled by last."""
    filled = reference.filled(shapes)
    for name in list(filled):
        for second in ("decoder.decoder.", "decoder.net."):
            if name.startswith(second):
                filled[name.replace(second, "decoder.", 1)] = filled[name]
    return filled


def test_every_stored_network_is_listed_here(reference):
    """A new entry in the reference folder must not go unchecked."""
    listed = {
        "monodepth2": {"monodepth2/resnet18", "monodepth2/resnet50", "monodepth2/posecnn"},
        "bdedepth": {"bdedepth/resnet18", "bdedepth/resnet50", "bdedepth/hrnet18"},
        "paddle": {""},
        "gluoncv": {""},
    }
    for reader, networks in listed.items():
        assert {key.rpartition("/")[0] for key in reference.npz(f"{reader}_networks")} == networks


def test_tiny_files(reference):
    """The real formats' smallest files: one convolution, with a plain integer in Paddle's."""
    shapes = {"conv.weight": (2, 3, 3, 3), "conv.bias": (2,)}
    arrays, values = read_pdparams(reference.folder / "tiny.pdparams")
    assert values == {"height": 192}
    assert {name: array.shape for name, array in arrays.items()} == shapes
    arrays_mxnet = read_params(reference.folder / "tiny.params")
    assert {name: array.shape for name, array in arrays_mxnet.items()} == shapes
    for name in shapes:
        assert np.isfinite(arrays[name]).all()
        assert 0 < np.abs(arrays[name]).max() < 5
        assert arrays[name].dtype == np.float32
        np.testing.assert_array_equal(arrays[name], arrays_mxnet[name])


def test_converted_file_opens_and_predicts(reference, folder):
    parts = filled_parts(reference, "monodepth2", "resnet18")
    convert(write_monodepth2(folder / "m2", parts)).save(folder / "native.pth")
    model = load_model(folder / "native.pth")
    assert (model.height, model.width) == (64, 96)
    stored, name = reference.npz("monodepth2_networks"), "monodepth2/resnet18/disp0"
    expected = 0.01 + (10 - 0.01) * stored[name]  # 1/100 m at sigmoid 0, 1/0.1 m at 1
    disparity = model.disparity(torch.from_numpy(reference.images(3))).numpy()
    np.testing.assert_allclose(stored.at(name, disparity), expected, rtol=0, atol=10 * TOLERANCE)

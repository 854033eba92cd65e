"""ImageNet weights of a backbone: what the converted file starts, whole or beside another pose encoder."""

from __future__ import annotations

import functools
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import timm
import torch

from mdtk.config import load_config
from mdtk.convert import convert
from mdtk.core.errors import MdtkError
from mdtk.core.files import ROOT
from mdtk.core.weights import load_parts, read_weights
from mdtk.models import build_model
from tests.helpers import published_networks as nets
from tests.helpers.published_files import tensors, write_monodepth2

HRNET_RECIPE = ROOT / "configs" / "kitti" / "bdedepth_hrnet18_640x192.yaml"


def write_imagenet(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    elif path.suffix == ".pdparams":
        path.write_bytes(pickle.dumps(nets.paddle_spelling(arrays), protocol=4))
    else:
        torch.save(tensors(arrays), path)
    return path


@pytest.mark.parametrize("suffix", [".h5", ".pdparams", ".pth"])
def test_imagenet_weights_start_a_training(tmp_path, suffix):
    arrays = nets.resnet18(prefix="")
    converted = convert(write_imagenet(tmp_path / f"resnet18-pytorch{suffix}", arrays))
    assert sorted(name.rpartition(":")[2] for name in converted.dropped) == ["fc.bias", "fc.weight"]
    system = build_model(converted.cfg)
    load_parts(system, converted.state, ["depth.encoder.backbone", "pose.encoder.backbone"], "test")
    conv1 = torch.from_numpy(arrays["conv1.weight"])
    assert torch.equal(system.depth.encoder.backbone.conv1.weight, conv1)
    torch.testing.assert_close(system.pose.encoder.backbone.conv1.weight, torch.cat([conv1, conv1], 1) / 2)
    cfg = converted.cfg.clone()
    cfg.MODEL.CONTEXT_STEM = True
    with_stem = build_model(cfg)
    load_parts(with_stem, converted.state, ["depth.encoder", "pose.encoder"], "test")
    assert torch.equal(with_stem.depth.encoder.context.conv.weight, conv1)


def test_imagenet_file_must_be_complete(tmp_path):
    arrays = nets.resnet18(prefix="")
    del arrays["layer3.0.conv2.weight"]
    arrays["extra"] = np.zeros(2, np.float32)
    with pytest.raises(MdtkError, match=r"missing: x\.h5:layer3\.0\.conv2\.weight; unexpected: x\.h5:extra"):
        convert(write_imagenet(tmp_path / "x.h5", arrays))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Emptied at once: the HRNets would otherwise stay on disk after the tests."""
    yield tmp_path
    for file in tmp_path.iterdir():
        file.unlink()


@functools.cache
def hrnet18() -> dict[str, np.ndarray]:
    """An HRNet-18 classifier with the names of its published file; its widening head is cut to a number each."""
    with torch.device("meta"):
        state = timm.create_model("hrnet_w18").state_dict()
    head = ("classifier.", "incre_modules.", "downsamp_modules.", "final_layer.")
    return nets.values({n: (1,) if n.startswith(head) else tuple(t.shape) for n, t in state.items()}, seed=0)


def advised_parts(notes: list[str], context_stem: bool) -> list[str]:
    """MODEL.WEIGHTS_PARTS as the note says them: first those without the context stem, then those with it."""
    without, with_stem = re.findall(r"\[([^]]*)\]", " ".join(notes))
    return (with_stem if context_stem else without).split(", ")


@pytest.mark.parametrize("context_stem", [False, True])
@pytest.mark.parametrize("pose", [False, True])
def test_hrnet_recipe_starts_from_converted_weights(folder, pose, context_stem):
    """As a training loads it (MODEL.PRETRAINED false): every advised part fits, nothing else changes."""
    file = write_imagenet(folder / "HRNet_W18_C.pth.tar", hrnet18())
    pose_file = write_imagenet(folder / "resnet18.pth", nets.resnet18(prefix="")) if pose else None
    converted = convert(file, pose_path=pose_file)
    assert (converted.cfg.MODEL.ENCODER, converted.cfg.MODEL.POSE_ENCODER) == ("hrnet_w18", "resnet18")
    assert any(name.startswith("pose.") for name in converted.state) == pose
    assert any("--pose_input" in note and "MODEL.PRETRAINED true" in note for note in converted.notes) == (not pose)
    converted.save(folder / "start.pth")
    parts = advised_parts(converted.notes, context_stem)
    choices = ["MODEL.PRETRAINED", "false", "MODEL.CONTEXT_STEM", str(context_stem)]
    system = build_model(load_config(HRNET_RECIPE, choices))
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    loaded = load_parts(system, read_weights(folder / "start.pth")["model"], parts, "start.pth")
    assert set(loaded) == {n for n in before if n.startswith(("depth.encoder.", *(["pose.encoder."] if pose else [])))}
    after = system.state_dict()
    conv1 = torch.from_numpy(hrnet18()["conv1.weight"])
    assert torch.equal(after["depth.encoder.backbone.conv1.weight"], conv1)
    if context_stem:
        assert torch.equal(after["depth.encoder.context.conv.weight"], conv1)
    if pose:
        half = torch.from_numpy(nets.resnet18(prefix="")["conv1.weight"]) / 2
        torch.testing.assert_close(after["pose.encoder.backbone.conv1.weight"], torch.cat([half, half], 1))
    assert all(torch.equal(after[name], before[name]) for name in before.keys() - set(loaded))


def test_a_pose_file_takes_the_place_of_the_copy(tmp_path):
    file = write_imagenet(tmp_path / "a.pth", nets.resnet18(prefix=""))
    pose = nets.resnet18(prefix="", seed=7)
    converted = convert(file, pose_path=write_imagenet(tmp_path / "b.h5", pose))
    half = torch.from_numpy(pose["conv1.weight"]) / 2
    torch.testing.assert_close(converted.state["pose.encoder.backbone.conv1.weight"], torch.cat([half, half], 1))
    assert sorted(converted.dropped) == ["a.pth:fc.bias", "a.pth:fc.weight", "b.h5:fc.bias", "b.h5:fc.weight"]
    assert (converted.meta["source"], converted.meta["pose_source"]) == ("a.pth", "b.h5")


def test_a_pose_file_beside_a_whole_checkpoint_is_refused(tmp_path):
    folder = write_monodepth2(tmp_path / "m2", nets.monodepth2())
    with pytest.raises(MdtkError, match=r"^--pose_input goes with .*m2 is a monodepth2 checkpoint$"):
        convert(folder, pose_path=tmp_path / "resnet18.pth")


def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import convert_checkpoint

    source = write_imagenet(tmp_path / "a.pth", nets.resnet18(prefix=""))
    arguments = ["--input", str(source), "--pose_input", str(source), "--output", str(tmp_path / "start.pth")]
    monkeypatch.setattr(sys, "argv", ["convert", *arguments])
    convert_checkpoint.main()
    printed = capsys.readouterr().out
    assert "imagenet: resnet18 without a decoder, " in printed
    assert "MODEL.ENCODER resnet18 and MODEL.POSE_ENCODER resnet18" in printed
    assert "[depth.encoder, pose.encoder] with MODEL.CONTEXT_STEM" in printed
    assert "pose.encoder.backbone.conv1.weight" in read_weights(tmp_path / "start.pth")["model"]


@pytest.mark.parametrize("kind", ["external link", "soft link", "group", "external storage", "virtual", "text"])
def test_h5_that_reaches_out_is_refused(tmp_path, kind):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones(4, np.float32).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["a"] = np.ones(4, np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if kind == "external link":
            file["a"] = h5py.ExternalLink("other.h5", "a")
        elif kind == "soft link":
            file["a"] = h5py.SoftLink("/b")
        elif kind == "group":
            file.create_group("a")
        elif kind == "external storage":
            file.create_dataset("a", (4,), "f4", external=[(str(secret), 0, 16)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "a", (4,))
            file.create_virtual_dataset("a", layout)
        else:
            file["a"] = "text"
    with pytest.raises(MdtkError, match="refused, a is not a plain array"):
        convert(tmp_path / "x.h5")

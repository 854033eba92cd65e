"""Weights files of timm backbones, in every form in which they are found, start a training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from mdtk.convert import convert
from mdtk.core.errors import MdtkError
from mdtk.core.weights import load_parts
from mdtk.models import build_model

PARTS = ["depth.encoder.backbone", "pose.encoder.backbone"]
IMAGE = torch.linspace(0, 1, 3 * 64 * 96).reshape(1, 3, 64, 96).sin().abs()


def weights(name: str) -> dict[str, Tensor]:
    torch.manual_seed(5)
    model = timm.create_model(name)
    for parameter in model.parameters():  # none keeps a value that another model would start with
        torch.nn.init.normal_(parameter, 0.1, 0.05)
    return model.state_dict()


def timm_features(name: str, state: dict[str, Tensor], frames: int) -> list[Tensor]:
    """What timm's own loading of the same weights gives for `frames` times the image, in eval mode."""
    overlay = {"state_dict": dict(state)}
    options = {"features_only": True, "pretrained": True, "pretrained_cfg_overlay": overlay}
    model = timm.create_model(name, in_chans=3 * frames, **options).eval()
    with torch.no_grad():
        return model((IMAGE.repeat(1, frames, 1, 1) - 0.45) / 0.225)


def check_start(name: str, state: dict[str, Tensor], source: Path, *overrides: str) -> None:
    """Both encoders of a system that starts from the converted file compute what timm computes with the weights."""
    converted = convert(source, overrides=overrides)
    assert converted.cfg.MODEL.ENCODER == converted.cfg.MODEL.POSE_ENCODER == name
    system = build_model(converted.cfg).eval()
    load_parts(system, converted.state, PARTS, "test")
    with torch.no_grad():
        depth, pose = system.depth.encoder(IMAGE), system.pose.encoder(IMAGE.repeat(1, 2, 1, 1))
    wanted = {feature.shape: feature for feature in timm_features(name, state, 1)}
    assert depth
    for feature in depth:
        torch.testing.assert_close(feature, wanted[feature.shape])
    torch.testing.assert_close(pose[-1], timm_features(name, state, 2)[-1])


def test_safetensors_beside_the_hubs_configuration(tmp_path):
    """convnext_atto: timm's feature model spells its names otherwise."""
    state = weights("convnext_atto")
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "convnext_atto"}))
    check_start("convnext_atto", state, tmp_path / "model.safetensors")


def test_trainers_file_named_after_its_backbone(tmp_path):
    state = weights("lcnet_035")
    file = tmp_path / "lcnet_035-a1b2c3d4.pth"
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, file)
    check_start("lcnet_035", state, file)


def test_name_given(tmp_path):
    state = weights("lcnet_035")
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(MdtkError, match=r"say which timm backbone it holds: MODEL\.ENCODER NAME"):
        convert(tmp_path / "pytorch_model.bin")
    check_start("lcnet_035", state, tmp_path / "pytorch_model.bin", "MODEL.ENCODER", "lcnet_035")
    with pytest.raises(MdtkError, match=r"is not a complete lcnet_050 classifier \(.*size mismatch"):
        convert(tmp_path / "pytorch_model.bin", overrides=["MODEL.ENCODER", "lcnet_050"])
    with pytest.raises(MdtkError, match="timm has no backbone named 'lcnet_36'"):
        convert(tmp_path / "pytorch_model.bin", overrides=["MODEL.ENCODER", "lcnet_36"])


def test_incomplete_file(tmp_path):
    state = weights("lcnet_035")
    del state["conv_stem.weight"]
    torch.save(state, tmp_path / "lcnet_035.pth")
    with pytest.raises(MdtkError, match=r"lcnet_035\.pth is not a complete lcnet_035 classifier.*conv_stem\.weight"):
        convert(tmp_path / "lcnet_035.pth")


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0" + b"{" * 16])
def test_damaged_safetensors(tmp_path, content):
    (tmp_path / "lcnet_035.safetensors").write_bytes(content)
    with pytest.raises(MdtkError, match=r"safetensors file cannot be read|its header claims"):
        convert(tmp_path / "lcnet_035.safetensors")


# Blocks of each stage of EfficientNet-Lite0 and B0 (Tan and Le 2019, table 1).
BLOCKS = (1, 2, 2, 3, 3, 4, 1)


def ported_names(squeeze: bool) -> Iterator[str]:
    """The modules of the first PyTorch port in its order."""
    yield from ("_conv_stem", "_bn0")
    for block in range(sum(BLOCKS)):
        if block:
            yield from (f"_blocks.{block}._expand_conv", f"_blocks.{block}._bn0")
        yield from (f"_blocks.{block}._depthwise_conv", f"_blocks.{block}._bn1")
        if squeeze:
            yield from (f"_blocks.{block}._se_reduce", f"_blocks.{block}._se_expand")
        yield from (f"_blocks.{block}._project_conv", f"_blocks.{block}._bn2")
    yield from ("_conv_head", "_bn1", "_fc")


def ported(state: dict[str, Tensor], squeeze: bool) -> dict[str, Tensor]:
    """A state under the port's names: its modules have the order of timm's."""
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    new = dict(zip(modules, ported_names(squeeze), strict=True))
    return {f"{new[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": value for name, value in state.items()}


@pytest.mark.parametrize(("file_name", "name"), [("efficientnet-lite0-57934424.pth", "tf_efficientnet_lite0")])
def test_first_port_of_efficientnet(tmp_path, file_name, name):
    state = weights(name)
    torch.save(ported(state, squeeze=False), tmp_path / file_name)
    check_start(name, state, tmp_path / file_name)


def test_first_port_with_squeeze_and_excitation(tmp_path):
    state = weights("tf_efficientnet_b0")
    torch.save(ported(state, squeeze=True), tmp_path / "efficientnet-b0-355c32eb.pth")
    converted = convert(tmp_path / "efficientnet-b0-355c32eb.pth")
    assert converted.cfg.MODEL.ENCODER == "tf_efficientnet_b0"
    own = {name.removeprefix("depth.encoder.backbone."): value for name, value in converted.state.items()}
    kept = [name for name in state if not name.startswith(("conv_head.", "bn2.", "classifier."))]
    assert all(torch.equal(own[name], state[name]) for name in kept)

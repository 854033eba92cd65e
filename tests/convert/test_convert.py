"""Published checkpoints of every layout become native ones; nothing that does not fit passes."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import torch

from mdtk.convert import convert, recognise
from mdtk.core.errors import MdtkError
from mdtk.core.files import ROOT
from mdtk.models import build_model, load_model
from tests.helpers import published_networks as nets
from tests.helpers.published_files import write_bdedepth, write_monodepth2, write_paddle, write_params


@pytest.fixture(scope="module")
def parts():
    return nets.monodepth2()


def test_monodepth2_folder_to_prediction(tmp_path, parts):
    converted = convert(write_monodepth2(tmp_path / "m2", parts, height=96, width=128))
    assert converted.cfg.MODEL.SCALES == [0, 1, 2, 3]
    assert sorted(converted.dropped) == [
        f"{part}:encoder.fc.{leaf}" for part in ("encoder", "pose_encoder") for leaf in ("bias", "weight")
    ]
    converted.save(tmp_path / "native.pth")
    model = load_model(tmp_path / "native.pth")
    assert (model.height, model.width) == (96, 128)
    disparity = model.disparity(torch.rand(1, 3, 96, 128))
    assert disparity.shape == (1, 1, 96, 128)
    assert 0.01 < disparity.min() < disparity.max() < 10
    assert model.system.relative_pose(torch.rand(1, 3, 96, 128), torch.rand(1, 3, 96, 128)).shape == (1, 4, 4)


def test_the_ports_give_the_same_parameters(tmp_path, parts):
    """One set of numbers through three file formats: equal state dicts, up to batch norm's counters."""
    expected = convert(write_monodepth2(tmp_path / "m2", parts)).state
    paddle = {part: nets.paddle_spelling(arrays) for part, arrays in parts.items()}
    folder = tmp_path / "gluon"
    write_params(folder / "depth_best.params", nets.gluon_spelling(parts["encoder"], parts["depth"]))
    write_params(folder / "pose_best.params", nets.gluon_spelling(parts["pose_encoder"], parts["pose"]))
    for converted in (convert(write_paddle(tmp_path / "paddle", paddle)), convert(folder)):
        assert converted.state.keys() == expected.keys()
        for name, tensor in converted.state.items():
            if name.endswith("num_batches_tracked"):
                assert tensor == 0
            else:
                assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("num_scales", [1, 4])
def test_bdedepth_scales_are_inferred(tmp_path, parts, num_scales):
    file = write_bdedepth(
        tmp_path / "ckpt.pth",
        {
            "encoder": {**parts["encoder"], **nets.context_stem()},
            "depth": nets.grid_decoder(num_scales),
            "pose_encoder": parts["pose_encoder"],
            "pose": parts["pose"],
        },
        epoch=3,
        step_in_total=70,
        batch_idx=2,
        optimizer=_optimizer_state(),
        lr_scheduler=_schedule_state(),
    )
    converted = convert(file)
    assert converted.meta["source_format"] == "bdedepth"
    model = dict(converted.cfg.MODEL)
    assert model["SCALES"] == list(range(num_scales))
    assert (model["DECODER"], model["CONTEXT_STEM"], model["HRNET_FUSE"]) == ("grid", True, "nearest")
    assert [name for name in converted.dropped if ":" not in name] == [
        "epoch",
        "step_in_total",
        "batch_idx",
        "optimizer",
        "lr_scheduler",
    ]
    build_model(converted.cfg).load_state_dict(converted.state, strict=True)
    torch.testing.assert_close(
        converted.state["depth.encoder.context.conv.weight"], torch.from_numpy(nets.context_stem()["conv1.weight"])
    )


def _optimizer_state() -> dict:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def _schedule_state() -> dict:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1.0)
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [15]).state_dict()  # holds a collections.Counter


def test_monodepth2_ddp_file_with_the_skip_decoder(tmp_path, parts):
    converted = convert(write_bdedepth(tmp_path / "model19.pth", parts))
    assert converted.cfg.MODEL.DECODER == "skip"
    assert not converted.cfg.MODEL.CONTEXT_STEM


@pytest.mark.parametrize(
    ("pose", "kind", "inputs", "sources"),
    [
        ({"pose": nets.pose_decoder(inputs=2, poses=1)}, "shared", "pairs", [-1, 1]),
        ({"pose": nets.pose_decoder(inputs=3, poses=2)}, "shared", "all", [-1, 1]),
        ({"pose": nets.pose_cnn(2)}, "posecnn", "pairs", [-1, 1]),
        ({"pose": nets.pose_cnn(4)}, "posecnn", "all", [-1, 1, -2]),
        ({"pose": nets.pose_decoder(), "pose_encoder": nets.resnet18(frames=3)}, "separate", "all", [-1, 1]),
        ({}, "none", "pairs", []),
    ],
)
def test_every_pose_network_is_recognised(tmp_path, parts, pose, kind, inputs, sources):
    folder = write_monodepth2(tmp_path, {"encoder": parts["encoder"], "depth": parts["depth"], **pose})
    converted = convert(folder)
    model = converted.cfg.MODEL
    assert (kind, inputs, sources) == (model.POSE, model.POSE_INPUT, converted.cfg.DATA.SOURCES)
    build_model(converted.cfg).load_state_dict(converted.state, strict=True)


def test_options_beside_the_weights_are_used(tmp_path, parts):
    folder = write_monodepth2(tmp_path / "models" / "weights_19", parts)
    options = {"frame_ids": [0, -2, 2, "s"], "max_depth": 80.0, "min_depth": 0.5, "use_stereo": True, "height": 320}
    (tmp_path / "models" / "opt.json").write_text(json.dumps(options))
    cfg = convert(folder).cfg
    assert cfg.DATA.SOURCES == [-2, 2]
    assert (cfg.MODEL.MIN_DEPTH, cfg.MODEL.MAX_DEPTH) == (0.5, 80.0)
    assert (cfg.DATA.HEIGHT, cfg.DATA.WIDTH) == (64, 96), "the checkpoint itself is nearer than its options"
    assert not cfg.DATA.STEREO, "the checkpoint itself is nearer than its options"


def test_predictive_mask(tmp_path, parts):
    mask = nets.skip_decoder(out_channels=4, seed=9)
    converted = convert(write_monodepth2(tmp_path, {**parts, "predictive_mask": mask}))
    assert converted.cfg.MODEL.PREDICTIVE_MASK
    assert not converted.cfg.LOSS.AUTOMASK
    assert converted.cfg.DATA.SOURCES == [-1, 1, -2, 2]
    build_model(converted.cfg).load_state_dict(converted.state, strict=True)


def test_missing_extra_and_misshapen_parameters_are_listed(tmp_path, parts):
    broken = {part: dict(arrays) for part, arrays in parts.items()}
    del broken["depth"]["decoder.3.conv.conv.bias"]
    broken["pose"]["net.9.weight"] = np.zeros((2, 2), np.float32)
    broken["encoder"]["encoder.bn1.bias"] = np.zeros(63, np.float32)
    with pytest.raises(MdtkError) as caught:
        convert(write_monodepth2(tmp_path, broken))
    message = str(caught.value)
    assert "missing: depth:decoder.3.conv.conv.bias" in message
    assert "unexpected: pose:net.9.weight" in message
    assert "encoder:encoder.bn1.bias (63,) instead of (64,)" in message
    assert "\n" not in message


@pytest.mark.parametrize("port", ["paddle", "gluoncv", "bdedepth"])
def test_other_formats_are_as_strict(tmp_path, parts, port):
    broken = {part: dict(arrays) for part, arrays in parts.items()}
    name = "decoder.3.conv.conv.bias"
    del broken["depth"][name]
    broken["depth"]["decoder.40.conv.conv.bias"] = np.zeros(3, np.float32)
    if port == "paddle":
        path = write_paddle(tmp_path, {part: nets.paddle_spelling(arrays) for part, arrays in broken.items()})
    elif port == "gluoncv":
        path = write_params(tmp_path / "depth.params", nets.gluon_spelling(broken["encoder"], broken["depth"]))
    else:
        path = write_bdedepth(tmp_path / "ckpt.pth", broken)
    with pytest.raises(MdtkError, match=rf"missing: depth:{name}; unexpected: depth:decoder\.40\.conv\.conv\.bias"):
        convert(path)


@pytest.mark.parametrize(
    "name",
    ["decoder.0.0.weight", "decoder.6.conv.weight", "decoder.6.conv.bias", "decoder.12.2.bias", "decoder.35.3.weight"],
)
def test_a_missing_grid_parameter_is_named(tmp_path, parts, name):
    depth = nets.grid_decoder(4)
    del depth[name]
    encoder = {**parts["encoder"], **nets.context_stem()}
    with pytest.raises(MdtkError, match=rf"encoder; missing: depth:{name.replace('.', '[.]')}$"):
        convert(write_bdedepth(tmp_path / "ckpt.pth", {"encoder": encoder, "depth": depth}))


@pytest.mark.parametrize("name", ["decoder.0.conv.conv.weight", "decoder.11.conv.weight", "decoder.10.conv.bias"])
def test_a_missing_skip_parameter_is_named(tmp_path, parts, name):
    depth = {other: array for other, array in parts["depth"].items() if other != name}
    with pytest.raises(MdtkError, match=rf"encoder; missing: depth:{name.replace('.', '[.]')}$"):
        convert(write_monodepth2(tmp_path, {"encoder": parts["encoder"], "depth": depth}))


def test_incomplete_checkpoints_are_refused(tmp_path, parts):
    with pytest.raises(MdtkError, match="no depth network"):
        convert(write_monodepth2(tmp_path / "a", {"encoder": parts["encoder"]}))
    without_pose = {part: parts[part] for part in ("encoder", "depth", "pose_encoder")}
    with pytest.raises(MdtkError, match="no pose decoder"):
        convert(write_monodepth2(tmp_path / "b", without_pose))
    with pytest.raises(MdtkError, match="has a pose_encoder beside a PoseCNN, which takes none"):
        convert(write_monodepth2(tmp_path / "d", {**parts, "pose": nets.pose_cnn(2)}))
    with pytest.raises(MdtkError, match="neither a ResNet nor an HRNet"):
        convert(write_monodepth2(tmp_path / "c", {**parts, "encoder": {"encoder.x": np.zeros(2, np.float32)}}))


def test_a_height_that_no_network_takes_is_refused(tmp_path, parts):
    with pytest.raises(MdtkError, match=r"DATA\.HEIGHT"):
        convert(write_monodepth2(tmp_path, parts, height=100))


def test_what_is_not_stored_can_be_given(tmp_path, parts):
    path = write_params(tmp_path / "depth.params", nets.gluon_spelling(parts["encoder"], parts["depth"]))
    converted = convert(path, overrides=["DATA.WIDTH", "1024", "DATA.HEIGHT", "320", "MODEL.MAX_DEPTH", "80"])
    assert (converted.meta["height"], converted.meta["width"]) == (320, 1024)
    assert converted.cfg.MODEL.MAX_DEPTH == 80.0
    assert converted.cfg.EVAL.ALIGNMENT == "median"
    assert converted.meta["use_stereo"] is None
    assert any("stereo is not stored" in note for note in converted.notes)
    with pytest.raises(MdtkError, match=r"MODEL\.ENCODER: a conversion takes this from the checkpoint"):
        convert(path, overrides=["MODEL.ENCODER", "resnet50"])


STEREO_ALONE = ["DATA.SOURCES", "[]", "DATA.STEREO", "true"]


def test_what_is_given_must_fit_the_networks(tmp_path, parts):
    """What is written can be opened: overrides that ask for other networks than the checkpoint has are refused."""
    folder = write_monodepth2(tmp_path / "m2", parts)
    with pytest.raises(MdtkError) as caught:
        convert(folder, overrides=STEREO_ALONE)
    start = f"{folder} does not fit {' '.join(STEREO_ALONE)}: pose.decoder.convs.0.bias is (256,), not wanted; "
    assert str(caught.value).startswith(start)
    assert "; and 120 more; leave out or change what was given" in str(caught.value)
    for given in (["DATA.SOURCES", "[1, 2, 3]"], ["DATA.STEREO", "true"]):
        convert(folder, overrides=given).save(tmp_path / "native.pth")
        assert load_model(tmp_path / "native.pth").system.pose is not None


@pytest.mark.parametrize(
    ("more", "given", "name"),
    [
        ({"pose_encoder": nets.resnet18(frames=3)}, ["DATA.SOURCES", "[-1, 1, 2]"], "pose.encoder.backbone.conv1"),
        ({"predictive_mask": nets.skip_decoder(out_channels=2)}, ["DATA.STEREO", "true"], "mask.heads"),
        ({"predictive_mask": nets.skip_decoder(out_channels=2)}, ["DATA.SOURCES", "[1]"], "mask.heads"),
    ],
)
def test_the_number_of_sources_must_fit_the_networks(tmp_path, parts, more, given, name):
    folder = write_monodepth2(tmp_path, {**parts, **more})
    convert(folder)
    with pytest.raises(MdtkError, match=rf"does not fit {re.escape(' '.join(given))}: .*{name}\S+ is \(\d+,.*, not \("):
        convert(folder, overrides=given)


def test_recognition(tmp_path, parts):
    assert recognise(write_monodepth2(tmp_path / "m2", parts)) == "monodepth2"
    assert recognise(write_bdedepth(tmp_path / "x.pth", {"encoder": {}, "depth": {}})) == "bdedepth"
    assert recognise(write_paddle(tmp_path / "paddle", {"encoder": {}})) == "paddle"
    assert recognise(write_params(tmp_path / "g.params", {"a": np.zeros(2, np.float32)})) == "gluoncv"
    cases = {
        tmp_path / "m2" / "depth.pth": "give its folder",
        tmp_path / "paddle" / "encoder.pdparams": "give its folder",
        tmp_path / "nothing.pth": "not found",
        tmp_path / "m2" / "..": "no known checkpoint",
    }
    (tmp_path / "g.params").unlink()
    for path, message in cases.items():
        with pytest.raises(MdtkError, match=message):
            recognise(path)
    convert(tmp_path / "m2").save(tmp_path / "native.pth")
    with pytest.raises(MdtkError, match="native checkpoint already"):
        recognise(tmp_path / "native.pth")
    with pytest.raises(MdtkError, match="choose auto, monodepth2"):
        convert(tmp_path / "m2", "tensorflow")


def test_command_line(tmp_path, parts, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import convert_checkpoint

    source = write_monodepth2(tmp_path / "m2", parts)
    arguments = ["convert", "--input", str(source), "--output", str(tmp_path / "out.pth"), "MODEL.MAX_DEPTH", "80"]
    monkeypatch.setattr(sys, "argv", arguments)
    convert_checkpoint.main()
    printed = capsys.readouterr().out
    assert "resnet18 with the skip decoder, pose separate, 96x64" in printed
    assert "encoder:encoder.fc.weight" in printed
    assert load_model(tmp_path / "out.pth").cfg.MODEL.MAX_DEPTH == 80.0

"""Pose networks: order of frames, inversion, the three kinds and two inputs, every parameter in use."""

from __future__ import annotations

import pytest
import torch

import mdtk.models.encoders as encoders
from mdtk.config import default_config
from mdtk.core.errors import MdtkError
from mdtk.models import build_model
from mdtk.models.pose_network import POSE_SCALE, PoseCNN, PoseDecoder, PoseNetwork, build_pose_network


@pytest.fixture
def frames():
    return torch.rand(2, 3, 3, 64, 64)


@pytest.mark.parametrize("kind", ["separate", "shared", "posecnn"])
@pytest.mark.parametrize("inputs", ["pairs", "all"])
def test_shapes_and_gradients(kind, inputs, frames):
    network = build_pose_network(kind, inputs, 2, depth_channels=20)
    shared = [torch.randn(2, 20, 2, 2) for _ in range(3)] if kind == "shared" else None
    axisangle, translation, _ = network(frames, [-1, 1], shared)
    assert axisangle.shape == translation.shape == (2, 2, 3)
    (axisangle.sum() + translation.sum()).backward()
    assert [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None] == []


class Recorder(torch.nn.Module):
    """Stands for a decoder: remembers what it is given."""

    def __init__(self, num_poses):
        super().__init__()
        self.seen, self.num_poses = [], num_poses

    def forward(self, given):
        self.seen.append(given)
        motion = torch.zeros(2, self.num_poses, 3)
        return motion + len(self.seen), motion - len(self.seen)


def test_pairs_are_in_temporal_order(frames):
    network = PoseNetwork("posecnn", "pairs", 3)
    network.decoder = Recorder(1)
    frames = torch.cat([frames, frames[:, :1] / 2], 1)
    axisangle, translation, _ = network(frames, [-2, 1, -1])
    expected = [(1, 0), (0, 2), (3, 0)]  # earlier frame first
    for given, (first, second) in zip(network.decoder.seen, expected, strict=True):
        assert torch.equal(given, torch.cat([frames[:, first], frames[:, second]], 1))
    assert axisangle[0, :, 0].tolist() == [1, 2, 3]
    assert translation[0, :, 0].tolist() == [-1, -2, -3]
    assert network.inverted([-2, 1, -1]) == (True, False, True)


def test_shared_features_are_in_temporal_order(frames):
    network = PoseNetwork("shared", "pairs", 2, shared_channels=4)
    network.decoder = Recorder(1)
    features = [torch.randn(2, 4, 2, 2) for _ in range(3)]
    network(frames, [-1, 1], features)
    index_of = {id(feature): index for index, feature in enumerate(features)}
    assert [[index_of[id(feature)] for feature in given] for given in network.decoder.seen] == [[1, 0], [0, 2]]


def test_all_frames_at_once(frames):
    network = PoseNetwork("posecnn", "all", 2)
    network.decoder = Recorder(2)
    network(frames, [-1, 1])
    assert torch.equal(network.decoder.seen[0], frames.flatten(1, 2))
    assert network.inverted([-1, 1]) == (False, False)
    with pytest.raises(MdtkError, match=r"DATA\.SOURCES"):
        network(frames[:, :2], [1])


def test_batch_norm_sees_one_pair_at_a_time(frames):
    """The published networks run each pair by itself: its batch statistics are its own."""
    network = build_pose_network("separate", "pairs", 2).train()
    with torch.no_grad():
        both = network(frames, [-1, 1])
        alone = network(frames[:, [0, 2]], [1])
    torch.testing.assert_close(both[0][:, 1:], alone[0])
    torch.testing.assert_close(both[1][:, 1:], alone[1])


def test_outputs_are_scaled_means():
    decoder = PoseDecoder(8, 1, 2)
    torch.nn.init.zeros_(decoder.convs[2].weight)
    decoder.convs[2].bias.data = torch.arange(12.0)
    axisangle, translation = decoder([torch.randn(3, 8, 2, 5)])
    assert axisangle.shape == (3, 2, 3)
    torch.testing.assert_close(axisangle[0], POSE_SCALE * torch.tensor([[0.0, 1, 2], [6, 7, 8]]))
    torch.testing.assert_close(translation[0], POSE_SCALE * torch.tensor([[3.0, 4, 5], [9, 10, 11]]))


def test_pose_cnn_predicts_one_motion_a_further_frame():
    assert PoseCNN(4)(torch.rand(1, 12, 128, 128))[0].shape == (1, 3, 3)


def test_the_hrnet_fuse_reaches_the_pose_encoder():
    """Only the coarsest branch is kept, yet it has seen the others: the fuse changes the motion."""
    torch.manual_seed(0)
    nearest = build_pose_network("separate", "pairs", 2, encoder="hrnet18").eval()
    bilinear = build_pose_network("separate", "pairs", 2, encoder="hrnet18", hrnet_fuse="bilinear").eval()
    bilinear.load_state_dict(nearest.state_dict())
    pair = torch.rand(1, 6, 64, 64)
    with torch.no_grad():
        left, right = nearest.encoder(pair)[-1], bilinear.encoder(pair)[-1]
    assert (left - right).abs().max() > 1e-3


@pytest.mark.parametrize(("name", "fuses"), [("hrnet18", {("bilinear", True)}), ("resnet18", set())])
def test_the_recipe_decides_the_fuse_of_both_encoders(name, fuses):
    cfg = default_config()
    cfg.MODEL.ENCODER, cfg.MODEL.POSE_ENCODER, cfg.MODEL.HRNET_FUSE = "hrnet18", name, "bilinear"
    with torch.device("meta"):
        system = build_model(cfg)
    for encoder, expected in ((system.depth.encoder, {("bilinear", True)}), (system.pose.encoder, fuses)):
        found = [module for module in encoder.modules() if isinstance(module, torch.nn.Upsample)]
        assert {(module.mode, module.align_corners) for module in found} == expected


@pytest.mark.parametrize("key", ["ENCODER", "POSE_ENCODER"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", "timm has no backbone named 'resnet81'"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224 does not take images of any size"),
        ("convmixer_768_32", "convmixer_768_32 gives no pyramid of halved sizes"),
    ],
)
def test_an_unsuitable_encoder_is_named_with_its_key(key, name, message):
    cfg = default_config()
    cfg.MODEL[key] = name
    with pytest.raises(MdtkError, match=rf"^MODEL\.{key}: {message}"):
        build_model(cfg)


def test_a_pose_encoder_without_features_is_named_with_its_key(monkeypatch):
    def refuse(*_args, **_options):
        raise RuntimeError("features_only not implemented")

    monkeypatch.setattr(encoders.timm, "create_model", refuse)
    with pytest.raises(MdtkError, match=r"^MODEL\.POSE_ENCODER: timm cannot give the features of resnet18"):
        build_pose_network("separate", "pairs", 2)


@pytest.mark.parametrize(
    ("kind", "inputs", "key"), [("resnet", "pairs", "MODEL.POSE "), ("shared", "both", "POSE_INPUT")]
)
def test_unknown_choices_are_refused(kind, inputs, key):
    with pytest.raises(MdtkError, match=key):
        PoseNetwork(kind, inputs, 2, shared_channels=4)

"""Encoders: features as described, context stem, HRNet's fuse, initialisation, every parameter in use, clear errors."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

import mdtk.models.encoders as encoders
from mdtk.core.errors import MdtkError
from mdtk.models.decoders import DECODERS
from mdtk.models.depth_network import build_depth_net
from mdtk.models.encoders import build_encoder

LAYOUTS = ["resnet18", "hrnet_w18", "convnext_atto", "mobilenetv3_small_100"]
CLASSIFIER = 513_000  # ResNet-18's fully connected layer, 512 · 1000 + 1000, which no depth network has


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_features_are_as_described(name, context):
    encoder = build_encoder(name, context_stem=context).eval()
    assert encoder.reductions[-1] == 32
    assert (encoder.reductions[0] == 1) == context
    assert encoder.reductions == sorted(set(encoder.reductions))
    with torch.no_grad():
        features = encoder(torch.rand(2, 3, 64, 96))
    shapes = [(2, c, 64 // r, 96 // r) for c, r in zip(encoder.channels, encoder.reductions, strict=True)]
    assert [tuple(feature.shape) for feature in features] == shapes


@pytest.mark.parametrize("decoder", ["skip", "grid"])
@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_parameter_gets_a_gradient(name, context, decoder):
    """DistributedDataParallel runs without find_unused_parameters."""
    net = build_depth_net(build_encoder(name, context_stem=context), decoder, (0, 1, 2, 3)).train()
    outputs = net(torch.rand(2, 3, 64, 64))
    assert {scale: tuple(out.shape) for scale, out in outputs.items()} == {
        scale: (2, 1, 64 >> scale, 64 >> scale) for scale in range(4)
    }
    sum(output.sum() for output in outputs.values()).backward()
    assert [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None] == []
    assert all(parameter.requires_grad for parameter in net.parameters()), "these backbones have no idle parameter"


@pytest.mark.parametrize("decoder", ["skip", "grid"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 64), (96, 160)])
def test_any_multiple_of_32_is_accepted(height, width, decoder):
    net = build_depth_net(build_encoder("resnet18"), decoder, (0, 1, 2, 3)).eval()
    with torch.no_grad():
        outputs = net(torch.rand(1, 3, height, width))
    assert [tuple(outputs[s].shape[-2:]) for s in range(4)] == [(height >> s, width >> s) for s in range(4)]
    with pytest.raises(MdtkError, match="multiples of 32"):
        net(torch.rand(1, 3, height + 16, width))


def test_known_parameter_counts():
    """Published counts include the classifier of the ImageNet network, which timm's features leave out."""
    resnet = build_depth_net(build_encoder("resnet18"), "skip", (0, 1, 2, 3))
    assert count(resnet.encoder) + CLASSIFIER == 11_689_512
    assert count(resnet.decoder) == 3_152_724
    with_stem = build_depth_net(build_encoder("resnet18", context_stem=True), "grid", (0,))
    assert count(with_stem.encoder) + CLASSIFIER == 11_699_048
    assert count(with_stem.decoder) == 6_775_636
    hrnet = build_depth_net(build_encoder("hrnet18", context_stem=True, hrnet_fuse="bilinear"), "grid", (0,))
    assert count(hrnet.encoder) == 9_564_116
    assert count(hrnet.decoder) == 634_084


@pytest.mark.parametrize(("name", "kernel"), [("resnet18", 7), ("hrnet_w18", 3)])
def test_context_stem_begins_as_the_stem(name, kernel):
    encoder = build_encoder(name, context_stem=True).eval()
    stem = encoder.backbone.conv1
    assert encoder.context.conv.stride == (1, 1)
    assert encoder.context.conv.kernel_size == (kernel, kernel)
    assert torch.equal(encoder.context.conv.weight, stem.weight)
    assert encoder.context.conv.weight is not stem.weight
    with torch.no_grad():
        features = encoder(torch.rand(1, 3, 64, 64))
    # The stem is the context stem taken at every second pixel.
    torch.testing.assert_close(features[0][..., ::2, ::2], features[1], rtol=1e-4, atol=1e-5)


def test_input_normalisation():
    encoder = build_encoder("resnet18").eval()
    with torch.no_grad():
        grey = encoder(torch.full((1, 3, 64, 64), 0.45))
        first = torch.relu(encoder.backbone.bn1(encoder.backbone.conv1(torch.zeros(1, 3, 64, 64))))
    torch.testing.assert_close(grey[0], first)


def test_two_frames_share_the_pretrained_weights(monkeypatch):
    """Monodepth2's pose encoder: the ImageNet weights repeated and halved, so two equal frames act like one."""
    source = timm.create_model("resnet18", pretrained=False)
    create = timm.create_model

    def local_weights(name, pretrained=False, **options):
        assert name == "resnet18.tv_in1k"  # torchvision's first release, as the field's
        return create(
            name, pretrained=pretrained, pretrained_cfg_overlay={"state_dict": source.state_dict()}, **options
        )

    monkeypatch.setattr(encoders.timm, "create_model", local_weights)
    monkeypatch.setattr(encoders, "check_server", lambda tag: None)  # no network
    single = build_encoder("resnet18", pretrained=True).eval()
    double = build_encoder("resnet18", pretrained=True, in_frames=2).eval()
    assert torch.equal(single.backbone.conv1.weight, source.conv1.weight)
    torch.testing.assert_close(double.backbone.conv1.weight, source.conv1.weight.repeat(1, 2, 1, 1) / 2)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        one, two = single(image), double(torch.cat([image, image], 1))
    for left, right in zip(one, two, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-4)


def test_hrnet_fuse_changes_the_branches_only():
    torch.manual_seed(0)
    nearest = build_encoder("hrnet18").eval()
    bilinear = build_encoder("hrnet18", hrnet_fuse="bilinear").eval()
    bilinear.load_state_dict(nearest.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        left, right = nearest(image), bilinear(image)
    assert nearest.channels == [64, 18, 36, 72, 144]
    assert torch.equal(left[0], right[0])
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(left[1:], right[1:], strict=True))


def test_idle_parameters_are_frozen():
    """A pose network reads only an HRNet's coarsest branch; what feeds the others alone is left out of training."""
    encoder = build_encoder("hrnet_w18", last_only=True).train()
    assert encoder.channels == [144]
    idle = [name for name, parameter in encoder.named_parameters() if not parameter.requires_grad]
    assert idle
    assert all("stage4.2.fuse_layers" in name for name in idle)
    encoder(torch.rand(2, 3, 64, 64))[-1].sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None] == []


def test_channels_last_backbone_is_turned():
    encoder = build_encoder("swin_tiny_patch4_window7_224").eval()
    with torch.no_grad():
        features = encoder(torch.rand(1, 3, 64, 96))
    assert [tuple(f.shape) for f in features] == [(1, 96, 16, 24), (1, 192, 8, 12), (1, 384, 4, 6), (1, 768, 2, 3)]


def test_unknown_name_gives_the_nearest():
    with pytest.raises(MdtkError, match=r"resnet81.*resnet18"):
        build_encoder("resnet81")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit_tiny_patch16_224", {}, "does not take images of any size"),
        ("resnet18", {"hrnet_fuse": "bilinear"}, "HRNET_FUSE"),
        ("resnet18", {"hrnet_fuse": "cubic"}, "nearest or bilinear"),
        ("cspdarknet53", {"context_stem": True}, "CONTEXT_STEM"),
    ],
)
def test_unsuitable_choices_are_refused(name, options, message):
    with pytest.raises(MdtkError, match=message):
        build_encoder(name, **options)


def test_failed_download_says_what_to_do(monkeypatch):
    def unreachable(*_args, **_options):
        raise OSError("Name or service not known")

    monkeypatch.setattr(encoders.timm, "create_model", unreachable)
    with pytest.raises(MdtkError, match=r"Name or service not known.*MODEL\.WEIGHTS.*PRETRAINED False"):
        build_encoder("resnet18", pretrained=True)


@encoders.ENCODERS.register("two_convolutions")
class TwoConvolutions(nn.Module):
    """An encoder of another package."""

    def __init__(self, in_channels: int, pretrained: bool) -> None:
        super().__init__()
        self.channels, self.reductions = [8, 16], [2, 4]
        self.first = nn.Conv2d(in_channels, 8, 3, 2, 1)
        self.second = nn.Conv2d(8, 16, 3, 2, 1)

    def forward(self, images):
        first = self.first(images)
        return [first, self.second(first)]


def test_a_registered_encoder_trains():
    net = build_depth_net(build_encoder("two_convolutions", in_frames=2), "grid", (0, 1)).train()
    outputs = net(torch.rand(2, 6, 64, 64))
    sum(output.sum() for output in outputs.values()).backward()
    assert not [name for name, parameter in net.named_parameters() if parameter.grad is None]
    pose = build_encoder("two_convolutions", in_frames=2, last_only=True)
    assert (pose.channels, pose.reductions) == ([16], [4])
    assert [feature.shape for feature in pose(torch.rand(2, 6, 64, 64))] == [(2, 16, 16, 16)]
    with pytest.raises(MdtkError, match=r"^MODEL\.ENCODER two_convolutions: MODEL\.CONTEXT_STEM"):
        build_encoder("two_convolutions", context_stem=True)


@DECODERS.register("constant")
class Constant(nn.Module):
    """A decoder of another package, without heads that MODEL.INIT_SIGMOID could set."""

    def __init__(self, channels, reductions, scales):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, features):
        height, width = (2 * side for side in features[0].shape[-2:])
        return {0: torch.sigmoid(self.level).expand(len(features[0]), 1, height, width)}


def test_a_registered_decoder():
    encoder = build_encoder("resnet18")
    assert build_depth_net(encoder, "constant", (0,))(torch.rand(1, 3, 32, 64))[0].shape == (1, 1, 32, 64)
    with pytest.raises(MdtkError, match=r"^MODEL\.INIT_SIGMOID: the decoder constant"):
        build_depth_net(encoder, "constant", (0,), 0.2)
    with pytest.raises(MdtkError, match=r"^MODEL\.DECODER names the decoder 'grit'.*nearest is grid"):
        build_depth_net(encoder, "grit", (0,))

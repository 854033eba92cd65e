"""Image encoders: any timm backbone by name, or a registered one, as a pyramid of features from fine to coarse.

An encoder is registered with `@ENCODERS.register("name")`: a `FeaturePyramid` that is made with the keyword arguments
in_channels and pretrained. Every other name is a timm backbone's.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, cast

import timm
import torch
from timm.models import FeatureInfo, is_model_in_modules
from torch import Tensor, nn

from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry, import_installed_plugins
from mdtk.models.weights_server import check_server

IMAGE_MEAN, IMAGE_STD = 0.45, 0.225  # Monodepth2's input normalisation, one value for all three channels

ALIASES = {
    "hrnet18": "hrnet_w18",
    "hrnet32": "hrnet_w32",
    "hrnet48": "hrnet_w48",
    "hrnet64": "hrnet_w64",
}

# The weights that the published systems start from are torchvision's first ImageNet release.
CLASSIC_WEIGHTS = {f"resnet{depth}": f"resnet{depth}.tv_in1k" for depth in (18, 34, 50, 101, 152)}

PROBE_SIZE = (64, 96)  # height, width of the image that finds out what an unfamiliar backbone does


class ContextStem(nn.Module):
    """A convolution at full resolution, beside the backbone (BDEdepth): image (B,3,H,W) → feature (B,C,H,W)."""

    def __init__(self, in_channels: int, stem: tuple[nn.Conv2d, nn.BatchNorm2d] | None) -> None:
        """`stem`: the backbone's first convolution and norm, whose kernel size and weights are taken over."""
        super().__init__()
        kernel, channels = (stem[0].kernel_size[0], stem[0].out_channels) if stem else (3, 64)
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride=1, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        if stem:
            self.conv.load_state_dict({"weight": stem[0].weight.detach().clone()})
            self.bn.load_state_dict(stem[1].state_dict())
        else:
            nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class FeaturePyramid(nn.Module):
    """Images in 0..1 (B,3·F,H,W) → features, fine to coarse: `channels[i]` maps at 1/`reductions[i]` of the image size,
    every reduction a power of two and present once."""

    channels: list[int]
    reductions: list[int]


ENCODERS: Registry[Callable[..., FeaturePyramid]] = Registry("encoder")


class Encoder(FeaturePyramid):
    """A timm backbone with the field's input normalisation."""

    def __init__(self, backbone: nn.Module, *, context: ContextStem | None = None, last_only: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.context = context
        info = _feature_info(backbone)
        reductions, channels = list(info.reduction()), list(info.channels())
        # Of several features of one size the deepest is the most useful; the others feed into it.
        last_of_size = {reduction: index for index, reduction in enumerate(reductions)}
        self._kept = sorted(last_of_size.values())[-1:] if last_only else sorted(last_of_size.values())
        self.channels = [channels[index] for index in self._kept]
        self.reductions = [reductions[index] for index in self._kept]
        if context is not None:
            self.channels = [context.conv.out_channels, *self.channels]
            self.reductions = [1, *self.reductions]

    def forward(self, images_bchw: Tensor) -> list[Tensor]:
        """Images in 0..1, (B,3·in_frames,H,W) → features (B,`channels[i]`,H/`reductions[i]`,W/`reductions[i]`)."""
        x = (images_bchw - IMAGE_MEAN) / IMAGE_STD
        features = self.backbone(x)
        features = [features[index] for index in self._kept]
        if getattr(self.backbone, "output_fmt", "NCHW") == "NHWC":
            features = [feature.permute(0, 3, 1, 2).contiguous() for feature in features]
        return features if self.context is None else [self.context(x), *features]


class Coarsest(FeaturePyramid):
    """The coarsest feature of a registered encoder, for a pose network."""

    def __init__(self, encoder: FeaturePyramid) -> None:
        super().__init__()
        self.encoder = encoder
        self.channels, self.reductions = encoder.channels[-1:], encoder.reductions[-1:]

    def forward(self, images_bchw: Tensor) -> list[Tensor]:
        return self.encoder(images_bchw)[-1:]


def _feature_info(backbone: nn.Module) -> FeatureInfo:
    """timm's description of the features that a backbone with `features_only` returns."""
    return cast(FeatureInfo, backbone.feature_info)


def is_hrnet(name: str) -> bool:
    """Whether the backbone `name` is an HRNet, whose branches MODEL.HRNET_FUSE brings to one size."""
    return is_model_in_modules(ALIASES.get(name, name), ["hrnet"])


def build_encoder(
    name: str,
    *,
    key: str = "MODEL.ENCODER",
    pretrained: bool = False,
    in_frames: int = 1,
    context_stem: bool = False,
    hrnet_fuse: str = "nearest",
    last_only: bool = False,
) -> FeaturePyramid:
    """Builds the registered encoder or timm backbone `name` (for example `resnet18`, `hrnet_w18`, `convnext_tiny`).

    `pretrained` starts from ImageNet; with `in_frames` images stacked in the channels the first convolution's
    weights are repeated and divided by `in_frames` (Monodepth2's pose encoder). `context_stem` adds a feature of
    full resolution, initialised as a copy of the stem (BDEdepth). `hrnet_fuse` says how an HRNet's branches are
    brought to one size: `nearest` (timm) or `bilinear` with aligned corners (BDEdepth). `last_only` keeps only the
    coarsest feature (pose networks). Parameters that no kept feature depends on are frozen, so that
    DistributedDataParallel runs without `find_unused_parameters`.
    `key`: where the user chose `name`; errors begin with it.

    Errors: `MdtkError` for an unknown name, an unsuitable backbone, or weights that cannot be downloaded.
    """
    if _is_registered(name):
        if context_stem or hrnet_fuse != "nearest":
            raise MdtkError(f"{key} {name}: MODEL.CONTEXT_STEM and HRNET_FUSE are for timm backbones; leave them out")
        registered = ENCODERS[name](in_channels=3 * in_frames, pretrained=pretrained)
        registered = Coarsest(registered) if last_only else registered
        _probe(registered, name, key, 3 * in_frames)
        return registered
    name = ALIASES.get(name, name)
    backbone = _create_backbone(name, key, pretrained, 3 * in_frames)
    _set_hrnet_fuse(backbone, name, key, hrnet_fuse)
    context = None
    if context_stem:
        if 1 in _feature_info(backbone).reduction():
            raise MdtkError(f"MODEL.CONTEXT_STEM: {name} already has a full-resolution feature; set it to False")
        context = ContextStem(3 * in_frames, _plain_stem(backbone))
    encoder = Encoder(backbone, context=context, last_only=last_only)
    if not is_model_in_modules(name, ["resnet", "hrnet"]) or (last_only and is_hrnet(name)):
        _probe(encoder, name, key, 3 * in_frames)
    return encoder


def _is_registered(name: str) -> bool:
    if name not in ENCODERS and not timm.is_model(ALIASES.get(name, name)):
        import_installed_plugins()
    return name in ENCODERS


def _create_backbone(name: str, key: str, pretrained: bool, in_channels: int) -> nn.Module:
    """The timm model with `features_only`; every failure becomes an `MdtkError` that says what to do."""
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, [*timm.list_models(), *ALIASES], n=4, cutoff=0.5)
        hint = f"; nearest names: {', '.join(near)}" if near else "; see timm.list_models()"
        raise MdtkError(f"{key}: timm has no backbone named {name!r}{hint}")
    options: dict[str, Any] = {}
    if is_model_in_modules(name, ["resnet"]):
        options["zero_init_last"] = False  # torchvision's initialisation, which from-scratch results were made with
    if is_hrnet(name):
        options["feature_location"] = ""  # the branches themselves, not the widened classification features
    if is_model_in_modules(name, ["swin_transformer", "swin_transformer_v2"]):
        options["strict_img_size"] = False  # any size, not the one that the classifier was trained with
    tag = CLASSIC_WEIGHTS.get(name, name) if pretrained else name
    if pretrained:
        check_server(tag)
    try:
        return timm.create_model(tag, features_only=True, pretrained=pretrained, in_chans=in_channels, **options)
    except Exception as error:  # hub, network, archive and model libraries raise unrelated classes here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if pretrained:
            raise MdtkError(
                f"MODEL.PRETRAINED: the ImageNet weights of {tag} could not be had ({reason}); connect to the "
                "network, give a file in MODEL.WEIGHTS, or set MODEL.PRETRAINED False"
            ) from error
        raise MdtkError(f"{key}: timm cannot give the features of {name} ({reason})") from error


def _set_hrnet_fuse(backbone: nn.Module, name: str, key: str, fuse: str) -> None:
    if fuse not in ("nearest", "bilinear"):
        raise MdtkError(f"MODEL.HRNET_FUSE is {fuse!r}; choose nearest or bilinear")
    if fuse == "nearest":
        return
    if not is_hrnet(name):
        raise MdtkError(f"MODEL.HRNET_FUSE bilinear does nothing for {key} {name}; leave it at nearest")
    for module in backbone.modules():
        if isinstance(module, nn.Upsample):
            module.mode, module.align_corners = "bilinear", True


def _plain_stem(backbone: nn.Module) -> tuple[nn.Conv2d, nn.BatchNorm2d] | None:
    """The first convolution and norm of a ResNet or HRNet; None for a backbone that begins otherwise."""
    conv, norm = getattr(backbone, "conv1", None), getattr(backbone, "bn1", None)
    return (conv, norm) if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) else None


def _probe(encoder: FeaturePyramid, name: str, key: str, in_channels: int) -> None:
    """Runs an unfamiliar backbone once: checks its features, and freezes the parameters that none depends on."""
    height, width = PROBE_SIZE
    was_training = encoder.training
    encoder.eval()  # batch-norm statistics stay untouched
    try:
        features = encoder(torch.zeros(1, in_channels, height, width))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise MdtkError(f"{key}: {name} does not take images of any size ({error})") from error
    expected = [
        (1, channels, height // reduction, width // reduction)
        for channels, reduction in zip(encoder.channels, encoder.reductions, strict=True)
    ]
    found = [tuple(feature.shape) for feature in features]
    powers = all(reduction & (reduction - 1) == 0 for reduction in encoder.reductions)
    if found != expected or not powers or not 2 <= encoder.reductions[-1] <= 32:
        raise MdtkError(f"{key}: {name} gives no pyramid of halved sizes (its features are {found})")
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    total = torch.stack([feature.sum() for feature in features]).sum()
    for parameter, gradient in zip(parameters, torch.autograd.grad(total, parameters, allow_unused=True), strict=True):
        parameter.requires_grad_(gradient is not None)
    encoder.train(was_training)

"""DepthSystem: the depth and pose networks (and the predictive mask), the one module that DDP wraps."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from mdtk.config import config_from_text, depth_range, set_of
from mdtk.core.errors import MdtkError
from mdtk.core.structures import Disparities, Prediction, View
from mdtk.core.weights import load_parts, read_weights
from mdtk.geometry.depth import scaled_disparity, sigmoid_to_depth
from mdtk.geometry.pose import pose_matrix
from mdtk.models.decoders import SkipDecoder
from mdtk.models.depth_network import DepthNet, build_depth_net
from mdtk.models.encoders import build_encoder
from mdtk.models.intrinsics import IntrinsicsHead
from mdtk.models.pose_network import Motions, PoseNetwork, build_pose_network


class DepthSystem(nn.Module):
    """Views and frames in, disparities, motions and masks out.

    `offsets`: the temporal sources, in the order of the batch; `stereo`: the last source is the other camera.
    `precision` "bf16" runs the networks under autocast; what they return is float32 in any case.
    """

    def __init__(
        self,
        depth: DepthNet,
        pose: PoseNetwork | None,
        mask: SkipDecoder | None,
        intrinsics: IntrinsicsHead | None,
        offsets: Sequence[int],
        stereo: bool,
        *,
        source_depths: bool = False,
        precision: str = "fp32",
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.depth, self.pose, self.mask, self.intrinsics = depth, pose, mask, intrinsics
        self.offsets, self.stereo, self.source_depths = tuple(offsets), stereo, source_depths
        self.precision = precision
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def forward(
        self, views: Sequence[View], frames_bn3hw: Tensor, stereo_T_b44: Tensor, depth_range_b2: Tensor
    ) -> Prediction:
        """`views`: the first is the whole image; `frames_bn3hw`: target and sources as the pose network sees them."""
        features = [self.features(view.input_b3hw) for view in views]
        disparities = [self.disparities(feature) for feature in features]
        low, high = depth_range_b2[:, :1, None, None], depth_range_b2[:, 1:, None, None]
        mean_disparity = scaled_disparity(disparities[0][0], low, high).mean((1, 2, 3))
        motions, pose_features = self._motions(frames_bn3hw, stereo_T_b44, features[0], mean_disparity)
        height, width = frames_bn3hw.shape[-2:]
        return Prediction(
            disparities=disparities,
            source_T_target_bs44=motions,
            K_b33=None if self.intrinsics is None else self.intrinsics(pose_features, height, width),
            masks=None if self.mask is None else self._decode(self.mask, features[0]),
            source_depths=self._source_depths(frames_bn3hw, depth_range_b2) if self.source_depths else None,
        )

    def _autocast(self, image: Tensor) -> torch.autocast:
        return torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def features(self, image_b3hw: Tensor) -> list[Tensor]:
        """The depth encoder's features of images in 0..1, fine to coarse, in the precision that it runs in."""
        with self._autocast(image_b3hw):
            return self.depth.features(image_b3hw.contiguous(memory_format=self.memory_format))

    def disparities(self, features: list[Tensor]) -> Disparities:
        """{scale: sigmoid disparity (B, 1, H / 2^scale, W / 2^scale) float32} of `features`."""
        return self._decode(self.depth.decode, features)

    def _decode(self, decoder: Callable[[list[Tensor]], Disparities], features: list[Tensor]) -> Disparities:
        with self._autocast(features[0]):
            outputs = decoder(features)
        return {scale: output.float() for scale, output in outputs.items()}

    def _source_depths(self, frames_bn3hw: Tensor, depth_range_b2: Tensor) -> list[Tensor]:
        sigmoids = [self.disparities(self.features(image))[0] for image in frames_bn3hw[:, 1:].unbind(1)]
        return [sigmoid_to_depth(sigmoid, depth_range_b2) for sigmoid in sigmoids]

    def _motions(
        self,
        frames_bn3hw: Tensor,
        stereo_T_b44: Tensor,
        features: list[Tensor],
        mean_disparity_b: Tensor,
    ) -> tuple[Tensor, list[Tensor]]:
        """source_T_target (B, S, 4, 4), and the pose encoder's features; `features` are the target's."""
        motions, pose_features = [], []
        if self.pose is not None:
            frames = frames_bn3hw[:, : 1 + len(self.offsets)]
            axisangle, translation, pose_features = self._pose(frames, self.offsets, [features[-1]])
            if self.pose.kind == "posecnn":  # its translation is in units of the scene's depth
                translation = translation * mean_disparity_b[:, None, None]
            inverted = self.pose.inverted(self.offsets)
            motions = [pose_matrix(axisangle[:, i], translation[:, i], flag) for i, flag in enumerate(inverted)]
        if self.stereo:
            motions.append(stereo_T_b44)
        return torch.stack(motions, 1), pose_features

    def _pose(self, frames_bn3hw: Tensor, offsets: Sequence[int], known: list[Tensor]) -> Motions:
        """The motions, float32. `known`: the coarsest depth features of the first frames."""
        shared = None
        if self.pose.kind == "shared":
            shared = [*known, *[self.features(image)[-1] for image in frames_bn3hw[:, len(known) :].unbind(1)]]
        with self._autocast(frames_bn3hw):
            motions = self.pose(frames_bn3hw, offsets, shared)
        return motions._replace(axisangle=motions.axisangle.float(), translation=motions.translation.float())

    def relative_pose(self, first_b3hw: Tensor, second_b3hw: Tensor) -> Tensor:
        """(B, 4, 4) that maps the first camera's coordinates to the second's, `second` the next frame (images 0..1).

        PoseCNN's translation is in units of the scene's mean depth, as its network gives it.
        """
        if self.pose is None:
            raise MdtkError("this checkpoint has no pose network (MODEL.POSE none); odometry needs one")
        if self.pose.inputs != "pairs":
            raise MdtkError("a pose network with MODEL.POSE_INPUT all has no motion of a pair; train with pairs")
        motions = self._pose(torch.stack([first_b3hw, second_b3hw], 1), (1,), [])
        return pose_matrix(motions.axisangle[:, 0], motions.translation[:, 0])


def build_model(cfg: CfgNode) -> DepthSystem:
    """The networks of a recipe on the CPU, initialised as MODEL.PRETRAINED says (MODEL.WEIGHTS is not read here)."""
    model = cfg.MODEL
    encoder = build_encoder(
        model.ENCODER, pretrained=model.PRETRAINED, context_stem=model.CONTEXT_STEM, hrnet_fuse=model.HRNET_FUSE
    )
    depth = build_depth_net(encoder, model.DECODER, tuple(sorted(model.SCALES)))
    if model.INIT_SIGMOID != 0.5:
        for head in depth.decoder.heads.values():
            nn.init.constant_(head.conv.bias, math.log(model.INIT_SIGMOID / (1 - model.INIT_SIGMOID)))
    sources = list(cfg.DATA.SOURCES)
    pose = mask = None
    if sources and model.POSE != "none":
        pose = build_pose_network(
            model.POSE,
            model.POSE_INPUT,
            len(sources),
            encoder=model.POSE_ENCODER,
            pretrained=model.PRETRAINED,
            hrnet_fuse=model.HRNET_FUSE,
            depth_channels=encoder.channels[-1],
        )
    if model.PREDICTIVE_MASK:
        count = len(sources) + cfg.DATA.STEREO
        mask = SkipDecoder(encoder.channels, encoder.reductions, tuple(sorted(model.SCALES)), out_channels=count)
    system = DepthSystem(
        depth,
        pose,
        mask,
        IntrinsicsHead(pose.encoder.channels[-1]) if model.LEARN_INTRINSICS else None,
        sources if pose is not None else (),
        cfg.DATA.STEREO,
        source_depths=cfg.LOSS.GEOMETRY_CONSISTENCY > 0,
        precision=cfg.SOLVER.PRECISION,
        channels_last=cfg.SOLVER.CHANNELS_LAST,
    )
    return system.to(memory_format=system.memory_format)


@dataclass
class LoadedModel:
    """A checkpoint opened for prediction."""

    system: DepthSystem
    cfg: CfgNode
    checksum: str  # sha256 of the file
    path: Path
    device: torch.device

    @property
    def height(self) -> int:
        return self.cfg.DATA.HEIGHT

    @property
    def width(self) -> int:
        return self.cfg.DATA.WIDTH

    @torch.inference_mode()
    def disparity(self, images_b3hw: Tensor, dataset: str = "") -> Tensor:
        """Images (B, 3, height, width) in 0..1 → scaled disparity, 1 / depth, (B, 1, height, width) float32.

        `dataset`: its name, for a model trained on several with depth ranges of their own.
        """
        return full_disparity(self.system, images_b3hw.to(self.device), self.cfg, dataset)


def full_disparity(system: DepthSystem, images_b3hw: Tensor, cfg: CfgNode, dataset: str = "") -> Tensor:
    """Scaled disparity (1 / depth in the unit of the depth range) at the finest scale."""
    sigmoid = system.disparities(system.features(images_b3hw))[0]
    return scaled_disparity(sigmoid, *depth_range(set_of(cfg, dataset), cfg))


def load_model(path: str | Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Opens a native or converted checkpoint, rebuilt from the cfg that it carries, in eval mode on `device`."""
    path = Path(path)
    content = read_weights(path)
    cfg = config_from_text(content["cfg"], str(path))
    fresh = cfg.clone()
    fresh.defrost()
    fresh.MODEL.PRETRAINED = False  # the checkpoint has the weights; nothing is downloaded
    system = build_model(fresh)
    load_parts(system, content["model"], [], str(path))
    device = torch.device(device)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return LoadedModel(system.to(device).eval(), cfg, digest, path, device)

"""Networks that estimate the camera's motion between frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mdtk.core.errors import MdtkError
from mdtk.core.precision import full_precision
from mdtk.models.encoders import FeaturePyramid, build_encoder, is_hrnet

POSE_SCALE = 0.01  # keeps the first poses small, so that training starts near the identity warp

KINDS = ("separate", "shared", "posecnn")
INPUTS = ("pairs", "all")


def _split_motion(out_bchw: Tensor) -> tuple[Tensor, Tensor]:
    """(B,6·F,h,w) → axis-angle in radians and translation, both (B,F,3): the mean over the image, scaled."""
    motion = POSE_SCALE * out_bchw.mean(dim=(2, 3)).view(out_bchw.shape[0], -1, 6)
    return motion[..., :3], motion[..., 3:]


class Motions(NamedTuple):
    """What a pose network finds: S motions a sample, before any inversion."""

    axisangle: Tensor  # (B, S, 3), radians
    translation: Tensor  # (B, S, 3), in the unit of the depth
    features: list[Tensor]  # the pose encoder's coarsest feature of each of its inputs; none without such an encoder


class PoseDecoder(nn.Module):
    """Monodepth2's pose decoder: squeeze each input feature to 256 channels, concatenate, three convolutions."""

    def __init__(self, in_channels: int, num_inputs: int, num_poses: int) -> None:
        """`in_channels`: of the coarsest feature. `num_poses`: how many motions are predicted at once."""
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, 256, 1)
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(num_inputs * 256, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
                nn.Conv2d(256, 6 * num_poses, 1),
            ]
        )

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Coarsest features (B,C,h,w) of the inputs → axis-angle (B,num_poses,3) and translation (B,num_poses,3)."""
        x = torch.cat([torch.relu(self.squeeze(feature)) for feature in features], dim=1)
        x = torch.relu(self.convs[0](x))
        x = torch.relu(self.convs[1](x))
        with full_precision(x):  # its values are hundredths
            return _split_motion(self.convs[2](x.float()))


class PoseCNN(nn.Module):
    """The plain pose network of SfMLearner (Zhou et al., CVPR 2017), as Monodepth2 keeps it: seven strided layers."""

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        channels = [3 * num_frames, 16, 32, 64, 128, 256, 256, 256]
        kernels = [7, 5, 3, 3, 3, 3, 3]
        self.convs = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], kernel, stride=2, padding=kernel // 2)
            for i, kernel in enumerate(kernels)
        )
        self.head = nn.Conv2d(256, 6 * (num_frames - 1), 1)

    def forward(self, frames_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Frames stacked in the channels, in 0..1 → axis-angle and translation (B,num_frames−1,3)."""
        x = frames_bchw
        for conv in self.convs:
            x = torch.relu(conv(x))
        with full_precision(x):
            return _split_motion(self.head(x.float()))


class PoseNetwork(nn.Module):
    """The motion from a reference frame to each temporal source frame.

    kind:
      separate  an encoder of its own sees the frames stacked in the channels
      shared    the depth encoder's coarsest features of the frames are compared (no encoder here)
      posecnn   `PoseCNN`
    inputs:
      pairs     the reference with one source at a time, in temporal order; the motion found goes forward in time, so
                for a source before the reference it is the inverse of the one wanted: see `inverted`
      all       all frames at once (reference first, then the sources), one motion a source, never inverted
    """

    def __init__(
        self,
        kind: str,
        inputs: str,
        num_sources: int,
        encoder: FeaturePyramid | None = None,
        shared_channels: int | None = None,
    ) -> None:
        """`encoder` for `separate`, made for 2 frames (pairs) or 1+num_sources; `shared_channels` for `shared`."""
        super().__init__()
        if kind not in KINDS:
            raise MdtkError(f"MODEL.POSE is {kind!r}; choose one of {', '.join(KINDS)}")
        if inputs not in INPUTS:
            raise MdtkError(f"MODEL.POSE_INPUT is {inputs!r}; choose one of {', '.join(INPUTS)}")
        self.kind, self.inputs, self.num_sources = kind, inputs, num_sources
        self.num_frames = 2 if inputs == "pairs" else 1 + num_sources
        self.encoder = encoder
        if kind == "separate":
            if encoder is None:
                raise ValueError("a separate pose network needs an encoder")
            # The published network predicts two motions even for a pair, and uses the first.
            num_poses = 2 if inputs == "pairs" else num_sources
            self.decoder: nn.Module = PoseDecoder(encoder.channels[-1], 1, num_poses)
        elif kind == "shared":
            if shared_channels is None:
                raise ValueError("a shared pose network needs the channels of the depth encoder")
            self.decoder = PoseDecoder(shared_channels, self.num_frames, self.num_frames - 1)
        else:
            self.decoder = PoseCNN(self.num_frames)

    @property
    def feature_channels(self) -> int:
        """Of the features that a separate pose network returns beside its motions."""
        if self.encoder is None:
            raise MdtkError("MODEL.LEARN_INTRINSICS needs MODEL.POSE separate, whose encoder looks at pairs of frames")
        return self.encoder.channels[-1]

    def inverted(self, source_offsets: Sequence[int]) -> tuple[bool, ...]:
        """Per source: whether the motion found must be inverted to map reference to source coordinates."""
        return tuple(self.inputs == "pairs" and offset < 0 for offset in source_offsets)

    def forward(
        self,
        frames_bn3hw: Tensor,
        source_offsets: Sequence[int],
        depth_features: Sequence[Tensor] | None = None,
    ) -> Motions:
        """Frames in 0..1, the reference first, then the sources in the order of `source_offsets` (in frames, < 0
        before the reference) → a motion a source, before any inversion (`inverted`).

        `depth_features`, for `shared`: the depth encoder's coarsest feature of each frame, in the same order.
        """
        if frames_bn3hw.shape[1] != 1 + len(source_offsets):
            raise ValueError(f"{frames_bn3hw.shape[1]} frames for {len(source_offsets)} sources and the reference")
        if self.inputs == "all":
            if len(source_offsets) != self.num_sources:
                raise MdtkError(
                    f"this pose network (MODEL.POSE_INPUT all) was made for {self.num_sources} sources, not "
                    f"{len(source_offsets)}; use the DATA.SOURCES that it was trained with"
                )
            return self._motion(range(1 + self.num_sources), frames_bn3hw, depth_features)
        # One pair at a time, as published: each pair has its own batch-norm statistics.
        pairs = [(index, 0) if offset < 0 else (0, index) for index, offset in enumerate(source_offsets, start=1)]
        motions = [self._motion(pair, frames_bn3hw, depth_features) for pair in pairs]
        return Motions(
            torch.stack([motion.axisangle[:, 0] for motion in motions], dim=1),
            torch.stack([motion.translation[:, 0] for motion in motions], dim=1),
            [feature for motion in motions for feature in motion.features],
        )

    def _motion(self, order: Sequence[int], frames_bn3hw: Tensor, depth_features: Sequence[Tensor] | None) -> Motions:
        features: list[Tensor] = []
        if self.kind == "shared":
            assert depth_features is not None
            axisangle, translation = self.decoder([depth_features[index] for index in order])
            return Motions(axisangle, translation, features)
        stacked = torch.cat([frames_bn3hw[:, index] for index in order], dim=1)
        if self.encoder is None:
            axisangle, translation = self.decoder(stacked)
        else:
            features = [self.encoder(stacked)[-1]]
            axisangle, translation = self.decoder(features)
        return Motions(axisangle, translation, features)


def build_pose_network(
    kind: str,
    inputs: str,
    num_sources: int,
    *,
    encoder: str = "resnet18",
    pretrained: bool = False,
    hrnet_fuse: str = "nearest",
    depth_channels: int | None = None,
) -> PoseNetwork:
    """Builds a `PoseNetwork`: `encoder` by name for `separate`, `depth_channels` (coarsest feature) for `shared`.

    `hrnet_fuse` is for an HRNet `encoder` alone: no other has branches, and the depth encoder may be the HRNet.
    """
    if kind != "separate":
        return PoseNetwork(kind, inputs, num_sources, shared_channels=depth_channels)
    network = build_encoder(
        encoder,
        key="MODEL.POSE_ENCODER",
        pretrained=pretrained,
        in_frames=2 if inputs == "pairs" else 1 + num_sources,
        # It matters for the coarsest feature too: each stage's branches are fused before the next one's convolutions.
        hrnet_fuse=hrnet_fuse if is_hrnet(encoder) else "nearest",
        last_only=True,
    )
    return PoseNetwork(kind, inputs, num_sources, network)

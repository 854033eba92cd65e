"""DepthSystem: the depth and pose networks (and the predictive mask), the one module that DDP wraps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from mdtk.config.sections import DataSection, LossSection, ModelSection, SolverSection
from mdtk.core.errors import MdtkError
from mdtk.core.precision import full_precision
from mdtk.core.structures import Inputs, Prediction, Sigmoids, View
from mdtk.geometry.depth import scaled_disparity
from mdtk.geometry.pose import pose_matrix
from mdtk.models.decoders import SkipDecoder
from mdtk.models.depth_network import DepthNet, build_depth_net
from mdtk.models.encoders import FeaturePyramid, build_encoder
from mdtk.models.intrinsics import IntrinsicsHead
from mdtk.models.pose_network import KINDS, Motions, PoseNetwork, build_pose_network


class DepthSystem(nn.Module):
    """`Inputs` in, `Prediction` out: sigmoids, motions, masks.

    `input_offsets`: the frames that the depth network sees together; `offsets`: the sources whose motion the pose
    network finds, in the order of the batch; of those after them the data tell it (`Inputs.known_T_bk44`).
    `precision` "bf16" runs the networks under autocast; what they return is float32 in any case.
    """

    def __init__(
        self,
        depth: DepthNet,
        pose: PoseNetwork | None,
        mask: SkipDecoder | None,
        intrinsics: IntrinsicsHead | None,
        offsets: Sequence[int],
        *,
        input_offsets: Sequence[int] = (0,),
        source_depths: bool = False,
        precision: str = "fp32",
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.depth, self.pose, self.mask, self.intrinsics = depth, pose, mask, intrinsics
        self.offsets, self.source_depths = tuple(offsets), source_depths
        self.input_offsets = tuple(input_offsets)
        self.precision = precision
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def forward(self, inputs: Inputs) -> Prediction:
        """`prediction = system(inputs)`."""
        with self._autocast(inputs.frames_bn3hw):  # around all networks, so that weights are cast once
            return self._predict(inputs)

    def _predict(self, inputs: Inputs) -> Prediction:
        whole = inputs.views[0]
        features = [self.features(view.input_bchw) for view in inputs.views]
        sigmoids = [self.sigmoids(feature) for feature in features]
        motions, pose_features = self.motions(inputs, features[0], sigmoids[0][0])
        height, width = whole.target_b3hw.shape[-2:]
        return Prediction(
            sigmoids=sigmoids,
            source_T_target_bs44=motions,
            K_b33=None if self.intrinsics is None else self.intrinsics(pose_features, height, width),
            masks=None if self.mask is None else self._decode(self.mask, features[0]),
            source_depths=self._source_depths(inputs) if self.source_depths else None,
        )

    def _autocast(self, image: Tensor) -> torch.autocast:
        return torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def features(self, images_bchw: Tensor) -> list[Tensor]:
        """The depth encoder's features, fine to coarse, in the precision that it runs in.

        `images_bchw`: (B, 3·F, H, W) in 0..1, the frames at `input_offsets` stacked in the channels.
        """
        if images_bchw.shape[1] != 3 * len(self.input_offsets):
            raise MdtkError(
                f"the depth network takes {len(self.input_offsets)} frames together (MODEL.INPUT_OFFSETS "
                f"{list(self.input_offsets)}), not {images_bchw.shape[1] // 3}; give the frames at these offsets"
            )
        with self._autocast(images_bchw):
            return self.depth.features(images_bchw.contiguous(memory_format=self.memory_format))

    def sigmoids(self, features: list[Tensor]) -> Sigmoids:
        """{scale: sigmoid (B, 1, H / 2^scale, W / 2^scale) float32} of `features`: 1 is near, 0 is far."""
        return self._decode(self.depth.decode, features)

    def _decode(self, decoder: Callable[[list[Tensor]], Sigmoids], features: list[Tensor]) -> Sigmoids:
        with self._autocast(features[0]):
            outputs = decoder(features)
        return {scale: output.float() for scale, output in outputs.items()}

    def _source_depths(self, inputs: Inputs) -> list[Tensor]:
        sigmoids = [self.sigmoids(self.features(image))[0] for image in inputs.frames_bn3hw[:, 1:].unbind(1)]
        with full_precision(inputs.frames_bn3hw):
            return [inputs.views[0].depth(sigmoid) for sigmoid in sigmoids]

    def motions(self, inputs: Inputs, features: list[Tensor], sigmoid_b1hw: Tensor) -> tuple[Tensor, list[Tensor]]:
        """source_T_target (B, S, 4, 4), and the pose encoder's features.

        `features`, `sigmoid_b1hw`: the depth network's, of the whole target.
        """
        motions: list[Tensor] = []
        pose_features: list[Tensor] = []
        if self.pose is not None:
            frames = inputs.frames_bn3hw[:, : 1 + len(self.offsets)]
            axisangle, translation, pose_features = self._pose(frames, self.offsets, [features[-1]])
            with full_precision(frames):
                if self.pose.kind == "posecnn":  # its translation is in units of the scene's depth
                    translation = translation * _mean_disparity(inputs.views[0], sigmoid_b1hw)[:, None, None]
                inverted = self.pose.inverted(self.offsets)
                motions = [pose_matrix(axisangle[:, i], translation[:, i], flag) for i, flag in enumerate(inverted)]
        return torch.cat([*(motion[:, None] for motion in motions), inputs.known_T_bk44], 1), pose_features

    def _pose(self, frames_bn3hw: Tensor, offsets: Sequence[int], known: list[Tensor]) -> Motions:
        """The motions, float32. `known`: the coarsest depth features of the first frames."""
        assert self.pose is not None
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
            raise MdtkError("this checkpoint has no pose network (MODEL.POSE none or given); odometry needs one")
        if self.pose.inputs != "pairs":
            raise MdtkError("a pose network with MODEL.POSE_INPUT all has no motion of a pair; train with pairs")
        motions = self._pose(torch.stack([first_b3hw, second_b3hw], 1), (1,), [])
        return pose_matrix(motions.axisangle[:, 0], motions.translation[:, 0])


def _mean_disparity(view: View, sigmoid_b1hw: Tensor) -> Tensor:
    """1 / depth, its mean over the image (B,)."""
    low, high = view.depth_range_b2[:, :1, None, None], view.depth_range_b2[:, 1:, None, None]
    return scaled_disparity(sigmoid_b1hw, low, high).mean((1, 2, 3))


def build_model(cfg: CfgNode) -> DepthSystem:
    """The networks of a recipe on the CPU, initialised as MODEL.PRETRAINED says (MODEL.WEIGHTS is not read here)."""
    model, data = ModelSection.of(cfg), DataSection.of(cfg)
    _check_several_frames(cfg)
    encoder = build_encoder(
        model.encoder,
        pretrained=model.pretrained,
        in_frames=len(model.input_offsets),
        context_stem=model.context_stem,
        hrnet_fuse=model.hrnet_fuse,
    )
    scales = tuple(sorted(model.scales))
    depth = build_depth_net(encoder, model.decoder, scales, model.init_sigmoid)
    pose = _build_pose(model, data, encoder) if data.sources and model.pose in KINDS else None
    mask = None
    if model.predictive_mask:
        count = len(data.sources) + data.stereo
        mask = SkipDecoder(encoder.channels, encoder.reductions, scales, out_channels=count)
    system = DepthSystem(
        depth,
        pose,
        mask,
        IntrinsicsHead(pose.feature_channels) if model.learn_intrinsics and pose is not None else None,
        data.sources if pose is not None else (),
        input_offsets=model.input_offsets,
        source_depths=LossSection.of(cfg).geometry_consistency > 0,
        precision=SolverSection.of(cfg).precision,
        channels_last=SolverSection.of(cfg).channels_last,
    )
    return system.to(memory_format=system.memory_format)


def _build_pose(model: ModelSection, data: DataSection, encoder: FeaturePyramid) -> PoseNetwork:
    return build_pose_network(
        model.pose,
        model.pose_input,
        len(data.sources),
        encoder=model.pose_encoder,
        pretrained=model.pretrained,
        hrnet_fuse=model.hrnet_fuse,
        depth_channels=encoder.channels[-1],
    )


def _check_several_frames(cfg: CfgNode) -> None:
    """A source frame has no neighbours in the batch: what needs the depth network's view of it is refused."""
    model = ModelSection.of(cfg)
    if len(model.input_offsets) == 1:
        return
    if model.pose == "shared":
        raise MdtkError("MODEL.POSE shared runs the depth encoder on single frames; set MODEL.INPUT_OFFSETS [0]")
    if LossSection.of(cfg).geometry_consistency:
        raise MdtkError("LOSS.GEOMETRY_CONSISTENCY needs the depth of single frames; set MODEL.INPUT_OFFSETS [0]")

"""What crosses rooms: the views that networks see and losses compare, and what networks predict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image
from torch import Tensor

from mdtk.geometry.depth import sigmoid_to_depth

Sigmoids = dict[int, Tensor]  # scale → sigmoid (B, 1, H / 2^s, W / 2^s)
Parameters = Mapping[str, Tensor]  # name → one row for each sample of the batch


class ViewKind:
    """How a view of the target is made, and how what a network says about it is brought back to the whole image.

    A view is registered with `@VIEWS.register("name")` (`mdtk.data.views`) and is a frozen dataclass of its options.
    Every method defaults to what the whole image does: nothing. `parameters` are those that `draw` returned: arrays of
    one sample in a worker, tensors with a row for each sample on the device.
    """

    name: ClassVar[str]  # set by the registry; the view's scalars are logged under it
    # Parameters that stay on the host when a batch crosses to the device, because the host decides by them.
    on_host: ClassVar[tuple[str, ...]] = ()

    def draw(self, generator: np.random.Generator, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """One sample's parameters by name, for images of `size` = (width, height), from a generator of its own."""
        return {}

    def cut(
        self,
        images: Sequence[Image.Image],
        size: tuple[int, int],
        parameters: Mapping[str, np.ndarray],
        as_read: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray | None:
        """In a worker: frames of this view's own, uint8 (N, 3, H, W), from the native images; None: the whole image's.

        `as_read` takes a box of the augmented image (as `geometry.camera.magnified_box` gives it) to the box of the
        image as it was read; the device then augments the cut frames with the rest.
        """
        return None

    def build(self, images_bn3hw: Tensor, parameters: Parameters) -> Tensor:
        """The images that the loss compares, from the view's own frames or the whole image's, 0..1."""
        return images_bn3hw

    def arrange(self, input_bchw: Tensor, parameters: Parameters) -> Tensor:
        """What the depth network sees, from the recoloured images that the loss compares."""
        return input_bchw

    def restore(self, map_bchw: Tensor, parameters: Parameters, scale: int) -> Tensor:
        """A map over what the network sees as a map over what the loss compares; it is 1/2^scale as large."""
        return map_bchw

    def depth(self, depth_b1hw: Tensor, parameters: Parameters) -> Tensor:
        """Depth (B, 1, H, W) of the view's camera from the depth that the network's output stands for."""
        return depth_b1hw

    def intrinsics(self, K_b33: Tensor, parameters: Parameters) -> Tensor:
        """This view's K in pixels where the whole image's is `K_b33`."""
        return K_b33

    def from_whole(self, map_bchw: Tensor, parameters: Parameters) -> Tensor:
        """A map of the whole image, as large as the image, at the pixels of this view."""
        return map_bchw


@dataclass(frozen=True)
class View:
    """One view of the targets of a batch: F frames seen by the depth network, S sources."""

    kind: ViewKind
    input_bchw: Tensor  # (B, 3·F, H, W), what the depth network sees (recoloured)
    target_b3hw: Tensor  # what the warped sources are compared with
    sources_bs3hw: Tensor
    K_b33: Tensor  # of target and sources, in their pixels
    depth_range_b2: Tensor  # depth of sigmoid 1 and of sigmoid 0
    parameters: Parameters  # of its kind

    @property
    def name(self) -> str:
        return self.kind.name

    def restore(self, map_bchw: Tensor, scale: int = 0) -> Tensor:
        """A map of the network's input brought back to the loss's image; `scale`: the map is 1/2^scale as large."""
        return self.kind.restore(map_bchw, self.parameters, scale)

    def depth(self, sigmoid_b1hw: Tensor) -> Tensor:
        """Depth (B, 1, h, w) of this view's camera from a restored sigmoid."""
        return self.kind.depth(sigmoid_to_depth(sigmoid_b1hw, self.depth_range_b2), self.parameters)

    def intrinsics(self, K_b33: Tensor) -> Tensor:
        """This view's K where the whole image's is `K_b33`."""
        return self.kind.intrinsics(K_b33, self.parameters)

    def from_whole(self, map_bchw: Tensor) -> Tensor:
        """A map of the whole image (B, C, H, W), as large as it, at this view's pixels."""
        return self.kind.from_whole(map_bchw, self.parameters)


@dataclass(frozen=True)
class Inputs:
    """What the networks see of a batch (see `mdtk.data.preparation`)."""

    views: Sequence[View]  # the whole image first
    frames_bn3hw: Tensor  # target and sources as the pose network sees them (recoloured)
    known_T_bk44: Tensor  # source ← target of the last K sources, whose motion the data tell


@dataclass(frozen=True)
class Prediction:
    """What the networks say about a batch (see `mdtk.models.system`)."""

    sigmoids: list[Sigmoids]  # one a view, of what the network saw of it
    source_T_target_bs44: Tensor
    masks: Sigmoids | None = None  # predictive masks: scale → (B, S, h, w)
    source_depths: list[Tensor] | None = None  # depth (B, 1, H, W) of each source, for geometry consistency
    K_b33: Tensor | None = None  # learned intrinsics of the whole image, in place of the views'

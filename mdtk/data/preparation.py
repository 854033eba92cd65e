"""What happens to a sample besides being read: augmentations and views, drawn in a worker, made on the device.

`Preparation.draw` is the worker's half, `Preparation(batch)` the device's. Each augmentation and each view draws from a
generator of its own, seeded by (seed, epoch, position in the epoch, its name): one never changes what another draws,
and no number of workers, processes or restarts changes any.
"""

from __future__ import annotations

import functools
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from yacs.config import CfgNode

from mdtk.config.sections import AugmentSection, DataSection, ModelSection, ViewsSection
from mdtk.core.errors import MdtkError
from mdtk.core.structures import Inputs, Parameters, View, ViewKind
from mdtk.data.augmentation import AUGMENTATIONS, Augmentation, Frames
from mdtk.data.augmentation.color_jitter import ColorJitter
from mdtk.data.augmentation.flip import Flip
from mdtk.data.batch import Batch
from mdtk.data.views import VIEWS
from mdtk.data.views.magnified_crop import MagnifiedCrop
from mdtk.data.views.permuted import Permuted
from mdtk.data.views.whole import WholeImage

CUT = "frames"  # the parameter that holds what a view cut in the worker


@dataclass(frozen=True)
class Preparation:
    """`inputs = prepare(batch)`.

    views: the whole image first. input_frames: which of the batch's frames the depth network sees together, by index
    (0: the target).
    """

    views: tuple[ViewKind, ...] = (WholeImage(),)
    augmentations: tuple[Augmentation, ...] = ()
    input_frames: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        names = Counter([*(kind.name for kind in self.views), *(part.name for part in self.augmentations)])
        if twice := [name for name, count in names.items() if count > 1]:
            raise MdtkError(f"VIEWS and AUGMENT name '{twice[0]}' more than once; leave one of them out")

    @property
    def on_host(self) -> frozenset[str]:
        """The parameters that stay on the host."""
        parts: tuple[Augmentation | ViewKind, ...] = (*self.augmentations, *self.views)
        return frozenset(f"{part.name}/{name}" for part in parts for name in part.on_host)

    @property
    def cuts_native(self) -> bool:
        """Whether a view may cut frames of its own from the native images."""
        return any(type(kind).cut is not ViewKind.cut for kind in self.views)

    def draw(self, images: Sequence[Image.Image], size: tuple[int, int], seeds: Sequence[int]) -> dict[str, np.ndarray]:
        """A sample's parameters, and the frames that its views cut from the native images.

        `seeds`: the numbers that tell this sample from every other of the run.
        """
        # Never fewer than two further views, so that the published ones change no other parameters when they are off.
        looks = self._looks(len(images), max(2, len(self.views) - 1))
        drawn = {part.name: part.draw(_generator(seeds, part.name), looks) for part in self.augmentations}
        as_read = functools.partial(self._box_as_read, size=size, drawn=dict(drawn))
        for kind in self.views:
            drawn[kind.name] = kind.draw(_generator(seeds, kind.name), size)
            cut = kind.cut(images, size, drawn[kind.name], as_read)
            if cut is not None:
                drawn[kind.name][CUT] = cut
        return {f"{part}/{name}": value for part, values in drawn.items() for name, value in values.items()}

    def _box_as_read(
        self, box_4: np.ndarray, size: tuple[int, int], drawn: dict[str, dict[str, np.ndarray]]
    ) -> np.ndarray:
        for part in reversed(self.augmentations):
            box_4 = part.box_as_read(box_4, size, drawn[part.name])
        return box_4

    def _looks(self, frames: int, further: int) -> int:
        """How many images may look different: the frames, and the inputs of so many further views."""
        return frames + further * len(self.input_frames)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Inputs:
        """A batch's own parameters applied, on the device where it is."""
        whole = self._move(Frames(batch.frames_bn3hw, batch.K_b33, batch.known_T_bk44), batch)
        clean = whole.images_bn3hw.float().div_(255)
        seen = self._recolour(clean, batch, 0)
        views = [self._view(index, batch, whole.K_b33, clean, seen) for index in range(len(self.views))]
        return Inputs(views, seen, whole.known_T_bk44)

    def _view(self, index: int, batch: Batch, K_b33: Tensor, clean_bn3hw: Tensor, seen_bn3hw: Tensor) -> View:
        """The view of `self.views[index]`, from the whole image's frames as they are and as the networks see them."""
        kind = self.views[index]
        parameters = batch.own(kind.name)
        images = kind.build(self._own_frames(parameters, batch, clean_bn3hw), parameters)
        if index == 0 or (images is clean_bn3hw and all(part.one_look() for part in self.augmentations)):
            recoloured = self._input(seen_bn3hw)  # there is nothing to redo
        else:
            first = self._looks(clean_bn3hw.shape[1], index - 1)
            recoloured = self._recolour(self._input(images), batch, first)
        return View(
            kind=kind,
            input_bchw=kind.arrange(recoloured.flatten(1, 2), parameters),
            target_b3hw=images[:, 0],
            sources_bs3hw=images[:, 1:],
            K_b33=kind.intrinsics(K_b33, parameters),
            depth_range_b2=batch.depth_range_b2,
            parameters=parameters,
        )

    def _input(self, images_bn3hw: Tensor) -> Tensor:
        """The frames that the depth network sees together (B, F, 3, H, W)."""
        if self.input_frames == (0,):
            return images_bn3hw[:, :1]
        return torch.stack([images_bn3hw[:, index] for index in self.input_frames], 1)

    def _own_frames(self, parameters: Parameters, batch: Batch, clean_bn3hw: Tensor) -> Tensor:
        """The frames that the view cut, augmented like the whole image's, in 0..1; else the whole image's."""
        if CUT not in parameters:
            return clean_bn3hw
        cut = self._move(Frames(parameters[CUT], batch.K_b33, batch.known_T_bk44), batch)
        return cut.images_bn3hw.float().div_(255)

    def _move(self, frames: Frames, batch: Batch) -> Frames:
        for part in self.augmentations:
            frames = part.move(frames, batch.own(part.name))
        return frames

    def _recolour(self, images_bn3hw: Tensor, batch: Batch, first: int) -> Tensor:
        for part in self.augmentations:
            images_bn3hw = part.recolour(images_bn3hw, batch.own(part.name), first)
        return images_bn3hw


def _generator(seeds: Sequence[int], name: str) -> np.random.Generator:
    return np.random.default_rng((*seeds, zlib.crc32(name.encode())))


def build_preparation(cfg: CfgNode, augmented: bool = True) -> Preparation:
    """What AUGMENT and VIEWS say; not `augmented`: the whole image as it is (validation)."""
    sources = DataSection.of(cfg).sources
    frames = tuple(0 if offset == 0 else 1 + sources.index(offset) for offset in ModelSection.of(cfg).input_offsets)
    if not augmented:
        return Preparation(input_frames=frames)
    return Preparation((WholeImage(), *_further_views(cfg)), tuple(_augmentations(cfg)), frames)


def _further_views(cfg: CfgNode) -> list[ViewKind]:
    section = ViewsSection.of(cfg)
    kinds: list[ViewKind] = []
    if section.local_crop:
        low, high = section.crop_ratio
        kinds.append(MagnifiedCrop((low, high)))
    if section.split_permute:
        low, high = section.permute_ratio
        kinds.append(Permuted((low, high)))
    return [*kinds, *(VIEWS.build(mapping, "VIEWS.OTHERS") for mapping in section.others)]


def _augmentations(cfg: CfgNode) -> list[Augmentation]:
    section = AugmentSection.of(cfg)
    parts: list[Augmentation] = []
    if section.flip:
        parts.append(Flip(section.flip))
    if section.jitter:
        jitter = ColorJitter(
            probability=section.jitter,
            brightness=section.brightness,
            contrast=section.contrast,
            saturation=section.saturation,
            hue=section.hue,
            per_frame=section.jitter_per_frame,
        )
        parts.append(jitter)
    return [*parts, *(AUGMENTATIONS.build(mapping, "AUGMENT.OTHERS") for mapping in section.others)]

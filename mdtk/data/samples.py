"""From a split entry to a training sample: frames as uint8, K in pixels, and this sample's augmentation draws."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from mdtk.data.batch import Sample
from mdtk.datasets.image_files import magnified_crop, resize_frames
from mdtk.datasets.reader import STEREO, DatasetReader, Offset

Key = tuple[int, int, int]  # (epoch, position in the epoch, index): what the sampler asks for


@dataclass(frozen=True)
class DrawOptions:
    """What may be drawn for a sample (the AUGMENT and VIEWS keys)."""

    flip: float = 0.5
    jitter: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1
    per_frame: bool = False
    local_crop: bool = False
    crop_ratio: tuple[float, float] = (1.2, 2.0)
    split_permute: bool = False
    permute_ratio: tuple[float, float] = (0.1, 0.9)


NO_DRAWS = DrawOptions(flip=0.0, jitter=0.0)


@dataclass(frozen=True)
class Draws:
    """One sample's draws. Each augmentation has a generator of its own, so one never changes another's draws."""

    flip: bool
    jitter_n5: np.ndarray
    order_n4: np.ndarray
    crop: tuple[float, float, float]  # magnification; left and top as fractions of what is left over
    cut: tuple[float, float]  # where the target is cut, as fractions of width and height

    @staticmethod
    def draw(options: DrawOptions, seeds: Sequence[int], frames: int) -> Draws:
        """The draws of a sample of `frames` frames; drawn per frame, the crop and the permuted target have own rows.

        `seeds`: the numbers that tell this sample from every other of the run.
        """
        generator = {
            name: np.random.default_rng((*seeds, zlib.crc32(name.encode())))
            for name in ("flip", "jitter", "crop", "permuted")
        }
        flip = bool(generator["flip"].random() < options.flip)
        crop = tuple(generator["crop"].uniform((options.crop_ratio[0], 0, 0), (options.crop_ratio[1], 1, 1)))
        cut = tuple(generator["permuted"].uniform(*options.permute_ratio, size=2))
        rows = frames + 2 if options.per_frame else 1
        on = generator["jitter"].random() < options.jitter
        spread = np.array([options.brightness, options.contrast, options.saturation, options.hue])
        factors = generator["jitter"].uniform(-spread, spread, size=(rows, 4)) + np.array([1, 1, 1, 0])
        jitter = np.concatenate([np.full((rows, 1), on), factors], 1).astype(np.float32)
        order = generator["jitter"].permuted(np.tile(np.arange(4), (rows, 1)), axis=1)
        return Draws(flip, jitter, order, crop, cut)


class MonoDataset(Dataset):
    """Training samples of one dataset. An item is asked for by (epoch, position in the epoch, index): its draws follow
    from the seed, the epoch and the position alone, whatever the number of workers, processes or restarts.

    Args: sources in frames, `stereo` appends the other camera; size (width, height) of the network's input;
    baseline in depth units (0: the rig's metres); depth_range: depth of this set's sigmoid at 1 and at 0.
    """

    def __init__(
        self,
        reader: DatasetReader,
        sources: Sequence[int],
        stereo: bool,
        size: tuple[int, int],
        *,
        baseline: float = 0.1,
        depth_range: tuple[float, float] = (0.1, 100.0),
        options: DrawOptions = NO_DRAWS,
        seed: int = 0,
    ) -> None:
        self.reader, self.size, self.options, self.seed = reader, size, options, seed
        self.offsets: list[Offset] = [0, *sources, *([STEREO] if stereo else [])]
        self.stereo, self.baseline = stereo, baseline
        self.depth_range = np.array(depth_range, np.float32)

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, key: Key) -> Sample:
        epoch, position, index = key
        draws = Draws.draw(self.options, (self.seed, epoch, position), len(self.offsets))
        images = self.reader.images(index, self.offsets)
        K = self.reader.resized_intrinsics(index, images[0].size, self.size)
        return Sample(
            name=self.reader.name(index),
            frames_n3hw=resize_frames(images, self.size),
            K_33=K.astype(np.float32),
            stereo_T_44=self._stereo_T(index),
            depth_range_2=self.depth_range,
            flip=draws.flip,
            jitter_n5=draws.jitter_n5,
            order_n4=draws.order_n4,
            **self._view_draws(images, draws),
        )

    def _view_draws(self, images: list, draws: Draws) -> dict[str, np.ndarray]:
        width, height = self.size
        fields = {}
        if self.options.local_crop:
            ratio, x, y = draws.crop
            room = int(width * ratio) - width, int(height * ratio) - height
            left, top = int(room[0] * x), int(room[1] * y)
            # The box counts in the flipped image: cut its mirror here, the device flips the crop with the rest.
            cut_left = room[0] - left if draws.flip else left
            crops, box = magnified_crop(images, self.size, ratio, cut_left, top)
            box[2] = left
            fields |= {"crop_n3hw": crops, "crop_box_4": box}
        if self.options.split_permute:
            swapped = int(width * draws.cut[0]), int(height * draws.cut[1])
            fields["split_2"] = np.array([width - swapped[0], height - swapped[1]])
        return fields

    def _stereo_T(self, index: int) -> np.ndarray:
        T = np.eye(4, dtype=np.float32)
        if self.stereo:
            sign, metres = self.reader.stereo_pose(index)
            T[0, 3] = sign * (self.baseline or metres)
        return T


class MixedDataset(Dataset):
    """Several datasets behind one index."""

    def __init__(self, sets: Sequence[MonoDataset]) -> None:
        self.sets = list(sets)
        self.starts = np.cumsum([0, *[len(dataset) for dataset in sets]])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, key: Key) -> Sample:
        epoch, position, index = key
        which = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.sets[which][epoch, position, index - int(self.starts[which])]

"""From a split entry to a training sample: frames as uint8, K in pixels, and this sample's augmentation parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from mdtk.core.errors import MdtkError
from mdtk.data.batch import Sample
from mdtk.data.preparation import Preparation
from mdtk.datasets.entry_frames import EntryFrames, decode_frames
from mdtk.datasets.packed import PackedFrames
from mdtk.datasets.reader import STEREO, DatasetReader, Offset
from mdtk.geometry.pose import relative_motion

TRIES = 20  # entries that are tried in the place of one that cannot be read
Key = tuple[int, int, int]  # (epoch, position in the epoch, index): what the sampler asks for


class MonoDataset(Dataset):
    """Training samples of one dataset. An item is asked for by (epoch, position in the epoch, index): its augmentation
    parameters follow from the seed, the epoch and the position alone, whatever the number of workers or restarts.

    Args: sources in frames, `stereo` appends the other camera; size (width, height) of the network's input;
    `poses`: the reader tells the motions to the sources; baseline in depth units (0: the rig's metres); depth_range:
    depth of this set's sigmoid at 1 and at 0; `prepare` draws the parameters of augmentations and views; with
    `replace` the next entry that can be read stands in for one that cannot, and says so; `packed`: frames come from
    there, and the reader opens no image.
    """

    def __init__(
        self,
        reader: DatasetReader,
        sources: Sequence[int],
        stereo: bool,
        size: tuple[int, int],
        *,
        poses: bool = False,
        baseline: float = 0.1,
        depth_range: tuple[float, float] = (0.1, 100.0),
        prepare: Preparation,
        seed: int = 0,
        replace: bool = False,
        packed: PackedFrames | None = None,
    ) -> None:
        self.reader, self.size, self.prepare, self.seed = reader, size, prepare, seed
        self.replace, self.packed = replace, packed
        self.offsets: list[Offset] = [0, *sources, *([STEREO] if stereo else [])]
        self.posed = list(sources) if poses else []
        self.stereo, self.baseline = stereo, baseline
        self.depth_range = np.array(depth_range, np.float32)

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, key: Key) -> Sample:
        epoch, position, index = key
        problem = ""
        for further in range(min(len(self), TRIES) if self.replace else 1):
            try:
                return self._sample(epoch, position, (index + further) % len(self), problem)
            except MdtkError as error:
                if not self.replace:
                    raise
                problem = problem or f"{self.reader.name(index)}: {error}"
        raise MdtkError(f"{problem}; nor can any of the {TRIES} entries after it be read")

    def _sample(self, epoch: int, position: int, index: int, problem: str) -> Sample:
        frames = self._frames(index)
        K = self.reader.resized_intrinsics(index, frames.native_size, self.size)
        return Sample(
            name=self.reader.name(index),
            frames_n3hw=frames.resized_n3hw,
            K_33=K.astype(np.float32),
            known_T_k44=self._known_T(index),
            depth_range_2=self.depth_range,
            parameters=self.prepare.draw(frames.images, self.size, (self.seed, epoch, position)),
            on_host=self.prepare.on_host,
            problem=problem,
        )

    def _frames(self, index: int) -> EntryFrames:
        if self.packed is not None:
            return self.packed(index)
        return decode_frames(self.reader, index, self.offsets, self.size)

    def _known_T(self, index: int) -> np.ndarray:
        known = np.zeros((len(self.posed) + self.stereo, 4, 4), np.float32)
        if self.posed:
            target = self.reader.pose(index)
            known[: len(self.posed)] = [relative_motion(self.reader.pose(index, o), target) for o in self.posed]
        if self.stereo:
            sign, metres = self.reader.stereo_pose(index)
            known[-1] = np.eye(4)
            known[-1, 0, 3] = sign * (self.baseline or metres)
        return known


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

"""The first loop of an evaluation: images become one scaled disparity per name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from mdtk.core import distributed
from mdtk.core.errors import MdtkError
from mdtk.datasets.image_files import resize
from mdtk.datasets.reader import DatasetReader, Offset
from mdtk.inference.post_process import blend_flipped

# Images (B, 3·F, H, W) in 0 … 1 on the device, F frames one after the other → scaled disparity (B, 1, H, W), 1/depth
Model = Callable[[Tensor], Tensor]


class ItemReader(Dataset):
    """Items of a dataset, read in loader workers; an `MdtkError` there comes back as an item, to stay one sentence."""

    def __init__(self, read: Callable[[int], object]) -> None:
        self._read = read

    def __getitem__(self, index: int) -> object:
        try:
            return self._read(index)
        except MdtkError as error:
            return error


def read_in_order(
    read: Callable[[int], object],
    batches: Sequence[Sequence[int]],
    workers: int,
    collate: Callable[[list], list] | None = None,
    pin: bool = False,
    title: str = "",
) -> Iterator[list]:
    """`read(index)` for every index, batch by batch in order, in at most `workers` processes (0: in this one).

    `collate` works on a batch's items in the worker; `pin` puts their tensors into page-locked memory. With a `title`
    the main process shows a bar where there is a terminal, after a second.
    """
    workers = min(workers, os.cpu_count() or 1, len(batches))
    loader = DataLoader(
        ItemReader(read),
        batch_sampler=[list(batch) for batch in batches],
        num_workers=workers,
        collate_fn=collate or _same,
        pin_memory=pin,
    )
    shown = title and distributed.is_main()
    for items in tqdm(loader, desc=title, unit="batch", leave=False, delay=1, disable=None if shown else True):
        if failed := [item for item in items if isinstance(item, MdtkError)]:
            raise failed[0]
        yield items


def _same(items: list) -> list:
    return items


def _stacked(items: list) -> list:
    """The frames of a batch as the one tensor (B, N, 3, H, W) of a list; where one failed, all items as they are."""
    return items if any(isinstance(item, MdtkError) for item in items) else [torch.stack(items)]


def read_frames(
    reader: FrameReader, batches: Sequence[Sequence[int]], workers: int, device: torch.device | str, title: str = ""
) -> Iterator[Tensor]:
    """The frames of each batch, (B, N, 3, H, W) in 0 … 1 on `device`; they cross to it as uint8. `title`: of a bar."""
    pin = torch.device(device).type == "cuda"
    for (frames,) in read_in_order(reader, batches, workers, _stacked, pin, title):
        yield frames.to(device, non_blocking=True).float() / 255


class FrameReader:
    """index → the entry's frames at `offsets`, uint8 (N, 3, height, width); an object, so workers can be spawned."""

    def __init__(self, reader: DatasetReader, offsets: Sequence[Offset], height: int, width: int) -> None:
        self.reader, self.offsets, self.size = reader, list(offsets), (width, height)

    def __call__(self, index: int) -> Tensor:
        images = self.reader.images(index, self.offsets)
        return torch.from_numpy(np.stack([resize(image, self.size) for image in images]))


@torch.no_grad()
def predict(
    model: Model,
    reader: DatasetReader,
    batches: Sequence[Sequence[int]],
    height: int,
    width: int,
    *,
    offsets: Sequence[Offset] = (0,),
    device: torch.device | str = "cpu",
    post_process: bool = False,
    workers: int = 0,
) -> dict[str, np.ndarray]:
    """Scaled disparity (height, width) float32 by name, for the entries of `reader` in `batches` (lists of indices).

    `offsets`: the frames that the model takes, in its order, 0 the entry's own. `post_process` averages with the
    prediction of the mirrored images. Missing or corrupt images raise `MdtkError`.
    """
    predictions: dict[str, np.ndarray] = {}
    read = FrameReader(reader, offsets, height, width)
    frames = read_frames(read, batches, workers, device, f"predicting {reader.key}")
    for indices, images in zip(batches, frames, strict=True):
        disparity = predict_batch(model, images.flatten(1, 2), post_process)
        predictions.update({reader.name(i): one for i, one in zip(indices, disparity, strict=True)})
    return predictions


def predict_batch(model: Model, images_bchw: Tensor, post_process: bool) -> np.ndarray:
    """Scaled disparity (B, H, W) float32 on the CPU for images (B, 3·F, H, W) in 0 … 1."""
    disparity = _to_numpy(model(images_bchw))
    if not post_process:
        return disparity
    mirrored = _to_numpy(model(images_bchw.flip(-1)).flip(-1))
    return blend_flipped(disparity, mirrored)


def _to_numpy(disparity_b1hw: Tensor) -> np.ndarray:
    return disparity_b1hw[:, 0].float().cpu().numpy()

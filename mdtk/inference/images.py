"""Predictions for an image or a folder of images."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor
from tqdm import tqdm
from yacs.config import CfgNode

from mdtk import viz
from mdtk.core.ahead import ahead
from mdtk.core.environment import float_settings
from mdtk.core.errors import MdtkError
from mdtk.core.spacing import evenly_spaced
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.sequence.clips import Camera
from mdtk.datasets.sequence.frames import IMAGE_SUFFIXES, list_images
from mdtk.datasets.sequence.video_frames import VIDEO_SUFFIXES
from mdtk.inference.outputs import Saves, write_outputs
from mdtk.inference.predictor import Predictor, enlarge
from mdtk.inference.scale import DepthScale


def predict_images(
    predictor: Predictor,
    source: Path,
    output: Path | None,
    scale: DepthScale,
    saves: Saves,
    extension: str = "",
    K: Sequence[float] = (),
    K_size: Sequence[float] = (),
) -> list[Path]:
    """Writes the predictions for an image, or for every image of a folder; returns the written paths.

    `output` None: beside an image; for a folder, a folder of its name with _disp beside it. `extension` (jpg, png, …)
    selects among a folder's images. K: fx, fy, cx, cy in pixels of an image of K_size (empty: of the image itself).
    Images that cannot be read are named and passed over; an `MdtkError` at the end counts them. The next images are
    decoded, and the last ones written, while the networks run, in a thread each.
    """
    images = find_inputs(source, extension)
    folder = output or (source.with_name(f"{source.name}_disp") if source.is_dir() else source.parent)
    written: list[Path] = []
    failed: list[str] = []
    found = ahead(_predicted(predictor, ahead(_decoded(predictor, images))))
    alone = True if len(images) == 1 else None
    for path, image, disparity in tqdm(found, "predicting", len(images), unit="image", disable=alone):
        if isinstance(image, MdtkError):
            if source.is_file():
                raise image
            print(f"error: {image}", file=sys.stderr)
            failed.append(path.name)
            continue
        camera = choose_camera(predictor.model.cfg, image.size, K, K_size) if saves.ply else None
        note: dict[str, object] = {"image": str(path), "checkpoint_sha256": predictor.model.checksum}
        note["float_settings"] = float_settings()
        note["network_input"] = [predictor.model.width, predictor.model.height]
        written += write_outputs(folder / path.stem, image, disparity, scale, saves, camera, note)
    if failed:
        names = ", ".join(failed[:5]) + (" …" if len(failed) > 5 else "")
        raise MdtkError(
            f"{len(failed)} of {len(images)} images could not be read ({names}); the others are in {folder}"
        )
    return written


_Opened = tuple[Path, Image.Image | MdtkError, Tensor | None]  # an image, and what the network will see of it


def _decoded(predictor: Predictor, images: Iterable[Path]) -> Iterator[_Opened]:
    """The images, or why they cannot be read."""
    for path in images:
        try:
            image = open_rgb(path)
        except MdtkError as error:
            yield path, error, None
        else:
            yield path, image, predictor.pixels(image)


def _predicted(
    predictor: Predictor, opened: Iterable[_Opened]
) -> Iterator[tuple[Path, Image.Image | MdtkError, np.ndarray]]:
    """The same with the disparity at each image's size, which is empty where there is no image."""
    for path, image, pixels in opened:
        if isinstance(image, MdtkError) or pixels is None:
            yield path, image, np.empty((0, 0), np.float32)
        else:
            yield path, image, enlarge(predictor.at_network_size(pixels), image.size)


def write_sheet(path: Path, written: Sequence[Path], source: Path, extension: str = "", count: int = 12) -> None:
    """A contact sheet of up to `count` evenly spaced images with their disparity, from what `predict_images` wrote."""
    pictures = {file.stem.removesuffix("_disp"): file for file in written if file.stem.endswith("_disp")}
    images = [image for image in find_inputs(source, extension) if image.stem in pictures]
    chosen = [images[place] for place in evenly_spaced(len(images), count)]
    cells = [[np.asarray(open_rgb(file)) for file in (image, pictures[image.stem])] for image in chosen]
    rows = [[cell for pair in cells[i : i + 2] for cell in pair] for i in range(0, len(cells), 2)]
    viz.save_picture(path, viz.contact_sheet(rows, ["image", "disparity"] * min(2, len(cells))))


def find_inputs(source: Path, extension: str = "") -> list[Path]:
    """The image itself, or a folder's images in natural order; whatever else is there is an error that says why."""
    if source.is_file():
        if source.suffix.lower() in VIDEO_SUFFIXES:
            raise MdtkError(f"{source} is a video; use tools/test_video.py --image_path {source}")
        return [source]
    if not source.is_dir():
        raise MdtkError(f"--image_path not found: {source}; give an image or a folder of images")
    suffixes = (f".{extension.lower().lstrip('.')}",) if extension else IMAGE_SUFFIXES
    images = list_images(source, suffixes)
    if not images:
        raise MdtkError(f"folder {source} holds no images ({', '.join(suffixes)}); give another folder or --ext")
    stems: dict[str, Path] = {}
    for path in images:
        if path.stem in stems:
            both = f"{stems[path.stem].name} and {path.name}"
            raise MdtkError(f"{source}: {both} would be written to one file; choose one kind with --ext")
        stems[path.stem] = path
    return images


def choose_camera(cfg: CfgNode, size: tuple[int, int], K: Sequence[float], K_size: Sequence[float]) -> Camera:
    """The user's camera; else that of a model trained on the user's own frames, when the picture has their shape."""
    if K:
        if min(K[0], K[1], *(K_size or size)) <= 0:
            raise MdtkError(f"--K {' '.join(map(str, K))}: fx, fy and --K_size must be positive")
        fx, fy, cx, cy = map(float, K)
        width, height = map(float, K_size or size)
        return Camera((fx, fy, cx, cy), (width, height))
    sequence = cfg.DATA.SEQUENCE
    if cfg.DATA.NAME == "sequence" and sequence.K:
        width, height = sequence.K_SIZE
        if abs(width * size[1] - height * size[0]) <= 0.01 * width * size[1]:
            fx, fy, cx, cy = map(float, sequence.K)
            return Camera((fx, fy, cx, cy), (float(width), float(height)))
    raise MdtkError("--save_ply needs the camera: give --K fx fy cx cy in pixels (and --K_size width height)")

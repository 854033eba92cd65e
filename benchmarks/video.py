#!/usr/bin/env python3
"""What predicting a film or a folder costs beyond the networks: ResNet-18 at 640x192, frame by frame.

  OMP_NUM_THREADS=1 python benchmarks/video.py [--video FILE] [--frames N] [--repeats N] [--json FILE] [KEY VALUE ...]

networks   the networks alone on the same frames, decoded and resized before: the floor
video      the frames of a film to a film of them above their disparity (.mp4)
folder     the same frames as JPEG to coloured PNGs of their disparity

Decoding, colouring and writing run in threads beside the networks, so the ratios are of wall time: they need a second
core that is idle. CPU seconds, printed too, are of all threads and of ffmpeg. Without FILE a film of 1242x375 is made.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from ratios import Figure, cpu_of_all, measure, report

from mdtk.config import load_config
from mdtk.core.errors import run_tool
from mdtk.inference import Predictor, Saves, depth_scale, predict_film, predict_images
from mdtk.inference.video import Source
from mdtk.models import build_model
from mdtk.models.loaded import LoadedModel
from mdtk.viz.film import write_film

BAR = 1.1


def made_frames(count: int) -> Iterator[np.ndarray]:
    """A blurred picture that moves to the left."""
    generator = np.random.default_rng(0)
    noise = cv2.GaussianBlur(generator.uniform(0, 255, (375, 1242 + 4 * count, 3)).astype(np.float32), (0, 0), 3.0)
    wide = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    for number in range(count):
        yield wide[:, 4 * number : 4 * number + 1242]


def parts_of(folder: Path, source: Source, overrides: list[str]) -> dict[str, Callable[[], object]]:
    """What is timed."""
    cfg = load_config(None, ["DEVICE", "cpu", "MODEL.PRETRAINED", "false", *overrides])
    predictor = Predictor(LoadedModel(build_model(cfg).eval(), cfg, "", Path("none"), torch.device("cpu")))
    images, ready = folder / "images", []
    images.mkdir()
    for number, frame in enumerate(source.frames()):
        Image.fromarray(frame).save(images / f"{number:06d}.jpg", quality=92)
        ready.append(predictor.pixels(Image.fromarray(frame)))
    return {
        "networks": lambda: [predictor.at_network_size(pixels) for pixels in ready],
        "video": lambda: predict_film(predictor, source, folder / "out.mp4"),
        "folder": lambda: predict_images(predictor, images, folder / "out", depth_scale(cfg), Saves()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        video = args.video or Path(folder) / "in.mp4"
        if not args.video:
            write_film(video, made_frames(args.frames), 10.0)
        source = Source(video, limit=args.frames)
        times = measure(parts_of(Path(folder), source, args.overrides), args.repeats, cpu_of_all)
    walls = {name: wall for name, (_, wall) in times.items()}
    figures = {name: Figure(walls[name] / walls["networks"], BAR) for name in ("video", "folder")}
    report(figures, times, args.json)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))

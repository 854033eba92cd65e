#!/usr/bin/env python3
"""What an evaluation costs beyond its networks: images of KITTI's size, improved ground truth, ResNet-18 at 640x192.

  python benchmarks/evaluation.py [--data FOLDER] [--images N] [--repeats N] [--json FILE] [KEY VALUE ...]

networks   the networks alone on the same images, decoded and resized before: the floor
predict    files to predictions: decode, resize, networks
evaluate   files to rows: the same, ground truth, alignment, metrics; without the baseline predictors

FOLDER is KITTI raw with improved ground truth; without one, 1242x375 PNGs of blurred noise and sparse maps are made.
CPU seconds count the workers' too (DATA.WORKERS, here 0 unless it is given).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from ratios import Figure, cpu_of_all, measure, report

from mdtk.config import load_config
from mdtk.core.errors import run_tool
from mdtk.datasets.readers.kitti import KittiRaw
from mdtk.evaluation.benchmark import evaluate_protocol
from mdtk.evaluation.eval_config import build_eval_config
from mdtk.evaluation.predictors import build_model_predictor
from mdtk.inference.predict import FrameReader, predict_batch
from mdtk.models import build_model
from mdtk.models.loaded import full_disparity

BAR = 1.15
DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"


def make_data(root: Path, count: int) -> None:
    """PNGs and sparse maps as dense as KITTI's improved ground truth (a fifth of the lower 60 %)."""
    generator = np.random.default_rng(0)
    images, truth = root / DRIVE / "image_02" / "data", root / DRIVE / "proj_depth" / "groundtruth" / "image_02"
    for folder in (images, truth):
        folder.mkdir(parents=True)
    for number in range(count):
        noise = generator.uniform(0, 255, (375, 1242, 3)).astype(np.float32)
        picture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)
        picture = (picture + generator.normal(0, 2, picture.shape)).clip(0, 255)
        cv2.imwrite(str(images / f"{number:010d}.png"), picture.astype(np.uint8))
        depth = np.linspace(60, 5, 375)[:, None] * np.ones((1, 1242))
        known = (generator.uniform(size=depth.shape) < 0.2) & (np.arange(375)[:, None] > 150)
        cv2.imwrite(str(truth / f"{number:010d}.png"), (depth * known * 256).astype(np.uint16))


def parts_of(root: Path, lines: list[str], overrides: list[str]) -> dict[str, Callable[[], object]]:
    """What is timed."""
    keys = ["DEVICE", "cpu", "MODEL.PRETRAINED", "false", "DATA.WORKERS", "0", *overrides]
    cfg = load_config(None, keys)
    system = build_model(cfg).eval()
    reader = KittiRaw(root, lines)

    @torch.inference_mode()
    def model(images: torch.Tensor, dataset: str = "") -> torch.Tensor:
        return full_disparity(system, images, cfg, dataset)

    predictor = build_model_predictor(cfg, model, "cpu")
    config = build_eval_config(cfg, baselines=False)
    protocol = config.protocol("kitti_eigen_benchmark")
    frames = FrameReader(reader, [0], cfg.DATA.HEIGHT, cfg.DATA.WIDTH)
    size = config.batch_size
    batches = [list(range(start, min(start + size, len(lines)))) for start in range(0, len(lines), size)]
    ready = [torch.stack([frames(index)[0] for index in batch]).float() / 255 for batch in batches]
    return {
        "networks": lambda: [predict_batch(model, images, False) for images in ready],
        "predict": lambda: predictor.predictions(protocol, reader, batches),
        "evaluate": lambda: evaluate_protocol(config, protocol, predictor, reader),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    args = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        root = args.data or Path(folder)
        if not args.data:
            make_data(root, args.images)
        numbers = sorted(int(path.stem) for path in (root / DRIVE / "image_02" / "data").iterdir())[: args.images]
        parts = parts_of(root, [f"{DRIVE} {number} l" for number in numbers], args.overrides)
        times = measure(parts, args.repeats, cpu_of_all)
    figures = {
        "evaluation": Figure.of(times, "evaluate", "networks", BAR),
        "evaluation to prediction": Figure.of(times, "evaluate", "predict", BAR),
    }
    report(figures, times, args.json)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))

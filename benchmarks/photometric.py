#!/usr/bin/env python3
"""How much of the images a model's depth and motion explain: photometric errors of warped and unwarped sources.

  python benchmarks/photometric.py --checkpoint FILE [--split train] [KEY VALUE ...]

Over all entries of the list, without augmentation: SSIM and L1 as in training, at full resolution. "least" takes the
better source at each pixel, as the minimum reprojection does; "mean" the mean over the sources.
"""

from __future__ import annotations

import argparse

import torch
from torch.utils.data import DataLoader

from mdtk.config import data_sets, load_config
from mdtk.core.distributed import pick_device
from mdtk.core.errors import run_tool
from mdtk.data.batch import collate
from mdtk.data.loader import Chunks, build_mono_dataset
from mdtk.data.preparation import build_preparation
from mdtk.evaluation.eval_config import merged_config
from mdtk.losses.objective import build_objective
from mdtk.models import load_model
from mdtk.training.step import forward


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--split", default="", help="list of entries; default: DATA.TRAIN_SPLIT")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="configuration keys to set")
    args = parser.parse_intermixed_args()
    device = pick_device(load_config(None, args.overrides).DEVICE)
    model = load_model(args.checkpoint, device)
    cfg = merged_config(model, "", args.overrides)
    prepare = build_preparation(cfg, augmented=False)
    dataset = build_mono_dataset(data_sets(cfg)[0], cfg, args.split or cfg.DATA.TRAIN_SPLIT, prepare)
    keys = [(0, index, index) for index in range(len(dataset))]
    batches = DataLoader(dataset, batch_sampler=Chunks(keys, cfg.EVAL.BATCH_SIZE), collate_fn=collate)
    objective = build_objective(cfg).with_photometric(automask=False, report_identity=True)
    sums = torch.zeros(2, 2, dtype=torch.float64, device=device)
    for batch in batches:
        for row, reprojection in enumerate(("min", "mean")):
            with torch.no_grad():
                chosen = objective.with_photometric(reprojection=reprojection)
                losses = forward(model.system, batch.to(device), prepare, chosen)
            values = [losses.scalars["full/warped"], losses.scalars["full/identity"]]
            sums[row] += torch.stack(values).double() * len(batch)
    for name, (warped, unwarped) in zip(("least", "mean"), (sums / len(dataset)).tolist(), strict=True):
        print(f"{name:6} warped {warped:.4f}  unwarped {unwarped:.4f}  ratio {warped / unwarped:.3f}")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))

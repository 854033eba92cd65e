"""The work of `mdtk pack`."""

from __future__ import annotations

import argparse
from functools import partial

from tqdm import tqdm

from mdtk.config import load_config
from mdtk.core.errors import MdtkError
from mdtk.core.files import resolve_data, shipped
from mdtk.core.lock import locked
from mdtk.data.packing import build_jobs


def main(args: argparse.Namespace) -> None:
    """Does what the command line asks."""
    cfg = load_config(args.config or shipped("configs") / "sample" / "monodepth2.yaml", args.overrides)
    workers = cfg.DATA.WORKERS if args.jobs is None else args.jobs
    if workers < 0:
        raise MdtkError(f"--jobs {workers} is negative; give a number of processes, 0 for none beside this one")
    jobs = build_jobs(cfg)
    todo = jobs if args.overwrite else [job for job in jobs if not job.is_done()]
    for job in jobs:
        if job not in todo:
            print(f"{job.title}: {job.folder} is there already")
    for job in todo:
        with locked(job.folder.parent, "give another DATA.PACKED"):
            packed = job.run(workers, partial(tqdm, total=len(job.reader), desc=job.title, unit="entry", disable=None))
        left = f", {len(packed.unreadable)} entries cannot be read" if packed.unreadable else ""
        print(
            f"{job.title}: {len(job.reader)} entries, {packed.frames} frames{left}: {packed.size / 1e9:.2f} GB "
            f"in {job.folder}"
        )
    print(f"train with DATA.PACKED {resolve_data(cfg.DATA.PACKED)}" if cfg.DATA.PACKED else "done")

#!/usr/bin/env python3
"""Mutated copies of real files through every reader: each must be read, or refused in one sentence of our own.

  python benchmarks/fuzz.py [--mutations 5000] [--seed 1] [READER …]

A reader's mutations run in one process of its own, which is watched: it is ended when one file takes more than 5 s, and
the run goes on with the next. Needs the sample world (MDTK_DATASETS) and MDTK_REFERENCE; the rest is made here. What
did not end as it should is printed with the seed that makes it again. The exit status is 1 if anything did not.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import pickle
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from mdtk.config import default_config, dump, load_config
from mdtk.convert.assemble import read_options
from mdtk.convert.formats import recognise
from mdtk.convert.imagenet import read_backbone, read_h5
from mdtk.convert.mxnet_params import read_params
from mdtk.convert.paddle import read_pdparams
from mdtk.core.errors import LONGEST, MdtkError
from mdtk.core.files import ROOT, dataset_home
from mdtk.core.weights import read_safetensors, read_torch, read_weights, write_weights
from mdtk.datasets.depth_files import read_gt_depths, read_npy
from mdtk.datasets.image_files import open_rgb, read_grey_png
from mdtk.datasets.kitti_calibration import read_odometry_cameras, read_raw_cameras
from mdtk.datasets.readers.cityscapes import read_camera
from mdtk.datasets.readers.kitti import KittiOdom
from mdtk.datasets.readers.make3d import read_grid
from mdtk.datasets.readers.nyuv2 import NYUv2
from mdtk.datasets.sequence.frames import grey_stack
from mdtk.datasets.sequence.video_frames import read_frames
from mdtk.datasets.splits import load_split
from mdtk.datasets.velodyne import read_parts
from mdtk.evaluation.io.external import External

WORDS = (b"-1", b"1e400", b"nan", b"99999999999999999999", b"[", b"{", b"\n", b"=", b"../", b"\0")
HANG, MEMORY = 5.0, 2e9  # seconds of one file, bytes of a process
Read = Callable[[Path], object]


def mutate(data: bytes, seed: int) -> bytes:
    """A copy of `data` with one to four changes: bits, blocks, lengths, pieces of itself, numbers."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        size = len(changed)
        place, length = chance.randrange(size + 1), chance.choice((1, 2, 4, 8, 64, 512))
        kind = chance.randrange(8)
        if kind == 0 and size:
            changed[min(place, size - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[place : place + length] = chance.randbytes(min(length, size - place))
        elif kind == 2:
            changed[place : place + length] = bytes(min(length, size - place))
        elif kind == 3:
            del changed[place:]
        elif kind == 4:
            del changed[place : place + length]
        elif kind == 5:
            start = chance.randrange(size + 1)
            changed[place:place] = changed[start : start + length]
        elif kind == 6:
            changed[place : place + length] = b"\xff" * min(length, size - place)
        else:  # a number, or a bracket, of a text
            word = chance.choice(
                (b"-1", b"1e400", b"nan", b"99999999999999999999", b"[", b"{", b"\n", b"=", b"../", b"\0")
            )
            changed[place : place + len(word)] = word
    return bytes(changed)


def _picture(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(noise).save(stream, form, **options)
    return stream.getvalue()


def _hdf5(write: Callable[[h5py.File], object]) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        write(file)
    return stream.getvalue()


def _nyu(file: h5py.File) -> None:
    file["rgb"] = np.zeros((3, 480, 640), np.uint8)
    file.create_dataset("depth", data=np.ones((480, 640), np.float32), chunks=(48, 64), compression="gzip")


def _torch(old: bool) -> bytes:
    stream = io.BytesIO()
    content = {f"layer{n}.weight": torch.ones(3, 4) for n in range(6)} | {"height": 192, "list": [1, (2, 3)]}
    torch.save(content, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


def _native(folder: Path) -> bytes:
    path = folder / "native.pth"
    write_weights(path, {"model": {"depth.x": torch.ones(8)}, "cfg": dump(default_config()), "meta": {}})
    return path.read_bytes()


def _npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mono/encoder.pth", b"x" * 50)
    return stream.getvalue()


def _stack(path: Path) -> object:
    return External({"a": (path, 1)}, "disparity")["a"]


def _depths(path: Path) -> object:
    found = read_gt_depths(path)
    return found if isinstance(found, list) else [found[name] for name in found]


def _nyu_image(path: Path) -> object:
    reader = NYUv2(path.parent, [path.name])
    return reader.images(0, [0]), reader.ground_truth(0)


def _odometry(path: Path) -> object:
    return KittiOdom(path.parent.parent, ["9 0 l"]).poses(9)


def readers(folder: Path) -> dict[str, tuple[str, bytes, Read]]:
    """Name → (name of the file below the work folder, content of a real file, how it is read)."""
    sample, reference = dataset_home() / "sample", Path(os.environ["MDTK_REFERENCE"])

    def first(pattern: str) -> bytes:
        return min(sample.glob(pattern), key=lambda path: (path.stat().st_size, str(path))).read_bytes()

    ragged = np.empty(2, object)
    ragged[:] = [np.ones((4, 6), np.float32), np.ones((5, 6), np.float32)]
    pdparams = pickle.dumps({"conv1.weight": np.ones((4, 3, 3, 3), np.float32), "height": 3}, protocol=2)
    grid = first("make3d/Gridlaserdata/*.mat")
    return {
        "png": ("a.png", _picture("PNG"), open_rgb),
        "jpeg": ("a.jpg", _picture("JPEG", exif=_exif()), open_rgb),
        "bmp": ("a.bmp", _picture("BMP"), open_rgb),
        "webp": ("a.webp", _picture("WEBP"), open_rgb),
        "tiff": ("a.tif", _picture("TIFF", compression="tiff_lzw"), open_rgb),
        "ppm": ("a.ppm", _picture("PPM"), open_rgb),
        "grey png": ("g.png", _grey(), lambda path: read_grey_png(path, "depth", "fetch it")),
        "motion": ("m.png", _picture("PNG"), lambda path: grey_stack([path])),
        "laser scan": ("0.bin", first("kitti_raw/*/*/velodyne_points/data/*.bin"), lambda path: list(read_parts(path))),
        "raw calibration": ("calib_cam_to_cam.txt", (reference / "calib_cam_to_cam.txt").read_bytes(), _raw),
        "odometry calibration": ("calib.txt", first("kitti_odom/sequences/*/calib.txt"), _odom),
        "poses": ("poses/09.txt", first("kitti_odom/poses/*.txt"), _odometry),
        "camera json": ("c.json", first("cityscapes/camera/*/*/*.json"), read_camera),
        "mat": ("g.mat", grid, read_grid),
        "nyu h5": ("1.h5", _hdf5(_nyu), _nyu_image),
        "imagenet h5": ("w.h5", _hdf5(lambda file: file.update(a=np.ones(5), b=np.ones((2, 2)))), read_h5),
        "gt_depths published": ("gt_depths.npz", _npz(data=ragged), _depths),
        "gt_depths own": ("own.npz", _npz(a=np.ones((4, 5), np.float32), b=np.ones((3, 3), np.float32)), _depths),
        "depth npy": ("000_depth.npy", _npy(np.ones((8, 9), np.float32)), read_npy),
        "predictions npy": ("p.npy", _npy(np.ones((3, 8, 9), np.float32)), _stack),
        "split list": ("l.txt", b"2011_09_26/2011_09_26_drive_0001_sync 5 l\n" * 4, lambda path: load_split(str(path))),
        "recipe": ("r.yaml", (ROOT / "configs/base/kitti.yaml").read_bytes(), lambda path: load_config(path)),
        "opt.json": ("o/opt.json", json.dumps({"height": 192, "frame_ids": [0, -1, 1]}).encode(), _options),
        "pth": ("w.pth", _torch(False), read_torch),
        "safetensors": ("w.safetensors", save({"a": torch.ones(5), "b": torch.ones(2, 2)}), read_safetensors),
        "pth before 1.6": ("old.pth", _torch(True), read_torch),
        "native pth": ("n.pth", _native(folder), read_weights),
        "backbone pth": ("b.pth", _torch(False), lambda path: read_backbone(path)),
        "zip": ("z.pth", _zip(), recognise),
        "pdparams": ("p.pdparams", pdparams, read_pdparams),
        "pdparams of Paddle": ("t.pdparams", (reference / "tiny.pdparams").read_bytes(), read_pdparams),
        "params": ("t.params", (reference / "tiny.params").read_bytes(), read_params),
        "gif video": ("v.gif", _picture("GIF"), lambda path: sum(1 for _ in read_frames(path))),
    }


def _raw(path: Path) -> object:
    return read_raw_cameras(path.parent)


def _odom(path: Path) -> object:
    return read_odometry_cameras(path.parent)


def _options(path: Path) -> object:
    return read_options(path.parent)


def _grey() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(stream, "PNG")
    return stream.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def attempt(read: Read, path: Path, data: bytes) -> str:
    """What became of one file: "read", "refused", or the end of a traceback."""
    path.write_bytes(data)
    try:
        read(path)
    except MdtkError as error:
        bad = len(str(error)) > LONGEST or "\n" in str(error)
        return f"a message of {len(str(error))} characters" if bad else "refused"
    except BaseException:
        return " | ".join(traceback.format_exc().strip().splitlines()[-3:])[-300:]
    return "read"


def work(name: str, seeds: range, folder: Path, pipe: Connection) -> None:
    """Runs the mutations of one reader; says each seed before, and what became of it after."""
    warnings.simplefilter("ignore")
    file, data, read = readers(folder)[name]
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # libraries' own words, thousands of them
    for seed in seeds:
        pipe.send((seed, None, 0))
        result = attempt(read, path, mutate(data, seed))
        pipe.send((seed, result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
    pipe.send((None, None, 0))


def watch(name: str, seeds: range, counts: Counter[str], folder: Path) -> int | None:
    """Runs `seeds` in a process until its end, a crash or a hang; the seed to go on with, None at the end."""
    mine, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=work, args=(name, seeds, folder, theirs))
    process.start()
    theirs.close()
    current, started = seeds.start, True
    try:
        while mine.poll(60 if started else HANG):  # the first wait is for the real files to be made
            seed, result, memory = mine.recv()
            if seed is None:
                return None
            current, started = seed, False
            counts["memory"] = max(counts["memory"], memory)
            if result is not None:
                counts[result if result in ("read", "refused") else "stray"] += 1
                if result not in ("read", "refused"):
                    print(f"  {name}, seed {seed}: {result}", flush=True)
        what = "hang"
    except EOFError:
        what = "crash"
    finally:
        process.kill()
        process.join()
    counts[what] += 1
    print(f"  {name}, seed {current}: {what}", flush=True)
    return current + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=5000, help="of each reader's file")
    parser.add_argument("--seed", type=int, default=1, help="of the first mutation; the others follow it")
    parser.add_argument("readers", nargs="*", help="default: all")
    args = parser.parse_args()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as work_folder:
        os.environ["MDTK_DATASETS"] = str(dataset_home().resolve())
        names = args.readers or list(readers(Path(work_folder)))
        for name in names:
            counts: Counter[str] = Counter()
            start, begun = args.seed, time.time()
            end = args.seed + args.mutations
            next_seed: int | None = start
            while next_seed is not None and next_seed < end:
                next_seed = watch(name, range(next_seed, end), counts, Path(work_folder))
            memory = counts.pop("memory")
            counts["over 2 GB"] += memory > MEMORY
            total += counts
            shown = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            print(f"{name}: seeds {start} to {end - 1}: {shown}; {memory / 1e6:.0f} MB, {time.time() - begun:.0f} s")
    print("all: " + ", ".join(f"{count} {what}" for what, count in total.items()))
    return int(any(total[what] for what in ("stray", "crash", "hang", "over 2 GB")))


if __name__ == "__main__":
    sys.exit(main())

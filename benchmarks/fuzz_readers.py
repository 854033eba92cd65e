"""The readers that `fuzz.py` feeds: for each a real file, made here or taken from the sample, and how it is read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from mdtk.config import default_config, dump, load_config
from mdtk.convert.assemble import read_options
from mdtk.convert.formats import convert, recognise
from mdtk.convert.imagenet import read_backbone, read_h5
from mdtk.convert.mxnet_params import read_params
from mdtk.convert.paddle import read_pdparams
from mdtk.core.archives import members
from mdtk.core.errors import MdtkError
from mdtk.core.files import ROOT, dataset_home
from mdtk.core.guard import read_json
from mdtk.core.safetensors_files import read_safetensors, write_safetensors
from mdtk.core.weights import read_torch, read_weights, write_weights
from mdtk.datasets.depth_files import read_gt_depths, read_npy
from mdtk.datasets.entry_frames import EntryFrames
from mdtk.datasets.image_files import open_rgb, read_grey_png
from mdtk.datasets.kitti_calibration import read_odometry_cameras, read_raw_cameras
from mdtk.datasets.map_files import read_map
from mdtk.datasets.packed import FRAMES, INDEX, NOTE, PackedFacts, PackedFrames
from mdtk.datasets.pose_files import frame_poses
from mdtk.datasets.prepare.contamination import TrainList, unpack
from mdtk.datasets.prepare.packed_writer import write_packed
from mdtk.datasets.prepare.unpacking import jpeg_bytes
from mdtk.datasets.readers.cityscapes import read_camera
from mdtk.datasets.readers.ddad import Ddad, _scene, read_intrinsics
from mdtk.datasets.readers.kitti import KittiOdom
from mdtk.datasets.readers.make3d import read_grid
from mdtk.datasets.readers.nyuv2 import NYUv2
from mdtk.datasets.readers.sintel import read_cam, read_dpt
from mdtk.datasets.sequence.clips import Clip, read_list
from mdtk.datasets.sequence.frames import grey_stack
from mdtk.datasets.sequence.video_frames import read_frames
from mdtk.datasets.splits import load_split, load_static_frames, text_sha256
from mdtk.datasets.velodyne import read_parts
from mdtk.evaluation.comparison import read_result
from mdtk.evaluation.io.external import External
from mdtk.evaluation.io.results import check_overwrite
from mdtk.evaluation.report.entries import read_entries
from mdtk.evaluation.scoring.protocols import get_protocol
from mdtk.training.logger import Logger
from mdtk.training.trackers import write_tables
from tests.datasets.test_map_files import exr_bytes

Read = Callable[[Path], object]
REFUSED = (
    "zip",
    "timm weights",
    "backbone pth",
    "safetensors of timm",
)  # whose files are refused as they are: a folder of weights, parts of a network


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


def _weights() -> bytes:
    """Parameters alone, as of a backbone."""
    stream = io.BytesIO()
    torch.save(
        {f"layer{n}.weight": torch.ones(3, 4) for n in range(6)} | {"conv1.weight": torch.ones(9, 3, 7, 7)}, stream
    )
    return stream.getvalue()


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
    sample, reference = dataset_home() / "sample", Path(os.environ.get("MDTK_REFERENCE") or "")
    if not (reference / "tiny.pdparams").is_file() or not sample.is_dir():
        raise MdtkError(
            "set MDTK_REFERENCE to the folder of the published code's outputs, MDTK_DATASETS to that of sample/"
        )

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
        "laser scan": (
            "0.bin",
            first("kitti_raw/*/*/velodyne_points/data/*.bin"),
            lambda path: sum(map(len, read_parts(path))),
        ),
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
        "safetensors of others": ("w.safetensors", save({"a": torch.ones(5), "b": torch.ones(2, 2)}), read_safetensors),
        "pth before 1.6": ("old.pth", _torch(True), read_torch),
        "native pth": ("n.pth", _native(folder), read_weights),
        "backbone pth": ("b.pth", _weights(), lambda path: read_backbone(path)),
        "zip": ("z.pth", _zip(), recognise),
        "pdparams": ("p.pdparams", pdparams, read_pdparams),
        "pdparams of Paddle": ("t.pdparams", (reference / "tiny.pdparams").read_bytes(), read_pdparams),
        "params": ("t.params", (reference / "tiny.params").read_bytes(), read_params),
        **_maps(),
        **_of_sets(),
        **_of_results(),
        **_archives(),
        "safetensors": ("n.safetensors", _safetensors(folder), read_safetensors),
        "safetensors of timm": ("lcnet_035.safetensors", _safetensors(folder), convert),
        "gif video": ("v.gif", _picture("GIF"), lambda path: sum(1 for _ in read_frames(path))),
        "mp4 video": ("v.mp4", _film(folder), lambda path: sum(1 for _ in read_frames(path))),
        **_packed(folder),
    }


def _scan(path: Path) -> object:
    return sum(map(len, read_parts(path)))


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


def _maps() -> dict[str, tuple[str, bytes, Read]]:
    """Predictions of every form."""
    values = np.random.default_rng(0).uniform(1, 9, (24, 32)).astype(np.float32)
    pfm = b"Pf\n32 24\n-1.0\n" + values[::-1].tobytes()
    npz = io.BytesIO()
    np.savez_compressed(npz, values)
    found: dict[str, tuple[str, bytes, Read]] = {
        "map npy": ("m.npy", _npy(values), read_map),
        "map npz": ("m.npz", npz.getvalue(), read_map),
        "map png": ("m16.png", _grey(), read_map),
        "map tiff": ("m.tiff", cv2.imencode(".tiff", values)[1].tobytes(), read_map),
        "map pfm": ("m.pfm", pfm, read_map),
    }
    for name, compression in (("none", 0), ("zip", 3)):
        smooth = {"Z": np.round(values), "R": np.ones((24, 32), np.float16)}
        found[f"map exr {name}"] = (f"m_{name}.exr", exr_bytes(smooth, compression), read_map)
    return found


def _of_sets() -> dict[str, tuple[str, bytes, Read]]:
    """Files of the further datasets."""
    dpt = struct.pack("<fii", 202021.25, 8, 6) + np.ones(48, "<f4").tobytes()
    cam = struct.pack("<f", 202021.25) + np.concatenate([np.eye(3).ravel(), np.eye(4)[:3].ravel()]).tobytes()
    pose = {"rotation": dict(qw=1.0, qx=0.0, qy=0.0, qz=0.0), "translation": dict(x=0.0, y=1.0, z=2.0)}
    data = [
        {
            "key": "a",
            "id": {"name": "CAMERA_01"},
            "datum": {"image": {"filename": "rgb/CAMERA_01/1.png", "pose": pose}},
        },
        {"key": "b", "id": {"name": "LIDAR"}, "datum": {"point_cloud": {"filename": "p.npz", "pose": pose}}},
    ]
    scene = {"data": data, "samples": [{"datum_keys": ["a", "b"], "calibration_key": "c"}]}
    camera = {"names": ["CAMERA_01"], "intrinsics": [{"fx": 9.0, "fy": 9.0, "cx": 4.0, "cy": 3.0}]}
    splits = {"scene_splits": {"1": {"filenames": ["000150/scene_a.json"]}}}
    tum = "".join(f"{n}.0 0 {n} 0 0 0 0 1\n" for n in range(6)).encode()
    kitti = "".join(f"1 0 0 {n} 0 1 0 0 0 0 1 0\n" for n in range(6)).encode()
    stems = [f"{n}.0" for n in range(6)]
    clip = Clip("a", tuple(Path(f"{n}.png") for n in range(9)))
    return {
        "sintel depth": ("f.dpt", dpt, read_dpt),
        "sintel camera": ("f.cam", cam, read_cam),
        "ddad scene": ("scene_a.json", json.dumps(scene).encode(), _scene.__wrapped__),
        "ddad calibration": ("cal.json", json.dumps(camera).encode(), read_intrinsics),
        "ddad scenes": ("ddad/ddad.json", json.dumps(splits).encode(), lambda path: Ddad.scan(path.parent, "val")),
        "tum poses": ("tum.txt", tum, lambda path: _fresh(frame_poses, path, stems)),
        "kitti poses": ("own.txt", kitti, lambda path: _fresh(frame_poses, path, stems)),
        "own list": ("own_list.txt", b"a 1\na 2\n0 5\n", lambda path: read_list(str(path), [clip], [-1, 1])),
        "static frames": (
            "splits/static_frames.txt",
            b"2011_09_26 2011_09_26_drive_0001_sync 5\n" * 3,
            lambda path: load_static_frames(path.parent.parent),
        ),
    }


def _fresh(read: Callable[..., object], path: Path, *arguments: object) -> object:
    """Reads a file whose reader keeps what it read: under a name that it has not seen."""
    other = path.with_name(f"{hashlib.sha256(path.read_bytes()).hexdigest()}{path.suffix}")
    os.replace(path, other)
    try:
        return read(other, *arguments)
    finally:
        other.unlink()


def _of_results() -> dict[str, tuple[str, bytes, Read]]:
    """What evaluations and trainings leave behind."""
    head = "predictor,index,name,recording,abs_rel,valid_pixels,scale,shift,height,width\n"
    table = head + "".join(f"model,{n},d/e {n} l,d/e,0.{n},9,1.0,0.0,4,5\n" for n in range(1, 6))
    row = {"alignment": "median", "factor": 1.0, "metrics": {"abs_rel": 0.3}, "predictions_are": "disparity"}
    row |= {"scale_ratio_median": 1.0, "scale_ratio_spread": 0.1}
    facts = {"protocol": "kitti_eigen/monodepth2", "configuration": {"images": 5}, "results": {"model": row}}
    log = "".join(json.dumps({"kind": "train", "step": n, "time": 1.5, "total": 0.1}) + "\n" for n in range(6))
    key = get_protocol("kitti_eigen")

    def as_report(path: Path) -> object:
        return read_entries([path.parent])

    def as_log(path: Path) -> object:
        write_tables(path)
        return Logger(path.parent, True, 3).close()

    stem, text = "kitti_eigen_monodepth2", json.dumps(facts)
    return {
        "result csv": (f"r/{stem}.csv", table.encode(), lambda path: read_result(path, key.key)),
        "result json": (
            f"j/{stem}.json",
            text.encode(),
            lambda path: check_overwrite(path.parent, key, {"images": 5}),
        ),
        "report json": (
            f"p/{stem}.json",
            json.dumps(facts).encode(),
            lambda path: _with(path, ".csv", table, as_report),
        ),
        "report csv": (
            f"q/{stem}.csv",
            table.encode(),
            lambda path: _with(path, ".json", text, as_report),
        ),
        "metrics.jsonl": ("t/metrics.jsonl", log.encode(), as_log),
        "json": ("x.json", text.encode(), lambda path: read_json(path, "JSON", "repair it")),
        "training list": ("list.z", zlib.compress(b"d/e 1 l\n" * 9), _training_list),
    }


def _with(path: Path, suffix: str, text: str, read: Read) -> object:
    path.with_suffix(suffix).write_text(text)
    return read(path)


def _training_list(path: Path) -> object:
    packed = TrainList("kitti_raw", "x", text_sha256(["d/e 1 l"] * 9), ("d/e 1 l",) * 9, (-1, 1)).pack()
    return unpack({**packed, "lines": torch.frombuffer(bytearray(path.read_bytes() or b"x"), dtype=torch.uint8)})


def _archives() -> dict[str, tuple[str, bytes, Read]]:
    """Archives that are fetched, and what is in them."""
    zipped, packed = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/b.txt", "a/c.png"):
            archive.writestr(name, b"content " * 50)
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a/b.txt", "a/" + "c" * 120):
            info = tarfile.TarInfo(name)
            info.size = 400
            tar.addfile(info, io.BytesIO(b"content " * 50))

    def all_members(path: Path) -> object:
        return [member.read() for member in members(path)]

    return {
        "zip archive": ("a.zip", zipped.getvalue(), all_members),
        "tar archive": ("a.tar.gz", packed.getvalue(), all_members),
        "picture of an archive": ("b.png", _picture("PNG"), lambda path: jpeg_bytes(path.read_bytes(), path)),
        "timm weights": ("resnet18.pth", _weights(), convert),
    }


def _film(folder: Path) -> bytes:
    path = folder / "made.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for frame in np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), np.uint8):
        writer.write(frame)
    writer.release()
    return path.read_bytes()


def _packed(folder: Path) -> dict[str, tuple[str, bytes, Read]]:
    """A packed copy of two entries: what it says of itself, and its index, whose checksum is made right again."""
    facts = PackedFacts("kitti_odom", ("0", "-1"), 8, 6, 1, 2, "x", native=True)
    frames = np.random.default_rng(0).integers(0, 255, (2, 3, 6, 8), np.uint8)
    images = [Image.new("RGB", (16, 12), number) for number in (0, 99)]
    whole = folder / "packed"
    write_packed(whole, facts, [EntryFrames(frames, (16, 12), images), MdtkError("gone")], {}, 1)

    def beside(path: Path) -> Path:
        for other in whole.iterdir():
            if other.name != path.name:
                shutil.copy(other, path.parent)
        return path.parent

    def open_copy(path: Path) -> object:
        return PackedFrames(beside(path), facts, KittiOdom(folder, ["9 0 l", "9 1 l"]))(0)

    def open_index(path: Path) -> object:
        note = beside(path) / NOTE
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        note.write_text(json.dumps({**json.loads(note.read_text()), "index_sha256": digest}))
        return PackedFrames(path.parent, facts, KittiOdom(folder, ["9 0 l", "9 1 l"]))(0)

    return {
        "packed note": (f"p_note/{NOTE}", (whole / NOTE).read_bytes(), open_copy),
        "packed index": (f"p_index/{INDEX}", (whole / INDEX).read_bytes(), open_index),
        "packed frames": (f"p_frames/{FRAMES}", (whole / FRAMES).read_bytes(), open_copy),
    }


def _safetensors(folder: Path) -> bytes:
    path = folder / "made.safetensors"
    content = {"model": {"depth.x": torch.ones(8)}, "cfg": dump(default_config()), "format": "mdtk", "version": 1}
    write_safetensors(path, content)
    return path.read_bytes()

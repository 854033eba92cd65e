"""The sample world's datasets as the publishers' archives, of the same names and layouts."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zipfile
from pathlib import Path


def _zip(path: Path, files: dict[str, Path], **extra: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in files.items():
            archive.write(file, name)
        for name, content in extra.items():
            archive.writestr(name, content)


def _below(folder: Path, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())


def publish_kitti(world: Path, server: Path) -> None:
    """Drives and calibrations one archive each, the improved ground truth in one, the benchmark's images in one."""
    root = world / "kitti_raw"
    improved: dict[str, Path] = {}
    for date in sorted(path for path in root.iterdir() if path.name[:2] == "20"):
        calibration = {str(path.relative_to(root)): path for path in _below(date, "*.txt")}
        _zip(server / f"{date.name}_calib.zip", calibration)
        for drive in sorted(path for path in date.iterdir() if path.is_dir()):
            files = {
                str(path.relative_to(root)): path for path in _below(drive, "**/*") if "proj_depth" not in path.parts
            }
            grey = {f"{date.name}/{drive.name}/image_00/data/0000000000.png": next(iter(files.values()))}
            _zip(server / drive.name.removesuffix("_sync") / f"{drive.name}.zip", {**files, **grey})
            depth = _below(drive, "proj_depth/**/*.png")
            improved |= {f"val/{drive.name}/{path.relative_to(drive)}": path for path in depth}
    _zip(server / "data_depth_annotated.zip", improved)
    base = "depth_selection/test_depth_prediction_anonymous"
    selected = {f"{base}/{path.relative_to(root)}": path for path in _below(root, "image/*", "intrinsics/*")}
    _zip(server / "data_depth_selection.zip", selected, **{"depth_selection/val_selection_cropped/a.png": b"x"})


def publish_odometry(world: Path, server: Path) -> None:
    root = world / "kitti_odom"
    parts = {"color": ("sequences/*/image_?/*",), "calib": ("sequences/*/*.txt",), "poses": ("poses/*",)}
    for part, patterns in parts.items():
        files = {f"dataset/{path.relative_to(root)}": path for path in _below(root, *patterns)}
        _zip(server / f"data_odometry_{part}.zip", files)


def publish_make3d(world: Path, server: Path) -> None:
    for folder, name in (("Test134", "Test134.tar.gz"), ("Gridlaserdata", "Test134Depth.tar.gz")):
        with tarfile.open(server / name, "w:gz") as archive:
            for file in _below(world / "make3d" / folder, "*"):
                archive.add(file, f"./{folder}/{file.name}")


def publish_nyu(world: Path, server: Path) -> None:
    """The labelled file, and the raw scenes in basements.zip with its published md5; the other parts are empty."""
    root = world / "nyuv2"
    shutil.copy(root / "nyu_depth_v2_labeled.mat", server)
    frames = {str(path.relative_to(root / "nyu_depth_v2")): path for path in _below(root / "nyu_depth_v2", "*/*.ppm")}
    _zip(server / "basements.zip", frames, **{"basement_0001a/d-1.1-1.pgm": b"depth"})
    digest = hashlib.md5((server / "basements.zip").read_bytes()).hexdigest()
    (server / "basements.md5").write_text(f"{digest}  basements.zip\n")

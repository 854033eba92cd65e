"""Readers of KITTI raw and KITTI odometry: images, calibration, laser and improved ground truth, poses."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mdtk.core.errors import MdtkError
from mdtk.core.files import is_file
from mdtk.datasets import velodyne
from mdtk.datasets.catalogue import dataset_reader
from mdtk.datasets.image_files import find_image, open_rgb, read_grey_png
from mdtk.datasets.kitti_calibration import Cameras, read_odometry_cameras, read_raw_cameras, read_table
from mdtk.datasets.kitti_calibration import velodyne_projection as project_velodyne
from mdtk.datasets.reader import STEREO, DatasetReader, Offset
from mdtk.datasets.splits import load_static_frames
from mdtk.geometry.camera import fraction_intrinsics

NOMINAL = (0.58, 1.92, 0.5, 0.5)  # fx / W, fy / H, cx / W, cy / H in the published recipes
NOMINAL_BASELINE = 0.54  # metres; the published stereo factor 5.4 is this over 0.1
CAMERAS = {"l": 2, "r": 3, "2": 2, "3": 3}
IMPROVED_SCALE = 256.0  # stored value of one metre in the improved ground truth
_ROTATION = 0.01  # how far the determinant of a rotation may be from 1
BENCHMARK = "image"  # the folder of the depth benchmark's test images; such lines have no side


@dataclass(frozen=True)
class Entry:
    """A parsed line of a split list: folder of the recording, frame number, and camera (2 left, 3 right)."""

    folder: str
    frame: int
    camera: int

    @property
    def other_camera(self) -> int:
        """The number of the other camera of the stereo rig."""
        return 5 - self.camera


class _KittiReader(DatasetReader):
    """What KITTI raw and KITTI odometry share: the form of a line, nominal intrinsics and the stereo rig."""

    form: str  # the form of a line, for messages
    folder_of: Callable[[str], str] = staticmethod(str)  # the folder for the first field of a line

    def __init__(self, root: str | Path, lines: Sequence[str], intrinsics_mode: str = "nominal") -> None:
        super().__init__(root, lines, intrinsics_mode)
        self._cameras: dict[str, Cameras] = {}

    def entry(self, index: int) -> Entry:
        """The parsed line `index`. Raises `MdtkError` for a line of another form."""
        fields = self.lines[index].split()
        try:
            if len(fields) == 2 and fields[0] == BENCHMARK:
                return Entry(BENCHMARK, int(fields[1]), 2)
            folder, frame, side = fields
            return Entry(self.folder_of(folder), int(frame), CAMERAS[side])
        except (ValueError, KeyError) as error:
            raise MdtkError(
                f"{self.key} list, line {index + 1}: cannot read '{self.lines[index]}'; a line is '{self.form}'"
            ) from error

    def recording(self, index: int) -> str:
        """See `DatasetReader.recording`: the drive or the sequence."""
        return self.entry(index).folder

    @abc.abstractmethod
    def image_stem(self, folder: str, frame: int, camera: int) -> Path:
        """The path of an image without its suffix."""

    @abc.abstractmethod
    def cameras(self, folder: str) -> Cameras:
        """The calibration of the recording in `folder`, which is read once."""

    def files(self, index: int, offsets: Sequence[Offset]) -> list[Path]:
        entry = self.entry(index)
        stems = (
            self.image_stem(entry.folder, entry.frame, entry.other_camera)
            if offset == STEREO
            else self.image_stem(entry.folder, self._frame(index, entry.frame + int(offset), offset), entry.camera)
            for offset in offsets
        )
        return [self.inside(find_image(stem)) for stem in stems]

    def _frame(self, index: int, frame: int, offset: Offset) -> int:
        if frame < 0:
            raise MdtkError(
                f"{self.key} list, line {index + 1}: '{self.lines[index]}' has no frame at offset {offset}; "
                "a recording begins with frame 0: take the line off the list"
            )
        return frame

    def images(self, index: int, offsets: Sequence[Offset]) -> list[Image.Image]:
        return [open_rgb(path) for path in self.files(index, offsets)]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        if self.intrinsics_mode == "nominal":
            return fraction_intrinsics(*NOMINAL, size)
        entry = self.entry(index)
        return self.cameras(entry.folder).intrinsics(entry.camera, size)

    def resized_intrinsics(self, index: int, native: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """See `DatasetReader.resized_intrinsics`; nominal K is made of the published fractions of `size`."""
        if self.intrinsics_mode == "nominal":
            return self.intrinsics(index, size)
        return super().resized_intrinsics(index, native, size)

    def stereo_pose(self, index: int) -> tuple[int, float]:
        """See `DatasetReader.stereo_pose`; the baseline is 0.54 m in nominal mode, else that of the calibration."""
        entry = self.entry(index)
        if entry.folder == BENCHMARK:
            raise MdtkError(f"{self.key}: the benchmark's test images have no stereo pairs; set DATA.STEREO false")
        nominal = self.intrinsics_mode == "nominal"
        baseline = NOMINAL_BASELINE if nominal else self.cameras(entry.folder).baseline
        return (-1 if entry.camera == 2 else 1), baseline


def _raw_folder(field: str) -> str:
    """The first field of a line of KITTI raw, which must be <date>/<drive>."""
    date, _, drive = field.partition("/")
    if not date or not drive:
        raise ValueError(field)
    return field


@dataset_reader("kitti_raw")
class KittiRaw(_KittiReader):
    """KITTI raw: <date>/<drive>/image_02|03/data/%010d.png|jpg, velodyne_points, and the calibration of each date.

    Lines are "<date>/<drive> <frame> <l|r>", or "image <n>" for the depth benchmark's test images (image/%010d.png,
    and intrinsics/%010d.txt in calibrated mode). The kinds of ground truth are "velodyne" (the map of the published
    evaluators), "velodyne_z" (the same points with camera z as depth) and "improved" (Uhrig et al. 2017, 16-bit PNG,
    metres × 256).
    """

    hint = "set ROOTS.KITTI_RAW or MDTK_DATASETS; see datasets/README.md for the expected tree"
    form = "<date>/<drive> <frame> <l or r>"
    folder_of = staticmethod(_raw_folder)

    def image_stem(self, folder: str, frame: int, camera: int) -> Path:
        if folder == BENCHMARK:
            return self.root / BENCHMARK / f"{frame:010d}"
        return self.root / folder / f"image_0{camera}" / "data" / f"{frame:010d}"

    def cameras(self, folder: str) -> Cameras:
        date = folder.split("/")[0]
        if date not in self._cameras:
            self._cameras[date] = read_raw_cameras(self.inside(self.root / date))
        return self._cameras[date]

    def intrinsics(self, index: int, size: tuple[int, int]) -> np.ndarray:
        entry = self.entry(index)
        if self.intrinsics_mode == "nominal" or entry.folder != BENCHMARK:
            return super().intrinsics(index, size)
        path = self.root / "intrinsics" / f"{entry.frame:010d}.txt"
        return read_table(path, "intrinsics", "extract the benchmark's depth_selection again", (3, 3))

    def ground_truth(self, index: int, kind: str = "velodyne") -> np.ndarray:
        if self.entry(index).folder == BENCHMARK:
            raise MdtkError("kitti_raw: the benchmark's test images have no public ground truth; predict and submit")
        if kind == "improved":
            hint = "extract KITTI's data_depth_annotated.zip below the data root"
            return read_grey_png(self.improved_path(index), "ground truth", hint) / IMPROVED_SCALE
        if kind in ("", "velodyne", "velodyne_z"):
            return self._velodyne(index, forward=kind != "velodyne_z")
        raise MdtkError(f"kitti_raw has no ground truth '{kind}'; it takes velodyne, velodyne_z or improved")

    def _velodyne(self, index: int, forward: bool) -> np.ndarray:
        entry = self.entry(index)
        cameras = self.cameras(entry.folder)
        if 2 not in cameras.sizes:
            raise MdtkError(f"{cameras.path}: has no S_rect_02, the size of the ground truth; extract it again")
        points = velodyne.read_parts(self.velodyne_path(index))
        return velodyne.depth_map(points, project_velodyne(cameras, entry.camera), cameras.sizes[2], forward)

    def velodyne_path(self, index: int) -> Path:
        """The file of the entry's laser scan."""
        entry = self.entry(index)
        return self.inside(self.root / entry.folder / "velodyne_points" / "data" / f"{entry.frame:010d}.bin")

    def improved_path(self, index: int) -> Path:
        """The PNG of the entry's improved ground truth, in the folder of the drive or in the official separate tree."""
        entry = self.entry(index)
        inner = Path("proj_depth", "groundtruth", f"image_0{entry.camera}", f"{entry.frame:010d}.png")
        drive = Path(entry.folder).name
        choices = [self.root / folder / inner for folder in (entry.folder, drive, f"train/{drive}", f"val/{drive}")]
        return self.inside(next((path for path in choices if is_file(path)), choices[0]))

    def ground_truth_files(self, index: int, kind: str = "") -> list[Path]:
        if self.entry(index).folder == BENCHMARK:
            return []
        return [self.improved_path(index) if kind == "improved" else self.velodyne_path(index)]

    def static_names(self) -> frozenset[str]:
        """Entries whose frame is in the list of static frames: that of the data root, else the published one."""
        static = load_static_frames(self.root)
        entries = ((line, self.entry(index)) for index, line in enumerate(self.lines))
        return frozenset(line for line, entry in entries if (entry.folder, entry.frame) in static)


def _odometry_folder(field: str) -> str:
    return f"{int(field):02d}"


@dataset_reader("kitti_odom")
class KittiOdom(_KittiReader):
    """KITTI odometry: sequences/%02d/image_2|3/%06d.png|jpg, calib.txt, poses/%02d.txt.

    Lines are "<sequence> <frame> <l|r>".
    """

    hint = "set ROOTS.KITTI_ODOM or MDTK_DATASETS; see datasets/README.md for the expected tree"
    form = "<sequence> <frame> <l or r>"
    folder_of = staticmethod(_odometry_folder)

    def image_stem(self, folder: str, frame: int, camera: int) -> Path:
        return self.root / "sequences" / folder / f"image_{camera}" / f"{frame:06d}"

    def cameras(self, folder: str) -> Cameras:
        if folder not in self._cameras:
            self._cameras[folder] = read_odometry_cameras(self.inside(self.root / "sequences" / folder))
        return self._cameras[folder]

    def poses(self, sequence: int) -> np.ndarray:
        """Camera-to-world poses (N, 4, 4) float64 of the left camera in metres, from poses/%02d.txt."""
        path = self.root / "poses" / f"{sequence:02d}.txt"
        rows = read_table(self.inside(path), "poses", "extract data_odometry_poses.zip again", (-1, 3, 4))
        if not (np.abs(np.linalg.det(rows[:, :, :3]) - 1) < _ROTATION).all():
            raise MdtkError(f"{path}: the first three columns of a pose must be a rotation; extract it again")
        world_T_camera = np.tile(np.eye(4), (len(rows), 1, 1))
        world_T_camera[:, :3] = rows
        return world_T_camera

"""Own frames: order, entries, splits, intrinsics, motion, depth, and one sentence for each kind of bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mdtk.config import check, default_config
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import build_eval_reader, build_reader
from mdtk.datasets.readers.own_frames import SequenceReader
from mdtk.datasets.sequence.frames import list_frames
from tests.helpers.tiny import open_sequence


def write_frames(folder: Path, count: int, size: tuple[int, int] = (40, 30), still: range = range(0)) -> Path:
    """`count` frames whose brightness tells their number; those in `still` repeat the frame before."""
    folder.mkdir(parents=True)
    value = 0
    for number in range(count):
        value = value if number in still else number + 1
        Image.new("RGB", size, (2 * value, 2 * value, 2 * value)).save(folder / f"f{number}.png")
    return folder


def data_node(**sequence):
    node = default_config().DATA
    node.NAME = "sequence"
    node.SEQUENCE.K, node.SEQUENCE.K_SIZE = [32.0, 34.0, 20.0, 15.0], [40, 30]
    for key, value in sequence.items():
        node.SEQUENCE[key] = value
    return node


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path / "home"))


def frame_numbers(reader: SequenceReader) -> list[int]:
    return [frame for _, frame in reader.entries]


def test_numbers_in_names_sort_as_numbers(tmp_path):
    folder = write_frames(tmp_path / "clip", 12)
    assert [path.stem for path in list_frames(folder)] == [f"f{number}" for number in range(12)]


def test_sources_are_stride_frames_away(tmp_path):
    node = data_node(PATHS=[str(write_frames(tmp_path / "clip", 20))], STRIDE=3)
    reader = open_sequence(node, "all")
    assert frame_numbers(reader) == [3, 6, 9, 12, 15]
    assert reader.name(1) == "clip 6"
    images = reader.images(1, [0, -1, 1])
    assert [np.asarray(image)[0, 0, 0] for image in images] == [2 * 7, 2 * 4, 2 * 10]
    assert [path.stem for path in reader.files(1, [-2, 2])] == ["f0", "f12"]


def test_entries_need_all_their_sources(tmp_path):
    node = data_node(PATHS=[str(write_frames(tmp_path / "clip", 10))])
    node.SOURCES = [-1, 2, 3]
    assert frame_numbers(open_sequence(node, "all")) == [1, 2, 3, 4, 5, 6]
    assert frame_numbers(open_sequence(node, "all", sources=())) == list(range(10))


def test_val_is_the_end_and_train_never_sees_its_targets(tmp_path):
    paths = [str(write_frames(tmp_path / name, 30)) for name in ("a", "b")]
    node = data_node(PATHS=paths, VAL_FRACTION=0.25)
    node.SOURCES = [-2, 2]
    train, val = (open_sequence(node, split) for split in ("train", "val"))
    assert {name.split()[0] for name in val.lines} == {"a", "b"}
    assert len(val) == 2 * 6  # a quarter of the 26 targets of each, rounded
    targets_of_val = {path for index in range(len(val)) for path in val.files(index, [0])}
    seen = {path for index in range(len(train)) for path in train.files(index, [0, -2, 2])}
    assert not seen & targets_of_val
    assert max(frame_numbers(train)) == 19  # its source 21 is the last frame before val's first target


def test_names_stay_unique_when_folders_share_a_name(tmp_path):
    paths = [str(write_frames(tmp_path / room / "color", 4)) for room in ("kitchen", "office")]
    reader = open_sequence(data_node(PATHS=paths), "all")
    assert reader.lines == ["kitchen/color 1", "kitchen/color 2", "office/color 1", "office/color 2"]


def test_a_text_list_names_clips_or_counts_them(tmp_path):
    paths = [str(write_frames(tmp_path / name, 6)) for name in ("my walk", "b")]
    (tmp_path / "list.txt").write_text("my walk 2\n\n1 4\nb 1\n")
    reader = open_sequence(data_node(PATHS=paths), str(tmp_path / "list.txt"))
    assert reader.lines == ["my walk 2", "b 4", "b 1"]


@pytest.mark.parametrize(
    ("line", "message"),
    [("a 5", "frame 5 of a or one of its sources is not there"), ("c 2", "is not '<clip"), ("a 2\na 2", "repeats")],
)
def test_bad_lines_of_a_text_list_are_named(tmp_path, line, message):
    (tmp_path / "list.txt").write_text(line)
    with pytest.raises(MdtkError, match=message):
        open_sequence(data_node(PATHS=[str(write_frames(tmp_path / "a", 6))]), str(tmp_path / "list.txt"))


def test_intrinsics_move_with_pixel_centres(tmp_path):
    node = data_node(PATHS=[str(write_frames(tmp_path / "clip", 4, size=(80, 60)))])
    reader = open_sequence(node, "all")
    K = reader.intrinsics(0, (80, 60))
    point = np.array([0.3, -0.2, 1.7])  # the same ray in the image K belongs to and in the one twice as large
    small = np.array([32.0 * 0.3 / 1.7 + 20.0, 34.0 * -0.2 / 1.7 + 15.0])
    large = (K @ point)[:2] / point[2]
    np.testing.assert_allclose(large, (small + 0.5) * 2 - 0.5, atol=1e-12)
    np.testing.assert_allclose(reader.intrinsics(0, (40, 30)), [[32, 0, 20], [0, 34, 15], [0, 0, 1]])


def test_an_unknown_camera_is_guessed_only_when_allowed(tmp_path):
    node = data_node(PATHS=[str(write_frames(tmp_path / "clip", 20))], K=[], K_SIZE=[])
    with pytest.raises(MdtkError, match=r"DATA\.SEQUENCE\.K is empty"):
        open_sequence(node, "train")
    reader = open_sequence(node, "train", needs_camera=False)
    np.testing.assert_allclose(reader.intrinsics(0, (40, 30)), [[32, 0, 19.5], [0, 32, 14.5], [0, 0, 1]])


def test_still_targets_are_left_out_and_known(tmp_path):
    folder = write_frames(tmp_path / "clip", 20, still=range(5, 10))  # frames 4 … 9 are one picture
    node = data_node(PATHS=[str(folder)], MIN_MOTION=0.5, VAL_FRACTION=0.0)
    assert frame_numbers(open_sequence(node, "train")) == [1, 2, 3, *range(10, 19)]
    everything = open_sequence(node, "all")
    assert len(everything) == 18
    assert everything.static_names() == {f"clip {number}" for number in range(4, 10)}


def test_motion_is_computed_once_and_again_when_a_frame_changes(tmp_path, monkeypatch):
    folder = write_frames(tmp_path / "clip", 8)
    node = data_node(PATHS=[str(folder)], MIN_MOTION=0.5)
    first = frame_numbers(open_sequence(node, "train"))
    assert not list(folder.glob("*.npy"))  # nothing is written beside the user's files
    cached = list((tmp_path / "home" / "cache").glob("grey-*.npy"))
    assert len(cached) == 1
    stamp = cached[0].stat().st_mtime_ns
    assert frame_numbers(open_sequence(node, "train")) == first
    assert cached[0].stat().st_mtime_ns == stamp
    Image.new("RGB", (40, 30), (6, 6, 6)).save(folder / "f3.png")  # now the same picture as frame 2
    assert 3 not in frame_numbers(open_sequence(node, "train"))


def test_ground_truth_in_metres(tmp_path):
    folder, depth = write_frames(tmp_path / "clip", 4), tmp_path / "depth"
    depth.mkdir()
    millimetres = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40) * 50
    Image.fromarray(millimetres).save(depth / "f1.png")
    Image.new("RGB", (40, 30)).save(depth / "f2.png")
    reader = open_sequence(data_node(PATHS=[str(folder)], DEPTH=[str(depth)]), "all")
    truth = reader.ground_truth(0)
    assert truth.dtype == np.float32
    np.testing.assert_allclose(truth, millimetres / 1000.0, rtol=1e-6)
    with pytest.raises(MdtkError, match=r"f2\.png: is a RGB image, but the depth PNG is an 8- or 16-bit grey PNG"):
        reader.ground_truth(1)
    (depth / "f1.png").unlink()
    with pytest.raises(MdtkError, match=r"depth PNG not found: .*f1\.png"):
        reader.ground_truth(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PATHS": []}, "PATHS is empty"),
        ({"PATHS": ["nowhere"]}, "sequence not found: .*nowhere"),
        ({"PATHS": ["empty"]}, "holds no frames"),
        ({"PATHS": ["outer"]}, "its subfolder clip does"),
        ({"PATHS": ["short"]}, "short has 2 frames, too few for sources -1 … 1"),
        ({"PATHS": ["note.mp4"]}, "video cannot be read: .*note.mp4"),
        ({"PATHS": ["absent.mp4"]}, "video not found: .*absent.mp4"),
        ({"K_SIZE": []}, "without DATA.SEQUENCE.K_SIZE"),
        ({"K": [0.0, 1.0, 2.0, 3.0]}, "must be positive"),
        ({"DEPTH": ["nodepth"]}, "depth folder not found: .*nodepth"),
        ({"DEPTH": ["empty", "empty"]}, "names 2 folders for 1"),
        ({"STRIDE": 0}, "STRIDE is 0"),
        ({"VAL_FRACTION": 1.0}, "VAL_FRACTION is 1.0"),
        ({"MIN_MOTION": 250.0}, "has no entry"),
        ({"PATHS": ["outer/clip", "outer/clip"]}, "names one path twice"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, changes, message):
    home = tmp_path / "home"
    write_frames(home / "outer" / "clip", 6)
    write_frames(home / "short", 2)
    (home / "empty").mkdir()
    (home / "note.mp4").write_text("this is no video")
    cfg = default_config()
    cfg.DATA = node = data_node(**{"PATHS": ["outer/clip"], **changes})

    def open_checked() -> None:
        check(cfg)
        open_sequence(node, "train")

    with pytest.raises(MdtkError, match=message) as caught:
        open_checked()
    assert "\n" not in str(caught.value)


def test_K_of_an_image_of_another_shape_is_refused(tmp_path):
    node = data_node(PATHS=[str(write_frames(tmp_path / "clip", 6))], K_SIZE=[30, 40])
    reader = open_sequence(node, "train")
    with pytest.raises(MdtkError, match="K_SIZE 30x40 has not the aspect of the frames, 40x30"):
        reader.intrinsics(0, (40, 30))
    node.SEQUENCE.K_SIZE = [80, 60]
    np.testing.assert_allclose(open_sequence(node, "train").intrinsics(0, (40, 30))[0, 0], 16.0)


def test_other_bad_input(tmp_path):
    folder = write_frames(tmp_path / "clip", 5)
    node = data_node(PATHS=[str(folder)])
    with pytest.raises(
        MdtkError, match=r"split 'test' of sequence is neither one of train, val, all .* set DATA.TRAIN_SPLIT train"
    ):
        open_sequence(node, "test")
    reader = open_sequence(node, "all")
    with pytest.raises(MdtkError, match=r"DATA\.STEREO false"):
        reader.images(0, [0, "s"])
    with pytest.raises(MdtkError, match=r"DATA\.SEQUENCE\.DEPTH"):
        reader.ground_truth(0)
    with pytest.raises(MdtkError, match="no frame at offset -2"):
        reader.files(0, [-2])
    (folder / "f2.png").write_bytes((folder / "f2.png").read_bytes()[:40])
    with pytest.raises(MdtkError, match=r"image cannot be read: .*f2\.png"):
        reader.images(0, [0, 1])
    Image.new("RGB", (40, 30)).save(folder / "f1.jpg")
    with pytest.raises(MdtkError, match=r"holds both f1\.\w+ and f1\.\w+"):
        open_sequence(node, "all")


def test_paths_below_data_root(tmp_path):
    write_frames(tmp_path / "rooms" / "clip", 4)
    node = data_node(PATHS=["clip"])
    node.ROOT = str(tmp_path / "rooms")
    assert len(open_sequence(node, "all")) == 2


def test_an_evaluation_takes_the_configured_val_list_and_needs_no_camera(tmp_path):
    (tmp_path / "list.txt").write_text("clip 7\nclip 3\n")
    cfg = default_config()
    cfg.DATA = data_node(PATHS=[str(write_frames(tmp_path / "clip", 10))], K=[], K_SIZE=[])
    cfg.DATA.VAL_SPLIT = str(tmp_path / "list.txt")
    assert build_eval_reader("sequence", cfg, "val").lines == ["clip 7", "clip 3"]
    assert len(build_eval_reader("sequence", cfg, "all")) == 8
    with pytest.raises(MdtkError, match=r"DATA\.SEQUENCE\.K is empty"):
        build_reader(cfg.DATA, cfg, "train")
    cfg.MODEL.LEARN_INTRINSICS = True
    assert len(build_reader(cfg.DATA, cfg, "train")) == 6

"""Files of strangers: whatever they hold, they are read, or refused at once in one sentence."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import time
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from benchmarks.fuzz import attempt, mutate
from benchmarks.fuzz_readers import REFUSED, readers
from mdtk.config import default_config, dump, load_config
from mdtk.config.load import config_from_text, read_recipe
from mdtk.convert.formats import recognise
from mdtk.convert.imagenet import read_h5
from mdtk.convert.paddle import read_pdparams
from mdtk.core.errors import LONGEST, MdtkError
from mdtk.core.files import inside
from mdtk.core.guard import read_json, read_text, reading
from mdtk.core.weights import read_torch, read_weights, write_weights
from mdtk.datasets.depth_files import read_gt_depths, read_npy
from mdtk.datasets.image_files import open_rgb
from mdtk.datasets.kitti_calibration import read_raw_cameras
from mdtk.datasets.map_files import load_array, read_map
from mdtk.datasets.mat_file import read_mat
from mdtk.datasets.readers.diode import Diode
from mdtk.datasets.readers.eth3d import Eth3d
from mdtk.datasets.readers.kitti import KittiOdom, KittiRaw
from mdtk.datasets.readers.nyuv2 import NYUv2
from mdtk.datasets.readers.scannet import ScanNet
from mdtk.datasets.readers.sintel import Sintel
from mdtk.datasets.sequence.frames import list_images
from mdtk.datasets.sequence.video_frames import read_frames
from mdtk.evaluation.io.external import External
from mdtk.models import load_model
from tests.helpers.tiny import PROJECT

needs_world = pytest.mark.skipif(
    not (os.environ.get("MDTK_REFERENCE") and os.path.isdir(os.environ.get("MDTK_DATASETS", "") + "/sample")),
    reason="needs MDTK_DATASETS with the sample world, and MDTK_REFERENCE",
)


def refusal(read, *arguments) -> str:
    """The one sentence that `read` ends in, within five seconds of this process."""
    begun = time.process_time()
    with pytest.raises(MdtkError) as error:
        read(*arguments)
    assert time.process_time() - begun < 5
    text = str(error.value)
    assert "\n" not in text
    assert len(text) <= LONGEST
    return text


@needs_world
def test_mutated_files_of_every_reader(tmp_path):
    for name, (file, data, read) in readers(tmp_path).items():
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        assert attempt(read, path, data) == ("refused" if name in REFUSED else "read"), name
        for seed in range(12):
            assert attempt(read, path, mutate(data, seed)) in ("read", "refused"), (name, seed)


def test_the_guard_shows_our_own_errors():
    def wrong():
        with reading("a file", "file", "fetch it again"):
            return undefined_name  # noqa: F821

    with pytest.raises(NameError):
        wrong()


def test_messages_are_one_short_line():
    error = MdtkError("the key " + "\x1b[31m" + "x" * 3_000_000 + "\n is not known; give another")
    assert len(str(error)) <= LONGEST
    assert str(error).endswith("is not known; give another")
    assert "\x1b" not in str(error)
    inner = MdtkError("Caught MdtkError in DataLoader worker 0.\nTraceback …\nmdtk.core.errors.MdtkError: one sentence")
    assert str(inner) == "one sentence"


def bomb(levels: int) -> bytes:
    """A pickle of a dictionary whose key is a tuple of one tuple twice, `levels` deep."""
    return b"\x80\x02}(K\x01\x85q\x00" + b"0h\x00h\x00\x86q\x00" * levels + b"K\x01u."


@pytest.mark.parametrize(
    "data",
    [bomb(40), b"\x80\x02Nr\xff\xff\xff\x7f.", b"\x80\x02}" + b"N" + b"\x85" * 500_000 + b"K\x01s.", b"\x80\x02", b""],
    ids=["hashing", "memo", "depth", "short", "empty"],
)
def test_costly_pickles(tmp_path, data):
    for name, read in (("x.pdparams", read_pdparams), ("old.pth", read_torch)):
        (tmp_path / name).write_bytes(data)
        refusal(read, tmp_path / name)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(tmp_path / "gt_depths.npz", "w") as archive:
        archive.writestr("data.npy", stream.getvalue() + data)
    refusal(read_gt_depths, tmp_path / "gt_depths.npz")
    with zipfile.ZipFile(tmp_path / "new.pth", "w") as archive:
        archive.writestr("archive/data.pkl", data)
    refusal(read_torch, tmp_path / "new.pth")


def test_torch_files(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"a": torch.ones(1).as_strided((10**12,), (0,))}, path)
    assert "claims the shape (1000000000000,)" in refusal(read_torch, path)
    torch.save({"format": "mdtk"}, path)
    assert "no version number" in refusal(read_weights, path)
    torch.save({"format": "mdtk", "version": 1, "cfg": "", "model": {"x": 3}}, path)
    assert "not a dictionary of tensors" in refusal(read_weights, path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}." + bytes(1_000_000))
    assert "packed archive" in refusal(read_torch, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mono_640x192/encoder.pth", b"x")
    assert "is a zip of a folder of weights; unpack it and give the folder" in refusal(recognise, path)


def test_a_giant_network_in_a_checkpoint(tmp_path):
    cfg = default_config()
    cfg.MODEL.ENCODER = "resnet152"
    path = tmp_path / "x.pth"
    write_weights(path, {"model": {"depth.x": torch.ones(2)}, "cfg": dump(cfg)})
    with pytest.raises(MdtkError, match="does not fit the model of this configuration"):
        load_model(path)
    write_weights(path, {"model": {}, "cfg": "DATA: {HEIGHT: 320000, WIDTH: 320000}"})
    assert "DATA.HEIGHT" in refusal(load_model, path)


def test_a_section_that_stands_twice_is_not_lost(tmp_path):
    (tmp_path / "r.yaml").write_text("SOLVER: {LR: 0.1}\nSEED: 1\nSOLVER: {EPOCHS: 3}\n")
    assert "SOLVER stands twice" in refusal(read_recipe, tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text("".join(f"k{n}: 1\n" for n in range(20_000)))
    refusal(load_config, tmp_path / "r.yaml")


def aliases(levels: int) -> str:
    lines = ["a0: &a0 [1, 1]"]
    return "\n".join(lines + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, levels)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (aliases(60), "aliases stand for more than"),
        ("[" * 100_000, "levels deep"),
        ("a: &a [*a]", "holds itself"),
        ("a: " + "1" * 300_000, "too many"),
        ("1: 2", "is no text"),
        ("_BASE_: 3", "_BASE_ is 3"),
        ("a: !!python/object:os.system [x]", "not valid YAML"),
    ],
)
def test_yaml(tmp_path, text, words):
    (tmp_path / "r.yaml").write_text(text)
    assert words in refusal(read_recipe, tmp_path / "r.yaml")
    if "_BASE_" not in text:
        assert words in refusal(config_from_text, text, "x.pth")


def test_a_doubling_base(tmp_path):
    for n in range(40):
        (tmp_path / f"{n}.yaml").write_text(f"_BASE_: [{n + 1}.yaml, {n + 1}.yaml]\nSEED: {n}\n")
    (tmp_path / "40.yaml").write_text("SOLVER: {LR: 0.5}")
    cfg = load_config(tmp_path / "0.yaml")
    assert (cfg.SEED, cfg.SOLVER.LR) == (0, 0.5)
    for n in range(200):
        (tmp_path / f"{n}.yaml").write_text(f"_BASE_: {n + 1}.yaml\n")
    assert "more than 64 files" in refusal(load_config, tmp_path / "0.yaml")


def test_text_and_json(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100_000)
    assert "RecursionError" in refusal(read_json, tmp_path / "a.json", "JSON", "repair it")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    assert "UnicodeDecodeError" in refusal(read_text, tmp_path / "b.txt", "list", "give a text")
    assert "not found" in refusal(open_rgb, tmp_path / ("x" * 255 + ".png"))


def test_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10000, 10000)})
        with archive.open("a.npy", "w", force_zip64=True) as file:
            file.write(stream.getvalue())
            for _ in range(100):
                file.write(bytes(4_000_000))
    assert "refused, a.npy unpacks" in refusal(lambda: read_gt_depths(tmp_path / "z.npz")["a"])
    (tmp_path / "a.npy").write_bytes(stream.getvalue())
    assert "claims an array" in refusal(read_npy, tmp_path / "a.npy")
    np.savez(tmp_path / "p.npz", a=np.ones(3))
    os.replace(tmp_path / "p.npz", tmp_path / "p.npy")
    refusal(lambda: External({"a": (tmp_path / "p.npy", None)}, "depth")["a"])


def test_calibration_of_a_giant_image(tmp_path):
    lines = [f"P_rect_0{n}: {' '.join(['1'] * 12)}\nS_rect_0{n}: 4e4 4e4\n" for n in (2, 3)]
    (tmp_path / "calib_cam_to_cam.txt").write_text("".join(lines) + "R_rect_00: 1 0 0 0 1 0 0 0 1\n")
    assert "is 40000x40000 pixels" in refusal(read_raw_cameras, tmp_path)


def test_poses_that_are_none(tmp_path):
    (tmp_path / "poses").mkdir()
    for words in ("nan", "0"):
        (tmp_path / "poses" / "09.txt").write_text(f"{' '.join([words] * 12)}\n" * 3)
        refusal(KittiOdom(tmp_path, ["9 0 l"]).poses, 9)


def test_mat_files(tmp_path):
    path = tmp_path / "x.mat"
    expected = np.random.default_rng(0).normal(size=(5, 4, 3))
    for packed in (True, False):
        savemat(path, {"other": np.arange(3.0), "grid": expected}, do_compression=packed)
        np.testing.assert_array_equal(read_mat(path, "grid", "grid", "fetch it"), expected)
        assert read_mat(path, "absent", "grid", "fetch it") is None
    savemat(path, {"grid": np.zeros((3000, 3000))}, do_compression=True)
    assert "unpacks to more" in refusal(read_mat, path, "grid", "grid", "fetch it")
    data = bytearray(path.read_bytes()[:128]) + struct.pack("<II", 14, 2**31)
    path.write_bytes(data)
    refusal(read_mat, path, "grid", "grid", "fetch it")


def test_hdf5_links_and_external_storage(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(range(240)) * 10_000)
    pixels = 3 * 480 * 640
    with h5py.File(tmp_path / "1.h5", "w") as file:
        file.create_dataset("rgb", (3, 480, 640), "u1", external=[(str(tmp_path / "secret.bin"), 0, pixels)])
        file["depth"] = h5py.SoftLink("/rgb")
    reader = NYUv2(tmp_path, ["1.h5"])
    assert "not a plain array" in refusal(reader.images, 0, [0])
    assert "not a plain array" in refusal(reader.ground_truth, 0)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["a"] = h5py.SoftLink("/b")
        file["b"] = h5py.SoftLink("/a")
    assert "not a plain array" in refusal(read_h5, tmp_path / "c.h5")
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("a", (10**6, 10**6), "f4", chunks=(100, 100))
    assert "claim" in refusal(read_h5, tmp_path / "big.h5")


def test_pictures(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    assert "cannot identify image file" in refusal(open_rgb, tmp_path / "a.png"), "EPS starts a program"
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + bytes(4))
    assert "179 megapixels" in refusal(open_rgb, tmp_path / "b.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as another library of the same process may
    assert "has 50000x50000 pixels" in refusal(open_rgb, tmp_path / "b.png")


def test_lists_that_name_other_files_are_no_videos(tmp_path):
    frames = [Image.new("RGB", (16, 16), number) for number in (0, 90)]
    frames[0].save(tmp_path / "secret.gif", save_all=True, append_images=frames[1:])
    assert sum(1 for _ in read_frames(tmp_path / "secret.gif")) == 2
    for text in ("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "ffconcat version 1.0\nfile secret.gif\n# \0\n", ""):
        (tmp_path / "v.mp4").write_text(text)
        assert "does not begin as MP4" in refusal(next, read_frames(tmp_path / "v.mp4"))


def test_headers_of_arrays(tmp_path):
    """numpy looks for Python 2's numbers in a header that it cannot read, in a time that grows with its square."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}" + b" " * 9000 + b"'\xff"
    for version, room in ((b"\1\0", "<H"), (b"\2\0", "<I")):
        content = b"\x93NUMPY" + version + struct.pack(room, len(header)) + header + bytes(6)
        (tmp_path / "a.npy").write_bytes(content)
        for read in (read_npy, read_map, lambda path: External({"a": (path, None)}, "depth")["a"]):
            refusal(read, tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.arange(6, dtype=np.float32).reshape(2, 3).T)
    for mode in (None, "r"):
        np.testing.assert_array_equal(load_array(tmp_path / "b.npy", mode), np.load(tmp_path / "b.npy"))


def test_a_map_that_unpacks_to_gigabytes(tmp_path):
    np.savez_compressed(tmp_path / "m.npz", np.zeros((5000, 5000), np.float32))
    assert "refused, arr_0.npy unpacks" in refusal(read_map, tmp_path / "m.npz")


def test_names_stay_below_their_root(tmp_path, monkeypatch):
    root = tmp_path / "root"
    monkeypatch.setenv("MDTK_LINKS", "inside")
    drive = root / "d" / "e" / "image_02" / "data"
    drive.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (drive / "0000000001.png").symlink_to(tmp_path / "secret.png")
    for line in ("../x 1 l", "d/e 1 l"):
        assert "leads out of" in refusal(KittiRaw(root, [line]).images, 0, [0])
    assert "leads out of" in refusal(list_images, drive)
    assert "leads out of" in refusal(NYUv2(root, ["../1.h5"]).images, 0, [0])
    monkeypatch.delenv("MDTK_LINKS")  # the links of a data root are its user's; names are not
    assert KittiRaw(root, ["d/e 1 l"]).images(0, [0])[0].size == (8, 8)
    assert [path.name for path in list_images(drive)] == ["0000000001.png"]
    assert "leads out of" in refusal(KittiRaw(root, ["../x 1 l"]).images, 0, [0])
    for reader, line in (
        (Diode, "../secret"),
        (Sintel, "final/../../../secret"),
        (ScanNet, "../x/1"),
        (Eth3d, "../../../../x"),
    ):
        assert "leads out of" in refusal(reader(root, [line]).images, 0, [0])
    (root / "p_secret.png").symlink_to(tmp_path / "secret.png")
    assert "leads out of" in refusal(inside, root, root / "p_secret.png", "predictions")


@pytest.mark.parametrize("tool", ["test_simple", "evaluate"])
def test_a_tool_shows_one_line(tmp_path, tool):
    (tmp_path / "x.pth").write_bytes(b"PK\x03\x04" + bytes(40))
    arguments = ["--checkpoint", str(tmp_path / "x.pth"), *(["--image_path", "."] if tool == "test_simple" else [])]
    command = [sys.executable, str(PROJECT / "tools" / f"{tool}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT)})
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1

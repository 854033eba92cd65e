"""`mdtk data fetch` and `status` against a server on this machine that has the sample world as published archives."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mdtk.cli.main import dispatch
from mdtk.cli.options.data_options import DOWNLOADS
from mdtk.core import archives
from mdtk.core.errors import MdtkError
from mdtk.datasets.catalogue import DATASETS
from mdtk.datasets.prepare.download_table import downloads
from mdtk.datasets.prepare.unpacking import jpeg_bytes
from mdtk.datasets.splits import kitti_archives, load_split
from tests.helpers.archives import publish_kitti, publish_make3d, publish_nyu, publish_odometry
from tests.helpers.server import serving


@pytest.fixture(scope="module")
def published(tiny_world, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("publisher")
    for publish in (publish_kitti, publish_odometry, publish_make3d, publish_nyu):
        publish(tiny_world, folder)
    return folder


@pytest.fixture
def server(published, monkeypatch, tmp_path):
    with serving(published) as handler:
        monkeypatch.setenv("MDTK_DATA_URL", handler.url)
        monkeypatch.setenv("MDTK_DATASETS", str(tmp_path / "home"))
        (tmp_path / "home").mkdir()
        yield handler


@pytest.fixture
def home(server, tiny_world, tmp_path) -> Path:
    """Empty data roots with the sample world's own lists, which name its drives."""
    for name in ("kitti_raw", "kitti_odom", "make3d", "nyuv2"):
        shutil.copytree(tiny_world / name / "splits", tmp_path / "home" / name / "splits")
    return tmp_path / "home"


def fetch(line: str) -> None:
    assert not dispatch(["data", "fetch", *line.split(), "--accept_licence"])


def status(capsys, *words: str) -> str:
    capsys.readouterr()
    dispatch(["data", "status", *words])
    return capsys.readouterr().out


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and ".archives" not in path.parts}


def test_only_what_a_list_needs_is_fetched_and_it_reads(server, home, tiny_world, capsys):
    fetch("kitti_raw --split eigen/test")
    root = home / "kitti_raw"
    drives = {line.split()[0] for line in load_split("eigen/test", root).lines}
    assert {f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/*/image_02")} == drives
    assert len(server.names) == len(drives) + len({drive[:10] for drive in drives})
    assert not list(root.glob("*/*/image_00")), "the grey cameras are left out"
    assert not list(root.glob(".archives/*.zip")), "unpacked archives are removed"
    reader, own = (
        DATASETS.find("kitti_raw", "")(path, load_split("eigen/test", root).lines)
        for path in (root, tiny_world / "kitti_raw")
    )
    np.testing.assert_array_equal(reader.images(0, [0])[0], own.images(0, [0])[0])
    np.testing.assert_array_equal(reader.ground_truth(0), own.ground_truth(0))
    assert f"eigen/test: {len(reader)} entries, whole" in status(capsys, "kitti_raw")
    asked = len(server.names)
    fetch("kitti_raw --split eigen/test")
    assert len(server.names) == asked, "the second time nothing is asked of the server"
    assert "already; nothing was fetched" in capsys.readouterr().out
    lost = reader.files(0, [0])[0]
    lost.unlink()
    fetch("kitti_raw --split eigen/test")
    assert f"files missing, the first {lost}; if they were lost, add --again" in capsys.readouterr().out
    fetch("kitti_raw --split eigen/test --again")
    assert lost.is_file()
    assert "note:" not in capsys.readouterr().out


def test_as_published_in_jpeg(server, home, tiny_world):
    fetch("kitti_raw --split eigen/test")
    before = next((home / "kitti_raw").glob("*/*/image_02/data/*.png"))
    png = before.read_bytes()
    fetch("kitti_raw --split eigen_zhou eigen/test --jpeg")  # converts what is there, and what comes
    root = home / "kitti_raw"
    assert not list(root.glob("*/*/image_0?/data/*.png"))
    assert before.with_suffix(".jpg").read_bytes() == jpeg_bytes(png, before)
    picture = Image.open(before.with_suffix(".jpg"))
    assert picture.layer[0][1:3] == (2, 2), "chroma has half the resolution"
    assert picture.quantization[0][0] == 3, "libjpeg's luminance table at quality 92 begins with 3"
    for split in ("eigen_zhou/train", "eigen_zhou/val", "eigen/test"):
        reader = DATASETS.find("kitti_raw", "")(root, load_split(split, root).lines)
        assert all(path.suffix == ".jpg" and path.is_file() for path in reader.files(0, [0]))


def test_the_other_sets(server, home, capsys):
    fetch("kitti_raw --split eigen_benchmark")
    assert "data fetch kitti_improved --split eigen_benchmark/test" in status(capsys, "kitti_improved")
    fetch("kitti_improved")
    fetch("make3d")
    fetch("nyuv2")
    assert "missing" not in status(capsys, "kitti_improved", "make3d")
    assert "nyuv2/test: " in (line := status(capsys, "nyuv2").splitlines()[1])
    assert line.endswith("entries, whole")
    fetch("kitti_odom --split odom/test_09")
    root = home / "kitti_odom"
    assert [path.name for path in (root / "sequences").iterdir()] == ["09"]
    assert (root / ".archives" / "data_odometry_color.zip").is_file(), "other lists need it"
    fetch("kitti_odom --split odom/test_09 odom/test_10")
    assert server.names.count("data_odometry_color.zip") == 1
    assert "odom/test_10" in status(capsys, "kitti_odom")
    assert sorted(path.name for path in (root / "sequences").iterdir()) == ["09", "10"]
    assert len(list((root / "poses").iterdir())) >= 2


def test_nyus_raw_scenes_have_a_published_checksum(server, home, published, monkeypatch):
    row = downloads()["nyuv2"]
    only = {
        name: lists for name, lists in row.archives.items() if name in ("basements.zip", "nyu_depth_v2_labeled.mat")
    }
    monkeypatch.setattr(
        "mdtk.cli.work.fetch_work.downloads", lambda: {"nyuv2": type(row)(**{**vars(row), "archives": only})}
    )
    (published / "basements.md5").rename(published / "kept.md5")
    (published / "basements.md5").write_text(f"{'0' * 32}  basements.zip\n")
    try:
        with pytest.raises(MdtkError, match=r"basements\.zip has md5 .*, not 0{32}; delete it and fetch it again"):
            fetch("nyuv2 --split nyuv2/train")
    finally:
        (published / "kept.md5").rename(published / "basements.md5")
    fetch("nyuv2 --split nyuv2/train")
    assert list((home / "nyuv2" / "nyu_depth_v2").glob("*/r-*.ppm"))
    assert not list((home / "nyuv2").rglob("*.pgm"))


def test_a_cut_connection_goes_on_by_itself_and_by_hand(server, home, monkeypatch):
    server.limit = 3_000
    monkeypatch.setattr("mdtk.datasets.prepare.unpacking.TRIES", 2)
    with pytest.raises(MdtkError, match="to go on"):
        fetch("make3d")
    assert server.asked == [None, "bytes=3000-"]
    server.limit = 2_000_000
    fetch("make3d")
    assert server.asked[2] == "bytes=6000-"
    assert len(files(home / "make3d")) > 2


def test_what_a_server_can_do_wrong(server, home, published, monkeypatch):
    shutil.move(published / "Test134Depth.tar.gz", published / "away")
    try:
        with pytest.raises(MdtkError, match=r"answers 404 .*fetch it by hand and put it to .*/Test134Depth\.tar\.gz"):
            fetch("make3d")
    finally:
        shutil.move(published / "away", published / "Test134Depth.tar.gz")
    monkeypatch.setenv("MDTK_DATA_URL", "http://127.0.0.1:9")
    with pytest.raises(
        MdtkError, match=r"Test134Depth\.tar\.gz cannot be fetched .*put the file to .*make3d/\.archives"
    ):
        fetch("make3d")


def test_a_changed_archive_is_refused_after_the_first_fetch(server, home, published):
    fetch("make3d --keep_archives")
    kept = home / "make3d" / ".archives" / "Test134.tar.gz"
    kept.write_bytes(kept.read_bytes() + b"\0")
    kept.with_name("Test134.tar.gz.done").unlink()
    with pytest.raises(MdtkError, match=r"has sha256 .* delete it and fetch it again"):
        fetch("make3d")


def test_an_account_is_needed_for_cityscapes(server, home, tiny_world, monkeypatch, capsys):
    monkeypatch.delenv("MDTK_DATA_URL")
    assert status(capsys, "cityscapes").splitlines()[1].strip() == "mdtk data fetch cityscapes"
    with pytest.raises(
        MdtkError, match=r"register at https://www\.cityscapes-dataset\.com.* click camera_trainvaltest\.zip"
    ):
        fetch("cityscapes --split cityscapes/test")
    own = home / "Downloads"
    own.mkdir()
    for name in ("camera", "disparity", "leftImg8bit_sequence", "leftImg8bit"):
        source = tiny_world / "cityscapes" / ("leftImg8bit_sequence" if name == "leftImg8bit" else name)
        with zipfile.ZipFile(own / f"{name}_trainvaltest.zip", "w") as archive:
            for file in source.rglob("*.*"):
                archive.writestr(f"{name}/{file.relative_to(source)}", b"its place alone matters here")
            archive.writestr("README", "x")
    shutil.copytree(tiny_world / "cityscapes" / "splits", home / "cityscapes" / "splits")
    (home / "cityscapes" / "splits" / "cityscapes" / "val_files.txt").write_text("a a_000000_000019\n")
    shutil.copytree(home / "cityscapes" / "splits", home / "cityscapes_prepared" / "splits")
    fetch(f"cityscapes --archives {own}")
    assert len(list(own.glob("*.zip"))) == 4, "what the user put there is left alone"
    printed = capsys.readouterr().out
    assert f"next: mdtk data cityscapes --dataset_dir {home / 'cityscapes'} --dump_root" in printed
    assert "fetched, but not prepared" in status(capsys, "cityscapes")
    # What that command makes is what the status looks for: a triplet and its K for each entry.
    for line in load_split("cityscapes/train", home / "cityscapes").lines:
        path = home / "cityscapes_prepared" / f"{line.replace(' ', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert re.search(r"cityscapes/train: \d+ entries, whole", status(capsys, "cityscapes"))


def test_a_licence_is_shown_and_accepted(server, home, monkeypatch, capsys):
    with pytest.raises(MdtkError, match="add --accept_licence"):
        dispatch(["data", "fetch", "make3d"])
    assert "licence: none is stated; published for research" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})("no\n"))
    monkeypatch.setattr("builtins.input", lambda question: "no")
    with pytest.raises(MdtkError, match="was not accepted"):
        dispatch(["data", "fetch", "make3d"])
    monkeypatch.setattr("builtins.input", lambda question: "yes")
    assert not server.names
    dispatch(["data", "fetch", "make3d"])
    assert server.names == ["Test134.tar.gz", "Test134Depth.tar.gz"]


def test_addresses_follow_from_the_published_lists(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MDTK_DATASETS", str(tmp_path))
    dispatch(["data", "fetch", "kitti_raw", "--list"])
    assert sorted(capsys.readouterr().out.split()) == sorted(kitti_archives())
    with pytest.raises(MdtkError, match="the nearest is eigen_zhou/train"):
        dispatch(["data", "fetch", "kitti_raw", "--split", "eigen_zhuo/train"])
    assert tuple(downloads()) == DOWNLOADS
    for row in downloads().values():
        assert {name for lists in row.archives.values() for name in lists} <= set(row.lists)
        assert row.address or row.steps


@pytest.mark.parametrize("name", ["../../evil.txt", "/tmp/evil.txt", "img-../../../x.jpg", "a/../img-a.jpg\n"])
def test_members_never_leave_the_root(name):
    for row in downloads().values():
        place = Path(row.place(name, None))
        assert not place.is_absolute()
        assert ".." not in place.parts


def _bomb(path: Path, size: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("img-a.jpg", b"\0" * size)


def test_bombs_links_and_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "FLOOR", 1000)
    _bomb(tmp_path / "a.zip", 10_000_000)
    with pytest.raises(MdtkError, match="unpack to more than 20 times its size"):
        list(archives.members(tmp_path / "a.zip"))
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "link"), (tarfile.CHRTYPE, "device"), (tarfile.DIRTYPE, "folder")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("file")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    assert [(one.name, one.read()) for one in archives.members(tmp_path / "b.tar")] == [("file", b"abc")]
    (tmp_path / "c.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(MdtkError, match=r"archive cannot be read: .*c\.zip"):
        list(archives.members(tmp_path / "c.zip"))
    (tmp_path / "d.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:2049])
    with pytest.raises(MdtkError, match=r"d\.tar"):
        [one.read() for one in archives.members(tmp_path / "d.tar")]
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("img-a.jpg", b"abcdefgh")
    content = bytearray((tmp_path / "e.zip").read_bytes())
    content[content.index(b"abcdefgh")] ^= 1
    (tmp_path / "e.zip").write_bytes(content)
    with pytest.raises(MdtkError, match="CRC"):
        [one.read() for one in archives.members(tmp_path / "e.zip")]

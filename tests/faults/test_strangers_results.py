"""Results, logs and training lists of strangers, and archives that are fetched."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from mdtk.convert.published import PublishedModel, fetch
from mdtk.core.archives import members
from mdtk.core.errors import LONGEST, MdtkError
from mdtk.datasets.entry_frames import EntryFrames
from mdtk.datasets.exr_files import _header, read_exr
from mdtk.datasets.packed import INDEX, NOTE, PackedFacts, PackedFrames
from mdtk.datasets.prepare.contamination import unpack
from mdtk.datasets.prepare.packed_writer import write_packed
from mdtk.datasets.readers.kitti import KittiOdom
from mdtk.evaluation.comparison import read_result
from mdtk.evaluation.io.results import check_overwrite
from mdtk.evaluation.report.page import write_report
from mdtk.evaluation.scoring.protocols import get_protocol
from mdtk.training.logger import Logger
from mdtk.training.trackers import write_tables


def refusal(read, *arguments) -> str:
    with pytest.raises(MdtkError) as error:
        read(*arguments)
    assert len(str(error.value)) <= LONGEST
    return str(error.value)


def test_logs_of_metrics(tmp_path):
    whole = json.dumps({"kind": "train", "step": 3, "total": 0.5})
    wrong = [
        "[" * 100_000,
        "{}",
        "3",
        json.dumps({"kind": "train", "step": "4"}),
        json.dumps({"step": 1, "kind": "../x"}),
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\xff\xfe\n" + "\n".join([whole, *wrong, whole.replace("3", "9")]).encode())
    write_tables(path)
    assert len((tmp_path / "train.csv").read_text().splitlines()) == 3
    Logger(tmp_path, True, 5).close()
    assert path.read_text() == f"{whole}\n"
    assert {one.name for one in tmp_path.iterdir()} == {"metrics.jsonl", "train.csv"}


def test_results_that_are_none(tmp_path):
    protocol = get_protocol("kitti_eigen")
    path = tmp_path / "kitti_eigen_monodepth2.json"
    for text in ("[]", "{", "[" * 100_000, '{"configuration": 3}', '{"results": {"model": []}}', "\0"):
        path.write_text(text)
        assert "give --overwrite to replace it" in refusal(check_overwrite, tmp_path, protocol, {"images": 1})
    table = tmp_path / "kitti_eigen_monodepth2.csv"
    head = "predictor,name,recording,abs_rel\n"
    for text in (head + "model,a,b,x\n", head + "model,a\n", head + 'model,"a', "\0", head, "x" * 200_000):
        table.write_text(text)
        refusal(read_result, tmp_path, protocol.key)
    with table.open("w", newline="") as file:
        columns = ["predictor", "name", "recording", "index", "scale", "shift", "abs_rel"]
        csv.writer(file).writerows([columns, ["model", "\x1b[2Ja", "b", "0", "1", "0", "0.5"]])
    assert "kitti_eigen_monodepth2.json" in refusal(read_result, tmp_path, protocol.key)
    path.write_text("{}")
    assert read_result(tmp_path, protocol.key).names == ("?[2Ja",)


def packed(text: bytes, **changes: object) -> dict[str, object]:
    lines = torch.from_numpy(np.frombuffer(zlib.compress(text, 9), np.uint8).copy())
    digest = hashlib.sha256(text).hexdigest()
    return {"dataset": "kitti_raw", "name": "x", "sha256": digest, "lines": lines, "sources": [-1, 1], **changes}


def test_training_lists_of_checkpoints():
    assert unpack(packed(b"d/e 1 l\n")).lines == ("d/e 1 l",)
    assert "unpacks to more than" in refusal(unpack, packed(bytes(70 << 20)))
    for wrong in ({"sources": None}, {"lines": 3}, {"lines": torch.zeros(9)}, {"sources": ["x"]}):
        assert "training list cannot be read" in refusal(unpack, packed(b"d/e 1 l\n", **wrong))
    assert "training list cannot be read" in refusal(unpack, 3)


def test_archives_stay_in_their_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    model = PublishedModel("m", "origin", "mono", "640x192", "licence", "m.zip", "http://127.0.0.1:9/m.zip")
    archive = tmp_path / "cache" / "m.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("../../a.pth", "/tmp/b.pth", "c\\..\\..\\d.pth", "e.exe"):
            file.writestr(name, b"x")
    assert {path.name for path in fetch(model).iterdir()} == {"a.pth", "b.pth", "d.pth", ".complete"}
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}
    other = PublishedModel("n", "origin", "mono", "640x192", "licence", "n.zip")
    with zipfile.ZipFile(tmp_path / "cache" / "n.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.pth", bytes(100 << 20))
    assert "refused, bomb.pth unpacks" in refusal(fetch, other)


def tar_of(path, *members: tuple[tarfile.TarInfo, bytes]):
    with gzip.open(path, "wb", compresslevel=1) as file:
        for info, content in members:
            file.write(info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
    return path


def member(kind: bytes, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_that_claims_gigabytes(tmp_path, kind):
    """tarfile reads as much as it claims: 3 MB packed became 3 GB in memory."""
    path = tar_of(tmp_path / "a.tar.gz", (member(kind, 3 << 30), bytes(1 << 20)))
    assert "a header of 3221225472 bytes" in refusal(list, members(path))


def test_a_list_of_holes_without_an_end(tmp_path):
    said = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    holes = (member(tarfile.REGTYPE, 1 << 30), b"999999999999\n" + b"0\n" * 1000)
    path = tar_of(tmp_path / "a.tar.gz", (member(tarfile.XHDTYPE, len(said)), said), holes)
    assert "a file with holes" in refusal(list, members(path))
    path = tar_of(tmp_path / "b.tar.gz", (member(tarfile.GNUTYPE_SPARSE, 0), b""))
    assert "a file with holes" in refusal(list, members(path))


def test_long_names_of_archives_are_read(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("ä" * 150)
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    assert [(one.name, one.read()) for one in members(tmp_path / "a.tar.gz")] == [("ä" * 150, b"abc")]


@pytest.mark.parametrize("value", ["nan", "inf", "-5"])
def test_a_report_of_errors_that_no_image_can_have(tmp_path, value):
    row = {"alignment": "median", "scale_ratio_median": 1, "scale_ratio_spread": 0, "factor": 1}
    facts = {"protocol": "kitti_eigen/monodepth2", "results": {"model": row}}
    (tmp_path / "kitti_eigen_monodepth2.json").write_text(json.dumps(facts))
    head = "predictor,index,name,recording,abs_rel\n"
    (tmp_path / "kitti_eigen_monodepth2.csv").write_text(f"{head}model,0,a,b,0.1\nmodel,1,c,b,{value}\n")

    def opener(entry):
        raise MdtkError("no pictures")

    assert "model has an abs_rel that no image can have" in refusal(
        write_report, [tmp_path], tmp_path / "report.html", opener
    )


def test_logs_are_no_formulas(tmp_path):
    line = {"kind": "train", "step": 3, "total": -0.5, "=1+1": 2.0, "note": "@x"}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    write_tables(tmp_path / "metrics.jsonl")
    assert (tmp_path / "train.csv").read_text().splitlines() == ["step,total,'=1+1,note", "3,-0.5,2.0,'@x"]


def index_of(folder, **changes: np.ndarray) -> None:
    """Writes an index with other arrays, and its checksum, as a stranger can."""
    with np.load(folder / INDEX) as arrays:
        np.savez(folder / INDEX, **{**arrays, **changes})
    note = json.loads((folder / NOTE).read_text())
    note["index_sha256"] = hashlib.sha256((folder / INDEX).read_bytes()).hexdigest()
    (folder / NOTE).write_text(json.dumps(note))


def test_packed_copies_of_strangers(tmp_path):
    facts = PackedFacts("kitti_odom", ("0", "1"), 8, 6, 1, 1, "x", native=True)
    frames, folder = np.zeros((2, 3, 6, 8), np.uint8), tmp_path / "packed"
    reader = KittiOdom(tmp_path, ["9 0 l"])
    images = [Image.new("RGB", (16, 12), number) for number in (0, 99)]
    write_packed(folder, facts, [EntryFrames(frames, (16, 12), images)], {})
    assert PackedFrames(folder, facts, reader)(0).native_size == (16, 12)
    with np.load(folder / INDEX) as arrays:
        sound = dict(arrays)
    for changes in (
        {"native_size": np.full((2, 2), 2**31 - 1, np.int32)},
        {"native_size": np.full((2, 2), -4, np.int32)},
        {"native_start": np.full(2, -1, np.int64)},
        {"entries": np.array([[0, 2]])},
        {"entries": np.array([[0, -1]])},
        {"entries": np.array([[0.5, 1.5]])},
        {"frame_crc": np.zeros((2, 2), np.uint32)},
        {"frame_crc": np.array(["a", "b"])},
    ):
        index_of(folder, **{**sound, **changes})
        refusal(PackedFrames, folder, facts, reader)
    note = json.loads((folder / NOTE).read_text())
    for offsets in ([0, 1], [[], {}], "01234"):
        (folder / NOTE).write_text(json.dumps({**note, "facts": {**note["facts"], "offsets": offsets, "width": 9}}))
        assert "pack it again" in refusal(PackedFrames, folder, facts, reader)


def test_exr_headers(tmp_path):
    with pytest.raises(IndexError):
        _header(b"a\0b\0" + (2**32 - 6).to_bytes(4, "little"), 0)  # a negative size once went round for ever
    (tmp_path / "a.exr").write_bytes(b"\x76\x2f\x31\x01" + bytes(40))
    refusal(read_exr, tmp_path / "a.exr")

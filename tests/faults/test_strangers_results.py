"""Results, logs and training lists of strangers, and archives that are fetched."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
import zlib

import numpy as np
import pytest
import torch

from mdtk.convert.published import PublishedModel, fetch
from mdtk.core.errors import LONGEST, MdtkError
from mdtk.datasets.exr_files import _header, read_exr
from mdtk.datasets.prepare.contamination import unpack
from mdtk.evaluation.comparison import read_result
from mdtk.evaluation.io.results import check_overwrite
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


def test_exr_headers(tmp_path):
    with pytest.raises(IndexError):
        _header(b"a\0b\0" + (2**32 - 6).to_bytes(4, "little"), 0)  # a negative size once went round for ever
    (tmp_path / "a.exr").write_bytes(b"\x76\x2f\x31\x01" + bytes(40))
    refusal(read_exr, tmp_path / "a.exr")

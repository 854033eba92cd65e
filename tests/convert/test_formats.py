"""The readers of each file format, and what they refuse: nothing in a file is ever executed."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from mdtk.convert import convert
from mdtk.convert.imagenet import read_h5
from mdtk.convert.mxnet_params import read_params
from mdtk.convert.paddle import read_pdparams
from mdtk.core.errors import MdtkError
from tests.helpers import published_networks as nets
from tests.helpers.attack import Attack
from tests.helpers.published_files import params_bytes, write_params


def _torch_zip(path: Path, content: object) -> None:
    torch.save(content, path)


def _torch_legacy(path: Path, content: object) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _bare_pickle(path: Path, content: object) -> None:
    path.write_bytes(pickle.dumps(content, protocol=4))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", [_torch_zip, _torch_legacy, _bare_pickle])
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("m2/encoder.pth", "m2"),
        ("ckpt.pth", "ckpt.pth"),
        ("pd/encoder.pdparams", "pd"),
        ("resnet18.pdparams", "resnet18.pdparams"),
        ("resnet18.h5", "resnet18.h5"),
        ("depth.params", "depth.params"),
    ],
)
def test_malicious_pickles_are_refused_in_each_format(tmp_path, write, name, given):
    path, marker = tmp_path / name, tmp_path / "marker"
    path.parent.mkdir(exist_ok=True)
    write(path, {"encoder": Attack(marker), "depth": {}, "encoder.conv1.weight": Attack(marker)})
    with pytest.raises(MdtkError) as caught:
        convert(tmp_path / given)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value), "torch advises to switch the safety off; this must not"
    assert not marker.exists()


def test_paddle_arrays_and_plain_values(tmp_path):
    arrays = OrderedDict(weight=np.random.default_rng(0).random((2, 3)).astype(np.float32), steps=np.array(7))
    path = tmp_path / "x.pdparams"
    content = {**arrays, "height": 192, "StructuredToParameterName@@": {"weight": "w"}}
    path.write_bytes(pickle.dumps(content, protocol=4))
    found, values = read_pdparams(path)
    assert values == {"height": 192}
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_paddle_slices_are_joined(tmp_path):
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    flat = whole.reshape(-1)
    content = {
        "w@@.0": flat[:10],
        "w@@.1": flat[10:],
        "UnpackBigParamInfor@@": {"w": {"OriginShape": (4, 6), "slices": ["w@@.0", "w@@.1"]}},
    }
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(content, protocol=2))
    arrays, _ = read_pdparams(path)
    assert list(arrays) == ["w"]
    np.testing.assert_array_equal(arrays["w"], whole)
    del content["w@@.1"]
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(MdtkError, match="slices of w do not fit"):
        read_pdparams(path)
    nested = ()
    for _ in range(60):
        nested = (nested, nested)  # 2**60 leaves to hash
    content["UnpackBigParamInfor@@"]["w"]["slices"] = [nested]
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(MdtkError, match="refused, its pickle holds a tuple of more than"):
        read_pdparams(path)


@pytest.mark.parametrize(
    ("read", "name"), [(read_pdparams, "x.pdparams"), (read_h5, "x.h5"), (read_params, "x.params")]
)
def test_a_missing_file_is_named(tmp_path, read, name):
    with pytest.raises(MdtkError, match=rf"^checkpoint not found: \S+{name}; give an existing file$"):
        read(tmp_path / name)
    if name != "x.params":
        with pytest.raises(MdtkError, match=rf"^checkpoint not found: \S+{name}; give an existing file$"):
            convert(tmp_path / name, "imagenet")


@pytest.mark.parametrize("magic", [0xF993FAC9, 0xF993FACA])
def test_mxnet_arrays_of_each_type(tmp_path, magic):
    arrays = {
        "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "b": np.array([1.5, -2.5], np.float64),
        "c": np.array([[1], [2]], np.int64),
        "d": np.array([0.5], np.float16),
    }
    path = tmp_path / "x.params"
    path.write_bytes(params_bytes(arrays, magic))
    found = read_params(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_damaged_mxnet_files_are_refused(tmp_path):
    good = params_bytes({"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.float32)})
    path = tmp_path / "x.params"
    cases = {length: good[:length] for length in range(0, len(good), 3)}
    cases["sparse"] = good[:28] + struct.pack("<i", 1) + good[32:]
    cases["version"] = good[:24] + struct.pack("<I", 0xF993FAC8) + good[28:]
    cases["dimensions"] = good[:32] + struct.pack("<i", 1000) + good[36:]
    cases["size"] = good[:36] + struct.pack("<q", 2**62) + good[44:]
    cases["negative"] = good[:36] + struct.pack("<q", -2) + good[44:]
    cases["count"] = good[:16] + struct.pack("<Q", 2**60) + good[24:]
    cases["longer"] = good + b"x"
    cases["names"] = good[:-1] + b"a"
    for case, data in cases.items():
        path.write_bytes(data)
        with pytest.raises(MdtkError, match=r"x\.params"):
            pytest.fail(f"read {case}: {read_params(path)}")


def test_gluon_copies_must_agree(tmp_path):
    arrays = nets.gluon_spelling(nets.resnet18(), nets.skip_decoder())
    arrays["decoder.decoder.4.conv.conv.bias"] = arrays["decoder.decoder.4.conv.conv.bias"] + 1
    with pytest.raises(MdtkError, match=r"disagree at 4\.conv\.conv\.bias"):
        convert(write_params(tmp_path / "depth.params", arrays))


def test_gluon_folder_with_two_depth_files_is_refused(tmp_path):
    arrays = nets.gluon_spelling(nets.resnet18(), nets.skip_decoder())
    for name in ("depth_best", "depth_final"):
        write_params(tmp_path / f"{name}.params", arrays)
    with pytest.raises(MdtkError, match=r"depth_best\.params, depth_final\.params"):
        convert(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"\x80\x02}q", b"no checkpoint at all"])
def test_damaged_torch_files_are_refused(tmp_path, content):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(MdtkError, match=r"x\.pth"):
        convert(path)


def test_state_dicts_hold_tensors_only(tmp_path):
    path = tmp_path / "ckpt.pth"
    torch.save({"encoder": {"a": "text"}, "depth": {}}, path)
    with pytest.raises(MdtkError, match=r"not tensors: a"):
        convert(path)
    torch.save({"encoder": {}, "depth": {}, "surprise": 1}, path)
    with pytest.raises(MdtkError, match="unexpected: surprise"):
        convert(path)

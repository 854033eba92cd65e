"""Published files are pickles: plain values and numbers come out, everything else is refused and nothing is run."""

from __future__ import annotations

import codecs
import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from mdtk.core.errors import MdtkError
from mdtk.core.pickles import load_array_of_arrays, load_plain
from mdtk.datasets.depth_files import read_gt_depths
from tests.helpers.attack import Attack


def object_array(arrays):
    stored = np.empty(len(arrays), object)
    stored[:] = arrays
    return stored


def stream(content, protocol=3):
    return io.BytesIO(pickle.dumps(content, protocol=protocol))


class Reduced:
    """Pickles as a call of a function with arguments, and a state for what it gives."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


DEPTHS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.asfortranarray(np.arange(12.0).reshape(4, 3))]


def test_the_attack_works_on_a_plain_unpickler(tmp_path):
    pickle.loads(pickle.dumps(Attack(tmp_path / "marker")))
    assert (tmp_path / "marker").exists(), "else the tests below would prove nothing"


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_every_layout_and_protocol(protocol):
    rng = np.random.default_rng(0)
    arrays = OrderedDict(
        plain=rng.random((2, 3)).astype(np.float32),
        fortran=np.asfortranarray(rng.random((2, 3, 4))),
        foreign=np.arange(5, dtype=">i4"),
        scalar=np.array(7, dtype=np.int64),
        flags=np.array([True, False]),
    )
    loaded = load_plain(stream({"arrays": arrays, "values": [1, 2.5, None, ("a", b"b", True)]}, protocol), "x")
    assert loaded["values"] == [1, 2.5, None, ("a", b"b", True)]
    assert list(loaded["arrays"]) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded["arrays"][name], array)
        assert loaded["arrays"][name].dtype == array.dtype.newbyteorder("=")


def test_protocol_5_is_refused_by_the_name_that_numpy_writes():
    with pytest.raises(MdtkError, match="_frombuffer"):
        load_plain(stream(np.zeros(3), protocol=5), "x")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_ragged_arrays_of_every_protocol(protocol):
    loaded = load_array_of_arrays(stream(object_array(DEPTHS), protocol), "x")
    for got, expected in zip(loaded, DEPTHS, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_module_names_of_old_and_new_numpy(module):
    data = pickle.dumps(object_array([np.array([[1.5, 2]], ">f4")]), protocol=2)
    for name in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        data = data.replace(name, module)
    np.testing.assert_array_equal(load_array_of_arrays(io.BytesIO(data), "x")[0], [[1.5, 2]])


def test_bytes_of_python_2():
    """Python 2 writes an array's bytes as its string: here a hand-made pickle of np.array([1, 2], "u1")."""
    data = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I2\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x01\\xfe'\ntb."
    )
    np.testing.assert_array_equal(load_plain(io.BytesIO(data), "x"), np.array([1, 254], np.uint8))


def test_published_npz(tmp_path):
    path = tmp_path / "gt_depths.npz"
    np.savez_compressed(path, data=object_array(DEPTHS))
    loaded = read_gt_depths(path)
    assert [depth.shape for depth in loaded] == [(2, 3), (4, 3)]
    assert all(depth.dtype == np.float32 for depth in loaded)
    np.testing.assert_array_equal(loaded[1], DEPTHS[1])


def test_code_in_published_ground_truth_is_refused_and_not_run(tmp_path):
    path = tmp_path / "gt_depths.npz"
    np.savez(path, data=object_array([DEPTHS[0], Attack(tmp_path / "marker")]))
    with pytest.raises(MdtkError, match=r"gt_depths\.npz: refused, it holds the name posix\.system"):
        read_gt_depths(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Attack(Path("marker")), r"the name posix\.system"),
        ({"a": np.array([Attack(Path("marker"))], dtype=object)}, r"the name posix\.system"),
        ({"a": object_array(DEPTHS)}, "elements of type 'O8'"),
        ({"a": np.array(["text"])}, "elements of type 'U4'"),
        ({"a": np.zeros(2, np.complex64)}, "elements of type 'c8'"),
        ({"a": np.zeros(2, [("a", "f4")])}, "a structured element type"),
        ({"a": np.dtype("f4")}, "a _DType"),
        ({"a": {1, 2}}, r"(a set|the name __builtin__\.set)"),
        ({"a": np.float64(1.0)}, r"the name numpy.*\.scalar"),
        ({"a": print}, r"the name (__builtin__|builtins)\.print"),
        ({"a": 1j}, r"the name (__builtin__|builtins)\.complex"),
    ],
)
def test_only_plain_values_and_numbers(tmp_path, content, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in (2, 4):
        with pytest.raises(MdtkError, match=f"x: refused, it holds {message}"):
            load_plain(stream(content, protocol), "x")
    assert not Path("marker").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (object_array([DEPTHS[0], "text"]), "an element that is no array"),
        (object_array([object_array(DEPTHS)]), "elements of type 'O8'"),
        (object_array([np.array(["a"])]), "elements of type 'U1'"),
        (object_array([np.zeros(2, [("a", "f4")])]), "a structured element type"),
        (object_array([np.array([True])]), "an array of truth values"),
        ([1, 2], "a list instead of an array"),
        (np.zeros(3), "no array of arrays"),
    ],
)
def test_only_an_array_of_arrays(content, message):
    with pytest.raises(MdtkError, match=f"x: refused, it holds {message}"):
        load_array_of_arrays(stream(content), "x")


def test_object_elements_cannot_pass_as_numbers():
    # an object type whose bytes would be read as pointers: only the bytes of numbers are ever interpreted
    good = pickle.dumps(object_array([np.zeros(1, np.float64)]), protocol=3)
    with pytest.raises(MdtkError, match="refused"):
        load_array_of_arrays(io.BytesIO(good.replace(b"f8", b"O8")), "x")


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(I0\ntC\x01btR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(ccollections\nOrderedDict\n(I0\ntC\x01btR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR.",
        b"cnumpy\nndarray\n(I5\ntR.",
        b"cnumpy\nndarray\n(}tb.",
        b"cnumpy\nndarray\n)R}b.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.",
        b"c_codecs\nencode\n(I1\nX\x06\x00\x00\x00latin1tR.",
        b"cbuiltins\neval\n(X\x01\x00\x00\x001tR.",
        b"ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsI1\nsb.",
        b"]\x94h\x00a.",  # a list that holds itself
        b"cnumpy\ndtype\n(I1\nI0\nI1\ntR.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aI1\ntR.",
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00f4I0\nI1\ntR(I3\nI1\nNNNI-1\nI-1\nI0\ntb.",
        b"Pid\n.",
        b"\x80\x04\x95",
        b"",
        b"}(I1\nI2\n",
    ],
)
def test_hand_made_pickles_are_refused(opcodes):
    for load in (load_plain, load_array_of_arrays):
        with pytest.raises(MdtkError, match="x: "):
            load(io.BytesIO(opcodes), "x")


def nested(container, depth):
    """A container of twice a container of twice …: small in the file, 2**depth leaves when written out."""
    content = container([1])
    for _ in range(depth):
        content = container([content, content])
    return content


@pytest.mark.parametrize("container", [list, lambda pair: dict(enumerate(pair))])
def test_what_is_shared_is_converted_once(container):
    data = pickle.dumps(nested(container, 60), protocol=3)
    assert len(data) < 2000
    loaded = load_plain(io.BytesIO(data), "x")
    for _ in range(60):
        assert len(loaded) == 2
        assert loaded[0] is loaded[1]
        loaded = loaded[0]
    assert loaded == container([1])


def test_a_shared_array_is_one_array():
    array = np.arange(3, dtype=">f4")
    first, second = load_plain(stream([array, array]), "x")
    assert first is second
    np.testing.assert_array_equal(first, array)


def test_objects_of_one_content_stay_apart():
    first, second, third = load_plain(stream([[], [], ([],)]), "x")
    assert first == second == third[0] == []
    assert first is not second
    assert first is not third[0]


@pytest.mark.parametrize("kind", ["list", "dict", "tuple", "far below"])
def test_what_holds_itself_is_refused(kind):
    content = loop = []
    if kind == "dict":
        content = {"a": loop}
    elif kind == "tuple":
        content = (loop, 1)
    loop.append(loop if kind == "list" else [[content]] if kind == "far below" else content)
    with pytest.raises(MdtkError, match=r"^x: refused, it holds a container that holds itself, [^\n]*$"):
        load_plain(stream(content), "x")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda state, deep: (*state[:2], deep, *state[3:]), "an array without an element type"),
        (lambda state, deep: (1, deep, *state[2:]), "an array without a shape"),
        (lambda state, deep: (1, ([None], 10**12), *state[2:]), "an array without a shape"),
        (lambda state, deep: (*state[:4], deep), "an array without its bytes"),
    ],
)
def test_nested_content_in_place_of_an_array_is_refused_at_once(spoil, message):
    state = np.zeros(3, np.float32).__reduce__()[2]
    with pytest.raises(MdtkError, match=f"x: refused, it holds {message}"):
        load_plain(stream(Reduced(*np.zeros(3).__reduce__()[:2], spoil(state, nested(tuple, 10)))), "x")


@pytest.mark.parametrize(
    ("name", "arguments", "state", "message"),
    [
        (np.dtype, (nested(tuple, 10), False, True), None, "an element type without a code"),
        (np.dtype, ("f4", False, True), (3, nested(list, 60), None, None, None, -1, -1, 0), "an unknown byte order"),
        (codecs.encode, ("a", nested(tuple, 10)), None, "text in an encoding other than latin1"),
    ],
)
def test_nested_content_in_place_of_text_is_refused_at_once(name, arguments, state, message):
    content = Reduced(name, arguments) if state is None else Reduced(name, arguments, state)
    with pytest.raises(MdtkError, match=f"x: refused, it holds {message}"):
        load_plain(stream(content), "x")


@pytest.mark.parametrize("length", [0, 20, 150, 300])
def test_truncated_pickle(length):
    data = pickle.dumps(object_array(DEPTHS), protocol=3)
    with pytest.raises(MdtkError, match="x: cannot be read, a damaged pickle"):
        load_array_of_arrays(io.BytesIO(data[:length]), "x")


def test_bytes_that_do_not_fill_the_shape():
    data = pickle.dumps(object_array([np.zeros((2, 3), np.float32)]), protocol=3)
    assert data.count(b"K\x02K\x03") == 1  # the shape (2, 3)
    with pytest.raises(MdtkError, match="cannot be read"):
        load_array_of_arrays(io.BytesIO(data.replace(b"K\x02K\x03", struct.pack("4B", 75, 200, 75, 200))), "x")

"""An unpickler that builds numpy arrays, containers and plain values, and nothing else.

Paddle's files are pickles, and a pickle can name any function to call. Here every name that a pickle may use stands
for a small stand-in of this module; numpy's own reconstruction code never sees the file's bytes.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from mdtk.errors import MdtkError

NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


class _DType:
    """Stands for `numpy.dtype`: a number's format, little-endian unless its state says otherwise."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if code not in NUMBERS:
            raise pickle.UnpicklingError(f"arrays of {code!r} are not numbers")
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"byte order {order!r}")
        self.order = "<" if order in "|=" else order


class _NdarrayType:
    """Stands for the class `numpy.ndarray`, which only `_reconstruct` is given."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("numpy.ndarray is used as an object")


class _Array:
    """Stands for `numpy.core.multiarray._reconstruct`: an empty array, filled by its state."""

    __slots__ = ("value",)

    def __init__(self, subtype: type, shape: tuple, code: bytes) -> None:
        if subtype is not _NdarrayType:
            raise pickle.UnpicklingError("an array of an unknown class")
        self.value: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _DType) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array whose content is not numbers")
        flat = np.frombuffer(data, dtype=np.dtype(dtype.order + dtype.code))
        self.value = flat.reshape(shape, order="F" if fortran else "C").astype(dtype.code)


class _Latin1:
    """Stands for `_codecs.encode`, by which protocol 2 stores bytes as text."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"text in {encoding!r}")
        return text.encode("latin1")

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("_codecs.encode is used as an object")


ALLOWED = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _NdarrayType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _Latin1,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside the file")


def read_arrays_pickle(path: Path) -> Any:
    """The object in the pickle `path`, made of dicts, lists, tuples, plain values and numpy arrays of numbers.

    Errors: `MdtkError` for a pickle that names anything else, and for a damaged file. Nothing of it is executed.
    """
    try:
        with path.open("rb") as file:
            return _plain(_Unpickler(file, encoding="latin1").load())
    except pickle.UnpicklingError as error:
        raise MdtkError(
            f"{path}: refused, it is no plain parameter file: {error}; do not trust it, or fetch it again"
        ) from error
    except (
        EOFError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        MemoryError,
        OverflowError,
    ) as error:
        raise MdtkError(
            f"{path}: a damaged parameter file ({type(error).__name__}: {error}); fetch it again"
        ) from error


def _plain(value: Any) -> Any:
    """`value` with its stand-ins replaced by numpy arrays."""
    if isinstance(value, _Array):
        if value.value is None:
            raise pickle.UnpicklingError("an array without content")
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")

"""Reads pickles of plain values, containers and numeric numpy arrays, and runs nothing that a pickle names.

Published ground truth (`gt_depths.npz`) and Paddle's checkpoints are pickles, and a pickle can name any function to
call. Here every name that one may use stands for a small stand-in of this module, which only keeps what it is given;
the numbers are then read from the bytes kept. numpy's own reconstruction never sees them; any other name is refused.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import IO, Any, TypeVar

import numpy as np

from mdtk.core.errors import MdtkError
from mdtk.core.pickle_bounds import check_pickle

T = TypeVar("T")
NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
_UNFINISHED = object()  # marks a container whose content is being converted
_DAMAGES = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    MemoryError,
    OverflowError,
)


class _Refused(pickle.UnpicklingError):
    """The pickle holds something that is not plain; the message says what."""


# Each stand-in has a __setstate__, so that no pickle can set attributes of the class in another way. What should be
# text is checked to be text before it is compared, hashed or shown: tuples nested by a few bytes take years to hash.


class _DType:
    """Stands for `numpy.dtype`: keeps the code of an element type, such as "f4", and its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        if not isinstance(code, str):
            raise _Refused("an element type without a code")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, subtype, names, fields = state[1:5]
        if subtype is not None or names is not None or fields is not None:
            raise _Refused("a structured element type")
        if not isinstance(order, str) or order not in ("<", ">", "|", "="):
            raise _Refused("an unknown byte order")
        self.order = order

    def numeric(self) -> np.dtype[Any]:
        """The numpy type, which must be one of numbers or truth values."""
        if self.code not in NUMBERS:
            raise _Refused(f"elements of type {self.code!r}")
        return np.dtype(f"{self.order}{self.code}")


class _NdarrayType:
    """Stands for the class `numpy.ndarray`, which a pickle may only pass to `_Array`."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise _Refused("numpy.ndarray as an object")


class _Array:
    """Stands for `numpy.core.multiarray._reconstruct`: keeps the shape, the element type and the bytes of an array."""

    __slots__ = ("state",)

    def __init__(self, subtype: type, shape: tuple[int, ...], code: bytes) -> None:
        if subtype is not _NdarrayType:
            raise _Refused("an array of an unknown class")
        self.state: tuple[tuple[int, ...], _DType, bool, Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _DType):
            raise _Refused("an array without an element type")
        if not isinstance(shape, tuple) or not all(isinstance(side, int) for side in shape):
            raise _Refused("an array without a shape")
        self.state = shape, dtype, bool(fortran), data

    def numbers(self) -> np.ndarray:
        """The numeric array in native byte order; it may be a read-only view of the bytes in the pickle."""
        shape, dtype, fortran, data = self._parts()
        numeric = dtype.numeric()
        if isinstance(data, str):
            data = data.encode("latin1")  # bytes of Python 2
        if not isinstance(data, bytes):
            raise _Refused("an array without its bytes")
        array = np.frombuffer(data, numeric).reshape(shape, order="F" if fortran else "C")
        return array.astype(numeric.newbyteorder("="), copy=False)

    def elements(self) -> list[_Array]:
        """The elements of an object array of arrays, in order."""
        shape, dtype, _, data = self._parts()
        if dtype.code[:1] != "O" or not isinstance(data, list) or len(data) != math.prod(shape):
            raise _Refused("no array of arrays")
        if not all(isinstance(element, _Array) for element in data):
            raise _Refused("an element that is no array")
        return data

    def _parts(self) -> tuple[tuple[int, ...], _DType, bool, Any]:
        if self.state is None:
            raise _Refused("an array without content")
        return self.state


class _Latin1:
    """Its one instance stands for the function `_codecs.encode`, by which protocol 2 stores bytes as text."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if not isinstance(text, str) or not isinstance(encoding, str) or encoding != "latin1":
            raise _Refused("text in an encoding other than latin1")
        return text.encode("latin1")

    def __setstate__(self, state: Any) -> None:
        raise _Refused("_codecs.encode as an object")


_ALLOWED = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _NdarrayType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _Latin1(),
    ("collections", "OrderedDict"): dict,  # a dict keeps its order too, and takes no attributes
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _Refused(f"the name {module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("references to objects outside the file")


def load_plain(file: IO[bytes], origin: str) -> Any:
    """The object pickled in `file`: dicts, lists, tuples, plain values, and numpy arrays of numbers (maybe read-only).

    `origin` names the file in messages. Raises `MdtkError` for a pickle that holds anything else, or is damaged.
    """
    return _load(file, origin, lambda value: _plain(value, {}))


def load_array_of_arrays(file: IO[bytes], origin: str) -> list[np.ndarray]:
    """The arrays of real numbers (maybe read-only) in the one pickled object array that `file` holds.

    `origin` names the file in messages. Raises `MdtkError` for a pickle that holds anything else, or is damaged.
    """
    return _load(file, origin, _real_arrays)


def _load(file: IO[bytes], origin: str, convert: Callable[[Any], T]) -> T:
    try:
        start = file.tell()
        check_pickle(file, origin)
        file.seek(start)
        return convert(_Unpickler(file, encoding="latin1").load())
    except _Refused as error:
        raise MdtkError(
            f"{origin}: refused, it holds {error}, not only plain values and numbers; "
            "do not trust it, or fetch it again"
        ) from error
    except _DAMAGES as error:
        raise MdtkError(
            f"{origin}: cannot be read, a damaged pickle ({type(error).__name__}: {error}); fetch it again"
        ) from error


def _plain(value: Any, known: dict[int, tuple[Any, Any]]) -> Any:
    """`value` with its stand-ins replaced by numpy arrays; an object that it holds several times is converted once.

    `known` maps the id of each array and container met so far to (source, result); it keeps the sources alive, so
    that no other object can get their ids.
    """
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if not isinstance(value, (_Array, dict, list, tuple)):
        raise _Refused(f"a {type(value).__name__}")
    if id(value) not in known:
        known[id(value)] = value, _UNFINISHED
        known[id(value)] = value, _converted(value, known)
    result = known[id(value)][1]
    if result is _UNFINISHED:
        raise _Refused("a container that holds itself")
    return result


def _converted(value: _Array | dict[Any, Any] | list[Any] | tuple[Any, ...], known: dict[int, tuple[Any, Any]]) -> Any:
    if isinstance(value, _Array):
        return value.numbers()
    if isinstance(value, dict):
        return {key: _plain(item, known) for key, item in value.items()}
    return type(value)(_plain(item, known) for item in value)


def _real_arrays(value: Any) -> list[np.ndarray]:
    """The arrays of a pickled object array; truth values are refused."""
    if not isinstance(value, _Array):
        raise _Refused(f"a {type(value).__name__} instead of an array")
    arrays = [element.numbers() for element in value.elements()]
    if any(array.dtype.kind == "b" for array in arrays):
        raise _Refused("an array of truth values")
    return arrays

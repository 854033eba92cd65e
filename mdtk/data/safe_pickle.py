"""Reads a pickled numpy object array of plain numeric arrays without running anything that the pickle names.

Published ground truth (`gt_depths.npz`) is such a pickle. Its three names, `_reconstruct`, `ndarray` and `dtype`, are
answered by classes of this module that only keep what they are given; the numbers are then read from the bytes kept.
Every other name, and every type of element other than real numbers, is refused.
"""

from __future__ import annotations

import math
import pickle
from typing import BinaryIO

import numpy as np

from mdtk.errors import MdtkError


class _NdarrayName:
    """What the pickle's name `numpy.ndarray` becomes: an argument of `_ArrayState`, nothing more."""


class _DtypeState:
    """A pickled element type: its code, such as "f4", and byte order."""

    def __init__(self, code: object, *_flags: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        self.order = "="

    def __setstate__(self, state: tuple) -> None:
        order, subtype, names, fields = state[1:5]
        if subtype is not None or names is not None or fields is not None:
            raise pickle.UnpicklingError("a structured element type")
        self.order = order.decode("ascii") if isinstance(order, bytes) else order

    def is_object(self) -> bool:
        return isinstance(self.code, str) and self.code[:1] == "O"

    def numeric(self) -> np.dtype:
        """The numpy type; only real numbers are let through."""
        if not isinstance(self.code, str) or self.code[:1] not in "fiu" or self.order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"elements of type {self.code!r}")
        return np.dtype(self.code).newbyteorder(self.order)


class _ArrayState:
    """A pickled array before it is one: shape, element type, and its bytes or its list of elements."""

    def __init__(self, *_arguments: object) -> None:
        self.state: tuple = ()

    def __setstate__(self, state: tuple) -> None:
        self.state = state[-4:]  # an optional version comes before shape, type, order, data

    def array(self) -> np.ndarray:
        """The numeric array (read-only)."""
        shape, dtype, fortran, data = self._parts()
        if isinstance(data, str):
            data = data.encode("latin-1")  # bytes of Python 2
        if not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array without its bytes")
        return np.frombuffer(data, dtype.numeric()).reshape(shape, order="F" if fortran else "C")

    def elements(self) -> list[_ArrayState]:
        """The arrays of an object array, in order."""
        shape, dtype, _, data = self._parts()
        if not dtype.is_object() or not isinstance(data, list) or len(data) != math.prod(shape):
            raise pickle.UnpicklingError("no array of arrays")
        if not all(isinstance(element, _ArrayState) for element in data):
            raise pickle.UnpicklingError("an element that is no array")
        return data

    def _parts(self) -> tuple:
        if len(self.state) != 4 or not isinstance(self.state[1], _DtypeState):
            raise pickle.UnpicklingError("an array without its state")
        return self.state


def _reconstruct(*_arguments: object) -> _ArrayState:
    return _ArrayState()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Protocol 2 writes bytes as `_codecs.encode(text, "latin1")`."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("an encoding other than latin1")
    return text.encode("latin-1")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _DtypeState,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"the name {module}.{name}")
        return _ALLOWED[module, name]


def load_arrays(file: BinaryIO, origin: str) -> list[np.ndarray]:
    """The numeric arrays of the pickled object array in `file`; `origin` names it in errors."""
    try:
        loaded = _Unpickler(file, encoding="latin1").load()
        if not isinstance(loaded, _ArrayState):
            raise pickle.UnpicklingError(f"a {type(loaded).__name__} instead of an array")
        return [element.array() for element in loaded.elements()]
    except pickle.UnpicklingError as error:
        raise MdtkError(f"{origin}: refused, the pickle holds {error}; only arrays of numbers are read") from error
    except (EOFError, ValueError, TypeError, IndexError, KeyError, AttributeError, UnicodeError) as error:
        raise MdtkError(f"{origin}: cannot be read ({error}); it is damaged or no array of depth maps") from error

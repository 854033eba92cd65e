"""Bounds what a pickle can cost, before anything in it is built.

Some hundred bytes are enough to run for years or to take all memory: tuples that hold one tuple twice, forty levels
deep, are hashed 2^40 times as a key; a memo's index of two thousand million reserves as many places; and a tuple of a
million levels overflows the stack when it is hashed. The instructions are followed here with a number for each object.
"""

from __future__ import annotations

import pickletools
from typing import IO

from mdtk.core.errors import MdtkError

MOST_OPERATIONS = 2_000_000  # a checkpoint of a large network with its optimiser has 300 thousand
MOST_PARTS = 20_000  # of one tuple, with each part counted as often as it is repeated
MOST_HASHED = 20_000_000  # parts of all keys together
DEEPEST = 100  # levels of tuples in tuples
_SLACK = 1000  # a memo is numbered one by one; indices may be this far ahead

_CODES = {code.code: code for code in pickletools.opcodes}
_GROWING = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "FROZENSET"}
_GROWING |= {"BINPERSID", "STACK_GLOBAL"}
_FILLING = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
_PUTS, _GETS = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}

_CODES = {code.code: code for code in pickletools.opcodes}


class _Object:
    """What is known of an object: how many parts a hash of it goes through, how deep, and how many its lists hold."""

    __slots__ = ("depth", "listed", "parts")

    def __init__(self, parts: int = 1, depth: int = 0, listed: int = 0) -> None:
        self.parts, self.depth, self.listed = parts, depth, listed


_MARK = _Object()


class _Machine:
    """Follows a pickle's instructions. `run` raises `MdtkError` at the first that goes beyond a bound."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.stack: list[_Object] = []
        self.memo: dict[int, _Object] = {}
        self.operations = self.hashed = 0

    def run(self, file: IO[bytes]) -> None:
        code = None
        while code is None or code.name != "STOP":
            code = _CODES[file.read(1).decode("latin1")]
            self.operations += 1
            if self.operations > MOST_OPERATIONS:
                self._refuse(f"more than {MOST_OPERATIONS} instructions")
            if code.name == "STRING":
                file.readline()  # text of Python 2, which may be bytes: pickletools takes ASCII only
                self.stack.append(_Object())
            else:
                self._step(code, None if code.arg is None else code.arg.reader(file))

    def _step(self, code: pickletools.OpcodeInfo, argument: object) -> None:
        name = code.name
        if name in _PUTS or name == "MEMOIZE":
            index = len(self.memo) if name == "MEMOIZE" else int(str(argument))
            if not 0 <= index <= self.operations + _SLACK:
                self._refuse(f"a memo of {index} places")
            self.memo[index] = self.stack[-1]
        elif name in _GETS:
            self.stack.append(self.memo[int(str(argument))])
        elif name == "DUP":
            self.stack.append(self.stack[-1])
        elif name in ("POP", "STOP"):
            self.stack.pop()
        elif name == "POP_MARK":
            self._pop_mark()
        elif name == "MARK":
            self.stack.append(_MARK)
        elif name in _FILLING:
            self._fill(name)
        elif code.stack_after:
            self._make(name, self._taken(code))

    def _taken(self, code: pickletools.OpcodeInfo) -> list[_Object]:
        if pickletools.stackslice in code.stack_before:
            return self._pop_mark()
        return [self.stack.pop() for _ in code.stack_before]

    def _pop_mark(self) -> list[_Object]:
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _make(self, name: str, items: list[_Object]) -> None:
        """Pushes what an instruction makes of `items`. A list cannot be hashed: it counts as one part of a tuple."""
        parts, listed = sum(item.parts for item in items), min(sum(item.listed for item in items), MOST_HASHED)
        if name not in _GROWING:
            self.stack.append(_Object(listed=parts + listed))
            return
        depth = 1 + max((item.depth for item in items), default=0)
        if depth > DEEPEST:
            self._refuse(f"tuples nested more than {DEEPEST} levels deep")
        if name in ("FROZENSET", "REDUCE"):  # a set, a dictionary or a tuple may be made of the arguments' lists
            self._hash(items)
            self.stack.append(_Object(1 + parts + listed, depth))
            return
        if parts > MOST_PARTS:
            self._refuse(f"a tuple of more than {MOST_PARTS} parts")
        self.stack.append(_Object(1 + parts, depth, listed))

    def _fill(self, name: str) -> None:
        """Adds the upper items to the container below them."""
        count = {"APPEND": 1, "BUILD": 1, "SETITEM": 2}.get(name)
        items = self._pop_mark() if count is None else [self.stack.pop() for _ in range(count)][::-1]
        if name in ("SETITEM", "SETITEMS"):
            self._hash(items[::2])
        elif name == "ADDITEMS":
            self._hash(items)
        target = self.stack[-1]
        target.listed = min(target.listed + sum(item.parts + item.listed for item in items), MOST_HASHED)

    def _hash(self, keys: list[_Object]) -> None:
        self.hashed += sum(key.parts + key.listed for key in keys)
        if self.hashed > MOST_HASHED:
            self._refuse(f"keys of more than {MOST_HASHED} parts")

    def _refuse(self, what: str) -> None:
        raise MdtkError(f"{self.origin}: refused, its pickle holds {what}; do not trust it, or fetch it again")


def check_pickle(file: IO[bytes], origin: str) -> None:
    """Reads the one pickle that begins at the file's position, to its end. `origin` names the file in messages.

    Raises `MdtkError` for a pickle that would take too long or too much memory, and what `pickletools` raises
    (ValueError, LookupError …) for a damaged one; call it inside `guard.reading`.
    """
    _Machine(origin).run(file)

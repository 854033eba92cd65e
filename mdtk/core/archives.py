"""Archives of strangers: the plain files in a .zip or a .tar, with a bound on what they may become.

A name in an archive never is a path here: the caller chooses where a member goes. Links and devices are passed over.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mdtk.core.arrays import check_member
from mdtk.core.errors import MdtkError
from mdtk.core.guard import reading

RATIO = 20  # how much larger than the archive its content may be; images hardly shrink, text does by 5
FLOOR = 64 << 20  # bytes that any archive may unpack to
LARGEST = 4 << 30  # bytes of one member, which is read whole
MOST = 2_000_000  # members; the longest published archive has 700,000
LONGEST_HEADER = 64 << 10  # bytes that a .tar may say of one member beside its header: a long name, times, an owner
_SAID = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_ADVICE = "delete it and fetch it again"


@dataclass(frozen=True)
class Member:
    """A plain file in an archive. `read` gives its bytes while the archive is gone through."""

    name: str
    size: int  # bytes
    read: Callable[[], bytes]


def members(path: Path) -> Iterator[Member]:
    """The plain files in a .zip, .tar, .tar.gz or .tgz, in its order.

    Raises `MdtkError` for another kind of file, a damaged one, and for one that claims to unpack to more than `RATIO`
    times its size.
    """
    with reading(path, "archive", _ADVICE):
        limit, total, count = max(FLOOR, RATIO * path.stat().st_size), 0, 0
        found = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path, limit)
    while True:
        with reading(path, "archive", _ADVICE):
            member = next(found, None)
        if member is None:
            return
        total, count = total + member.size, count + 1
        if total > limit or member.size > LARGEST or count > MOST:
            raise MdtkError(
                f"{path}: refused, it would unpack to more than {RATIO} times its size, or to a file of "
                f"{member.size / 1e9:.1f} GB; it is not the published archive: {_ADVICE}"
            )
        yield member


def _guarded(path: Path, read: Callable[[], bytes]) -> Callable[[], bytes]:
    def inner() -> bytes:
        with reading(path, "archive", _ADVICE):
            return read()

    return inner


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():  # zipfile reads no more than the claimed size, and compares the CRC-32
                check_member(info, str(path))
                yield Member(info.filename, info.file_size, _guarded(path, partial(archive.read, info)))


class _Header(tarfile.TarInfo):
    """The header of a member. tarfile reads whatever size an extension claims, and lists of holes, into memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:  # the entry point that tarfile names for this
        if (self.type in _SAID and self.size > LONGEST_HEADER) or self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.TarError(f"a header of {self.size} bytes, or a file with holes")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise tarfile.TarError("a file with holes")


def _tar_members(path: Path, limit: int) -> Iterator[Member]:
    with tarfile.open(path, "r|*", tarinfo=_Header) as archive:
        for info in archive:
            if archive.offset > limit:  # what is passed over is unpacked too
                raise MdtkError(f"{path}: refused, it would unpack to more than {RATIO} times its size; {_ADVICE}")
            if info.isfile() and not info.issparse():
                yield Member(info.name, info.size, _guarded(path, partial(_whole, archive, info)))


def _whole(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    content = file.read() if file else b""
    if len(content) < info.size:
        raise EOFError(f"{info.name} ends early")
    return content

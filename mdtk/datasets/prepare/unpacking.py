"""Fetches the archives of a published dataset, checks them, and puts their files below the data root."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from mdtk.core.archives import Member, members
from mdtk.core.download import check_sum, download, fetch_text
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, inside, write_text
from mdtk.core.guard import reading
from mdtk.datasets.image_files import FORMATS, MOST_PIXELS
from mdtk.datasets.prepare.download_table import Download

ARCHIVES = (".zip", ".tar", ".gz", ".tgz")
# As `convert -quality 92 -sampling-factor 2x2,1x1,1x1`, on which Monodepth2's numbers were made: the same pixels
JPEG: dict[str, Any] = {"format": "JPEG", "quality": 92, "subsampling": "4:2:0", "optimize": True}
TRIES = 10  # connections for one archive, before the user has to type again
_CHUNK = 64  # files that are held in memory, and written side by side


@dataclass(frozen=True)
class Order:
    """What is wanted: the lists of a dataset, and where."""

    row: Download
    names: Sequence[str]
    root: Path
    folder: Path  # of the archives
    jpeg: bool = False
    keep_archives: bool = False
    again: bool = False  # what was unpacked before is unpacked once more
    groups: frozenset[str] | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", self.row.groups(self.names, self.root))

    def archives(self) -> list[str]:
        """The archives that are needed, as paths below the row's address."""
        return self.row.needed(self.names, self.groups)

    @property
    def shared(self) -> bool:
        """Whether an archive may hold files of other lists too."""
        return self.groups is not None and not self.row.per_group

    def done(self, archive: str) -> bool:
        """Whether the archive's files are below the root, as an earlier run noted."""
        if self.again:
            return False
        if Path(archive).suffix not in ARCHIVES:
            return (self.root / Path(archive).name).is_file()
        note = self._note(archive)
        held = note.read_text(encoding="utf-8").split() if note.is_file() else None
        return held is not None and (not self.shared or set(self.groups or ()) <= set(held))

    def write_done(self, archive: str) -> None:
        """Notes that the files of the archive are below the root."""
        write_text(self._note(archive), "".join(f"{group}\n" for group in sorted(self.groups or ())))

    def _note(self, archive: str) -> Path:
        return self.folder / f"{Path(archive).name}.done"


def fetch_order(order: Order, say: Callable[[str], None]) -> int:
    """Fetches, checks and unpacks what is missing, and gives the number of archives; `say` tells of each.

    Whatever is cut off goes on with the next call: a download where it was, an archive with its first file that is not
    there. Raises `MdtkError` for what cannot be fetched (a dataset without addresses: with what to click), a wrong
    checksum, and an archive that is damaged or no archive of this dataset.
    """
    wanted = [name for name in order.archives() if not order.done(name)]
    if absent := [name for name in wanted if not order.row.url(name) and not (order.folder / name).is_file()]:
        steps = order.row.steps.format(page=order.row.page, archives=", ".join(absent))
        raise MdtkError(
            f"{order.row.name} cannot be fetched without an account: {steps}, put them into {order.folder} (or name "
            "their folder with --archives), and run the same command again"
        )
    for number, name in enumerate(wanted, 1):
        path = order.folder / Path(name).name
        say(f"{number}/{len(wanted)} {path.name}")
        if not path.is_file():
            download(order.row.url(name), path, TRIES)
        check_sum(path, _published_sum(order.row, name))
        _place(order, name, path, say)
    if order.jpeg and order.row.images:
        _convert_old(order)
    return len(wanted)


def _published_sum(row: Download, name: str) -> str:
    if row.checksum != "md5" or not row.url(name):
        return ""
    words = fetch_text(row.url(name).removesuffix(Path(name).suffix) + ".md5").split()
    return f"md5:{words[0].lower()}" if words and re.fullmatch(r"[0-9a-fA-F]{32}", words[0]) else ""


def _place(order: Order, name: str, path: Path, say: Callable[[str], None]) -> None:
    """Puts an archive's files below the root, and removes the archive where nothing else can come from it."""
    order.root.mkdir(parents=True, exist_ok=True)
    if path.suffix not in ARCHIVES:
        os.replace(path, order.root / path.name)
        return
    placed, left = unpack(order, path)
    if not placed:
        raise MdtkError(f"{path} holds no file of {order.row.name}; delete it and fetch it again from {order.row.page}")
    say(f"  {placed} files below {order.root}, {left} left out")
    order.write_done(name)
    own = not order.keep_archives and order.row.address
    if own and not order.shared:
        path.unlink()
    elif own:
        say(f"  {path} is kept, since other lists need files of it; delete it when they do not matter")


def unpack(order: Order, path: Path) -> tuple[int, int]:
    """Writes the needed files of an archive that are not there yet; the numbers of needed and of other members.

    Raises `MdtkError` for a damaged archive and for a place outside the root.
    """
    placed = left = 0
    jobs: list[tuple[Path, bytes, bool]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for member in members(path):
            place = order.row.place(member.name, order.groups)
            left, placed = left + (not place), placed + bool(place)
            if not place:
                continue
            target = inside(order.root, order.root / place, path.name, links=True)
            as_jpeg = order.jpeg and bool(order.row.images) and re.fullmatch(order.row.images, place) is not None
            if not _there(target, member, as_jpeg):
                jobs.append((target, member.read(), as_jpeg))
            if len(jobs) == _CHUNK:
                list(pool.map(_write, *zip(*jobs, strict=True)))
                jobs = []
        list(pool.map(_write, *zip(*jobs, strict=True)))
    return placed, left


def _there(target: Path, member: Member, as_jpeg: bool) -> bool:
    """Whether the file is there already; files are written whole or not at all."""
    if target.with_suffix(".jpg").is_file() and as_jpeg:
        return True
    return target.is_file() and target.stat().st_size == member.size


def _write(target: Path, content: bytes, as_jpeg: bool) -> None:
    target = target.with_suffix(".jpg") if as_jpeg else target
    with atomic_write(target) as temporary:
        temporary.write_bytes(jpeg_bytes(content, target) if as_jpeg else content)


def jpeg_bytes(content: bytes, path: Path) -> bytes:
    """An image file's bytes as the JPEG that published results were made on. `path` names it in errors."""
    out = io.BytesIO()
    with reading(path, "image", "delete the archive and fetch it again"):
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are too many")
        image.convert("RGB").save(out, **JPEG)
    return out.getvalue()


def _convert_old(order: Order) -> None:
    """Turns the PNGs that an earlier fetch without --jpeg left into JPEGs."""
    old = (path for path in order.root.rglob("*.png") if re.fullmatch(order.row.images, _below(order.root, path)))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_convert, old))


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _convert(path: Path) -> None:
    if not path.with_suffix(".jpg").is_file():
        _write(path, path.read_bytes(), True)
    path.unlink()

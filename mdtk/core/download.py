"""Files from a server: fetched with resumption, and compared with a checksum."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text

BLOCK = 1 << 18  # bytes
ANSWER = 15.0  # seconds until the first answer of a server
PATIENCE = 30  # seconds without an answer, or without another byte
_SHORT = 1 << 20  # bytes of a file that is read as text


class ConnectionLost(MdtkError):
    """The server was there and the connection ended; what came is kept, and another try goes on from it."""


def download(url: str, path: Path, tries: int = 1) -> None:
    """Downloads `url` to `path`; what an earlier attempt left in <path>.part is kept and completed.

    A connection that ends early is opened again up to `tries` times in all. Raises `MdtkError` that says where to put
    the file by hand, without a network, for an answer of the server that is no file, and for a disk too small.
    """
    for left in reversed(range(tries)):
        try:
            return _download(url, path)
        except ConnectionLost:
            if not left:
                raise


def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            resumed = answer.status == 206
            have = have if resumed else 0
            if answer.headers.get_content_type() == "text/html" and path.suffix != ".html":
                raise MdtkError(
                    f"{url} answers with a web page instead of the file; open it in a browser to see what it asks, "
                    f"and put the file to {path}"
                )
            total = int(answer.headers.get("Content-Length", 0)) + have
            _check_space(path, total - have)
            _receive(answer, part, "ab" if resumed else "wb", total, have)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send: the part is whole
            os.replace(part, path)
            return
        raise MdtkError(f"{url} answers {error.code} {error.reason}; fetch it by hand and put it to {path}") from error
    except ConnectionError as error:
        raise ConnectionLost(f"{url}: the connection ended ({error}); run the same command to go on") from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # of the network, of what the server sends
        reason = getattr(error, "reason", error)
        raise MdtkError(
            f"{url} cannot be fetched ({reason}); run the same command again to go on, or put the file to {path}"
        ) from error
    if total and part.stat().st_size < total:
        have = part.stat().st_size
        raise ConnectionLost(
            f"{url}: the connection ended after {have} of {total} bytes; run the same command to go on"
        )
    os.replace(part, path)


def _check_space(path: Path, wanted: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if wanted > free:
        raise MdtkError(
            f"{path.parent} has {free / 1e9:.1f} GB free, and {path.name} still needs {wanted / 1e9:.1f} GB; make room"
        )


def _receive(answer: Any, part: Path, mode: str, total: int, have: int) -> None:
    name = part.name.removesuffix(".part")
    bar = tqdm(total=total or None, initial=have, unit="B", unit_scale=True, disable=None, desc=name)
    with part.open(mode) as file, bar:
        while block := answer.read(BLOCK):
            file.write(block)
            bar.update(len(block))


def why_silent(address: str, seconds: float = ANSWER) -> str:
    """Why the server of an address does not answer; an empty text if it does, be it with an error."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=seconds):
            return ""
    except urllib.error.HTTPError:
        return ""
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error))


def fetch_text(url: str) -> str:
    """The text of a small file on a server, as of a checksum; an empty text if it cannot be had."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return str(answer.read(_SHORT).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return ""


def check_sum(path: Path, checksum: str = "") -> None:
    """Compares a file with its published checksum, "md5:…" or "sha1:…"; an empty one: with the first fetch.

    The sha256 of the first fetch is written beside the file. Raises `MdtkError` for another one.
    """
    kind, _, wanted = checksum.partition(":")
    pinned = path.with_name(path.name + ".sha256")
    if not wanted and pinned.is_file():
        kind, wanted = "sha256", pinned.read_text(encoding="utf-8").strip()
    found = digest(path, kind or "sha256")
    if not wanted:
        write_text(pinned, f"{found}\n")
    elif found != wanted:
        first = "" if checksum else f"; if the first one was wrong, delete {pinned.name} beside it too"
        raise MdtkError(f"{path} has {kind} {found}, not {wanted}; delete it and fetch it again{first}")


def digest(path: Path, kind: str = "sha256") -> str:
    """The checksum of a file, in hexadecimal."""
    found = hashlib.new(kind)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()

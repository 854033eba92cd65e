"""Published checkpoints by name: what there is, and a fetch with resumption and checksum into a cache.

The table is `published.yaml` beside this file. The cache is the folder that the environment variable MDTK_CACHE names,
else ~/.cache/mdtk. MDTK_MODELS_URL replaces the server of every address, for mirrors.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import http.client
import os
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from tqdm import tqdm

from mdtk.core.arrays import check_member
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, write_text
from mdtk.core.guard import reading

TABLE = Path(__file__).with_name("published.yaml")
BLOCK = 1 << 18  # bytes
PATIENCE = 30  # seconds without an answer, or without another byte


@dataclass(frozen=True)
class PublishedModel:
    """A row of the table."""

    name: str
    origin: str
    modality: str
    size: str  # width x height of the network's input
    licence: str
    file: str  # its name in the cache
    address: str = ""  # empty: handed out on `page` only
    page: str = ""
    published: str = ""
    checksum: str = ""  # "md5:…" or "sha1:…"

    @property
    def url(self) -> str:
        """The address, at the mirror of MDTK_MODELS_URL where there is one."""
        mirror = os.environ.get("MDTK_MODELS_URL", "")
        return f"{mirror.rstrip('/')}/{urllib.parse.quote(self.file)}" if mirror else self.address


def cache_home() -> Path:
    """The folder of fetched and converted checkpoints."""
    return Path(os.environ.get("MDTK_CACHE") or Path.home() / ".cache" / "mdtk")


@functools.cache
def published_models() -> Mapping[str, PublishedModel]:
    """All rows of the table by name."""
    found: dict[str, PublishedModel] = {}
    for origin, group in yaml.safe_load(TABLE.read_text(encoding="utf-8")).items():
        for name, row in group["models"].items():
            found[name] = _row(origin, group, name, row)
    return found


def _row(origin: str, group: Mapping[str, Any], name: str, row: Mapping[str, Any]) -> PublishedModel:
    pattern = group.get("address", "")
    shared = {"licence": group["licence"], "page": group.get("page", ""), "file": f"{name}.zip"}
    return PublishedModel(name, origin, address=pattern.format(urllib.parse.quote(name)), **{**shared, **row})


def find_model(name: str) -> PublishedModel:
    """The row `name`. Raises `MdtkError` with the nearest name."""
    models = published_models()
    if name not in models:
        near = difflib.get_close_matches(name, list(models), n=1, cutoff=0.0)[0]
        raise MdtkError(
            f"no file and no published checkpoint is called {name}; the nearest is {near}, and `mdtk models` lists all"
        )
    return models[name]


def fetched(model: PublishedModel) -> bool:
    """Whether the published file is in the cache."""
    return (cache_home() / model.file).is_file()


def fetch(model: PublishedModel) -> Path:
    """The published checkpoint in the cache, a file or a folder; downloaded, checked and unpacked where needed.

    An interrupted download goes on where it was. Raises `MdtkError` that says what to fetch and where to put it, when
    there is no network, no address, or another checksum.
    """
    path = cache_home() / model.file
    if not path.is_file():
        if not model.url:
            raise MdtkError(
                f"{model.name} has no fixed address: fetch {model.file} ({model.page}) and put it to {path}"
            )
        print(f"{model.name}: licence: {model.licence}", file=sys.stderr)
        download(model.url, path)
    check_sum(path, model)
    return _unpacked(path) if path.suffix == ".zip" else path


def download(url: str, path: Path) -> None:
    """Downloads `url` to `path`; what an earlier attempt left in <path>.part is kept and completed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            resumed = answer.status == 206
            total = int(answer.headers.get("Content-Length", 0)) + (have if resumed else 0)
            _receive(answer, part, "ab" if resumed else "wb", total, have if resumed else 0)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send: the part is whole
            os.replace(part, path)
            return
        raise MdtkError(f"{url} answers {error.code} {error.reason}; fetch it by hand and put it to {path}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # of the network, of what the server sends
        reason = getattr(error, "reason", error)
        raise MdtkError(
            f"{url} cannot be fetched ({reason}); run the same command again to go on, or put the file to {path}"
        ) from error
    if total and part.stat().st_size < total:
        have = part.stat().st_size
        raise MdtkError(f"{url}: the connection ended after {have} of {total} bytes; run the same command to go on")
    os.replace(part, path)


def _receive(answer: Any, part: Path, mode: str, total: int, have: int) -> None:
    bar = tqdm(total=total or None, initial=have, unit="B", unit_scale=True, disable=None)
    with part.open(mode) as file, bar:
        while block := answer.read(BLOCK):
            file.write(block)
            bar.update(len(block))


def check_sum(path: Path, model: PublishedModel) -> None:
    """Compares with the published checksum, or with the sha256 pinned at the first fetch, which this writes."""
    kind, _, wanted = model.checksum.partition(":")
    pinned = path.with_name(path.name + ".sha256")
    if not wanted and pinned.is_file():
        kind, wanted = "sha256", pinned.read_text(encoding="utf-8").strip()
    found = _digest(path, kind or "sha256")
    if not wanted:
        write_text(pinned, f"{found}\n")
    elif found != wanted:
        raise MdtkError(f"{path} has {kind} {found}, not {wanted}; delete it and fetch it again")


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _unpacked(archive: Path) -> Path:
    """The folder with the archive's weights, beside it; members are taken by their bare names, so none escapes."""
    folder = archive.with_suffix("")
    if (folder / ".complete").is_file():
        return folder
    with (
        reading(archive, "zip archive of weights", "delete it and fetch it again"),
        zipfile.ZipFile(archive) as content,
    ):
        for member in content.infolist():
            name = PurePosixPath(member.filename.replace("\\", "/")).name
            if member.is_dir() or not name.endswith((".pth", ".pdparams", ".params", ".h5")):
                continue
            check_member(member, str(archive))
            with atomic_write(folder / name) as temporary, temporary.open("wb") as file, content.open(member) as source:
                shutil.copyfileobj(source, file, BLOCK)
    write_text(folder / ".complete", "")
    return folder

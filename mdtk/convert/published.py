"""Published checkpoints by name: what there is, and a fetch with resumption and checksum into a cache.

The table is `published.yaml` beside this file. The cache is the folder that the environment variable MDTK_CACHE names,
else ~/.cache/mdtk. MDTK_MODELS_URL replaces the server of every address, for mirrors.
"""

from __future__ import annotations

import difflib
import functools
import os
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mdtk.core.archives import members
from mdtk.core.download import check_sum, download
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, write_text

TABLE = Path(__file__).with_name("published.yaml")


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
    check_sum(path, model.checksum)
    return _unpacked(path) if path.suffix == ".zip" else path


def _unpacked(archive: Path) -> Path:
    """The folder with the archive's weights, beside it; members are taken by their bare names, so none escapes."""
    folder = archive.with_suffix("")
    if (folder / ".complete").is_file():
        return folder
    for member in members(archive):
        name = PurePosixPath(member.name.replace("\\", "/")).name
        if name.endswith((".pth", ".pdparams", ".params", ".h5")):
            with atomic_write(folder / name) as temporary:
                temporary.write_bytes(member.read())
    write_text(folder / ".complete", "")
    return folder

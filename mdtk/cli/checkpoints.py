"""What --checkpoint takes: a native file, a published file or folder, the name of a published model, hf://owner/name."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path

from mdtk.cli.hub import HUB, hub_file
from mdtk.config import check
from mdtk.convert import convert, recognise
from mdtk.convert.published import cache_home, fetch, find_model, published_models
from mdtk.core.errors import MdtkError
from mdtk.core.safetensors_files import SUFFIX
from mdtk.core.weights import FORMAT, read_content
from mdtk.models import LoadedModel


def native_checkpoint(word: str, partial: bool = False) -> Path:
    """The native checkpoint that `word` means, fetched and converted where that is needed.

    Conversions are kept in the cache under the checksum of what they were made from. Raises `MdtkError` for a word that
    is neither a file, a folder nor a name, for what cannot be fetched or converted, and for weights without a depth
    decoder unless `partial`.
    """
    path = hub_file(word) if word.startswith(HUB) else Path(word).expanduser()
    if not path.exists():
        if word in published_models():
            kept = Path("models") / word  # where Monodepth2's test_simple.py puts what it downloads
            return _converted(kept if kept.is_dir() else fetch(find_model(word)), word, partial)
        if "/" in word or path.suffix:
            raise MdtkError(f"checkpoint not found: {word}; give a file, a folder, or a name of `mdtk models`")
        find_model(word)  # which says what names there are
    if path.is_file() and path.suffix in (".pth", SUFFIX) and read_content(path).get("format") == FORMAT:
        return path
    return _converted(path, word, partial)


def _converted(path: Path, word: str, partial: bool) -> Path:
    target = cache_home() / "converted" / f"{path.stem}-{_digest(path)[:16]}.pth"
    if not target.is_file():
        form = recognise(path)  # before anything is said of it
        print(f"converting {word} into {target}", file=sys.stderr)
        checkpoint = convert(path, form)
        if checkpoint.meta.get("partial") and not partial:
            raise MdtkError(f"{word}: ImageNet weights of an encoder, which predict no depth; give a depth checkpoint")
        checkpoint.save(target)
    return target


def _digest(path: Path) -> str:
    """A checksum of a file, or of a folder's names and contents."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.name.encode())
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def results_beside(word: str, folder: str) -> str:
    """Where results go by default: `folder`/<name> beside the file or folder that was given; a name: in ./runs."""
    path = Path(word).expanduser()
    parent = path.parent if path.exists() else Path("runs")
    return str(parent / folder / (path.stem if path.is_file() else path.name))


def resized(model: LoadedModel, height: int = 0, width: int = 0) -> LoadedModel:
    """The model with another size of the network's input, in pixels; 0: as trained. Sizes are multiples of 32."""
    if not (height or width):
        return model
    cfg = model.cfg.clone()
    cfg.defrost()
    cfg.DATA.HEIGHT, cfg.DATA.WIDTH = height or model.height, width or model.width
    check(cfg)
    cfg.freeze()
    return dataclasses.replace(model, cfg=cfg)

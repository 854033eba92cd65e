"""Files: atomic writing, where an interruption leaves the old file or the new one, and the folders of the data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mdtk.core.errors import MdtkError

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent  # the checkout


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, with its suffix; the file replaces `path` when the block ends well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    temporary.unlink(missing_ok=True)  # in a stranger's folder it could be a link to another file
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def clear_torn(folder: Path, pattern: str = ".*.tmp.*") -> None:
    """Removes the temporary files of `atomic_write` that a killed process left in `folder`; `pattern` is a glob."""
    for torn in folder.glob(pattern):
        torn.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes `text` to the file `path` as UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def shipped(folder: str) -> Path:
    """`configs` or `splits`: in the package where it was installed from a wheel, else in the checkout."""
    inside = PACKAGE / folder
    return inside if inside.is_dir() else ROOT / folder


def dataset_home() -> Path:
    """The folder that relative data roots start from: the environment variable `MDTK_DATASETS`, else `./datasets`."""
    return Path(os.environ.get("MDTK_DATASETS") or "datasets")


def resolve_data(path: str | os.PathLike[str]) -> Path:
    """Where the data path of a recipe lies: an absolute path is kept, a relative one starts at `dataset_home()`.

    A relative path that exists only in the working directory is taken from there.
    """
    path = Path(path).expanduser()
    if path.is_absolute():
        return path
    below_home = dataset_home() / path
    return below_home if below_home.exists() or not path.exists() else path


def require_file(path: str | os.PathLike[str], what: str, hint: str) -> Path:
    """`path` if it is a file. Otherwise raises `MdtkError` with the message "`what` not found: `path`; `hint`"."""
    path = Path(path)
    if not is_file(path):
        raise MdtkError(f"{what} not found: {path}; {hint}")
    return path


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a file; a name that no file can have (too long, with a zero byte) is none."""
    return os.path.isfile(path)  # Path.is_file raises OSError for a name of more than 255 characters


def inside(root: str | os.PathLike[str], path: Path, asker: str, links: bool = False) -> Path:
    """`path`, which must lie below `root`. `asker` begins the message of the error.

    Names come from lists and folders of strangers: none of them may lead to another file of this machine. `links` True
    follows links out of `root`: in a data root they are the user's own, who spreads drives over disks. The environment
    variable MDTK_LINKS=inside refuses them there too, for data that a stranger packed.
    """
    follow = links and os.environ.get("MDTK_LINKS", "") != "inside"
    place = os.path.abspath if follow else os.path.realpath  # the first resolves ".." without looking at links
    home, real = place(root), place(path)
    if real != home and not real.startswith(os.path.join(home, "")):
        raise MdtkError(
            f"{asker}: {path} leads out of {root}; names and links must stay below it: correct the name, or put the "
            "files there"
        )
    return path

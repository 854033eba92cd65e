"""The lock of a folder that one run writes to."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from mdtk.core.errors import MdtkError

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path, advice: str = "give another OUT_DIR") -> Iterator[None]:
    """Holds the lock of `folder`, which is made if need be, while the block runs.

    It is the system's own lock of a file (POSIX, also over NFS): it ends with the process however that ends, so that
    the file alone, which names host and process, locks nothing. Forked loader workers do not inherit it. Raises
    `MdtkError` when another process holds it, and for a folder that cannot be written.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  # open as long as the block
    except OSError as error:
        raise MdtkError(f"{folder} cannot be written ({error.strerror}); {advice}") from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                raise MdtkError(
                    f"{folder} is in use by {file.read().strip() or 'another process'}; end it, or {advice}"
                ) from error
            # A file system without locks: two runs are not told apart there, and none is refused.
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield

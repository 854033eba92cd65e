"""A publisher's server on this machine: serves a folder, with ranges, and can cut the connection."""

from __future__ import annotations

import contextlib
import http.server
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path


class Server(http.server.BaseHTTPRequestHandler):
    """Serves a folder; cuts the connection after `limit` bytes where that is set."""

    folder: Path
    url: str
    limit = 0
    ranges = True
    asked: list[str | None] = []  # noqa: RUF012
    names: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Range"))
        name = urllib.parse.unquote(self.path.lstrip("/"))
        self.names.append(name)
        file = self.folder / name
        if not file.is_file():
            self.send_error(404)
            return
        content = file.read_bytes()
        start = int(self.headers["Range"][6:].rstrip("-")) if self.headers.get("Range") and self.ranges else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + self.limit] if self.limit else content[start:])

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def serving(folder: Path, kind: type[http.server.BaseHTTPRequestHandler] = Server) -> Iterator[type[Server]]:
    """A server of `folder` while the block runs; gives its handler class, whose fields change how it answers."""
    folder.mkdir(exist_ok=True)
    handler = type("Handler", (kind,), {"folder": folder, "asked": [], "names": []})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{running.server_port}"
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield handler
    running.shutdown()
    running.server_close()

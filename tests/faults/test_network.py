"""A network that hangs ends in a sentence, and data is looked at before anything is fetched."""

from __future__ import annotations

import contextlib
import functools
import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from mdtk.cli import hub
from mdtk.core import download as download_module
from mdtk.core.download import check_sum, download
from mdtk.core.errors import MdtkError
from mdtk.models.encoders import build_encoder
from mdtk.models.weights_server import check_server
from mdtk.training import prepare
from tests.helpers.server import serving
from tests.helpers.training import train_here


@contextlib.contextmanager
def silent_server(answer: bytes = b"") -> Iterator[str]:
    """The address of a server of this machine that accepts, says `answer` and then nothing."""
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    connection.sendall(answer)

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


def test_a_silent_hub(monkeypatch, tmp_path):
    assert download_module.ANSWER <= 30
    assert download_module.PATIENCE <= 30
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with silent_server() as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        with pytest.raises(MdtkError, match=r"weights of resnet18\.tv_in1k could not be had, http.* does not answer"):
            check_server("resnet18.tv_in1k", 0.2)
    with silent_server(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        check_server("resnet18.tv_in1k", 5)  # an answer: what it means is timm's to say


def test_an_encoder_asks_the_server_first(monkeypatch):
    def silent(tag: str) -> None:
        raise MdtkError(f"{tag} asked")

    monkeypatch.setattr("mdtk.models.encoders.check_server", silent)
    with pytest.raises(MdtkError, match=r"resnet18\.tv_in1k asked"):
        build_encoder("resnet18", pretrained=True)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxyz", b"nonsense\r\n\r\n"])
def test_a_silent_download(monkeypatch, tmp_path, answer):
    monkeypatch.setattr(download_module, "PATIENCE", 0.3)
    begun = time.monotonic()
    with silent_server(answer) as address, pytest.raises(MdtkError, match="cannot be fetched"):
        download(f"{address}/x.zip", tmp_path / "x.zip")
    assert time.monotonic() - begun < 10


class AnswersNoFile(http.server.BaseHTTPRequestHandler):
    """A server that is there, and is silent when it is asked for a file."""

    def do_HEAD(self) -> None:
        if self.path == "/":
            self.send_response(200)
            self.end_headers()
        else:
            time.sleep(30)

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_hub_that_is_silent_about_the_file(monkeypatch, tmp_path):
    """The library would ask it again for minutes."""
    with serving(tmp_path / "folder", AnswersNoFile) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("MDTK_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(hub, "why_silent", functools.partial(download_module.why_silent, seconds=0.3))
        monkeypatch.setattr(hub, "hf_hub_download", None)
        begun = time.monotonic()
        with pytest.raises(MdtkError, match=r"hf://me/depth cannot be fetched \(timed out\)"):
            hub.hub_file("hf://me/depth")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        with pytest.raises(MdtkError, match=r"/resolve/main/model\.safetensors does not answer"):
            check_server("resnet18.tv_in1k", 0.3)
        assert time.monotonic() - begun < 10


def test_a_hub_whose_connection_fails_is_one_sentence(monkeypatch, tmp_path):
    def stalled(*_: object, **__: object) -> None:
        raise TypeError("of a library that nobody here knows")

    monkeypatch.setenv("MDTK_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "why_silent", lambda address: "")
    monkeypatch.setattr(hub, "hf_hub_download", stalled)
    with pytest.raises(MdtkError, match=r"hf://me/depth cannot be fetched \(of a library"):
        hub.hub_file("hf://me/depth")
    for word in ("hf://-a/b", "hf://a/b--c", "hf://a/b.git"):
        with pytest.raises(MdtkError, match="no repository can have that name"):
            hub.hub_file(word)


class Stalls(http.server.BaseHTTPRequestHandler):
    """A hub that says what it has, sends a part of it, and then nothing more."""

    tries = 0

    def do_HEAD(self) -> None:
        self.send_response(200)
        for name, value in (("ETag", '"abc"'), ("X-Repo-Commit", "a" * 40), ("Content-Length", "100000")):
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        Stalls.tries += 1
        if Stalls.tries == 1:
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()
        threading.Event().wait(20)

    def log_message(self, *_: object) -> None:
        pass


def test_a_transfer_that_stops_in_its_middle(monkeypatch, tmp_path):
    """Each try of the library waits as long as we say, and a second more: together less than a minute."""
    pauses: list[float] = []
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_DOWNLOAD_TIMEOUT", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 10)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", pauses.append)
    whole, short = hub.SILENCE, 0.2
    monkeypatch.setattr(hub, "SILENCE", short)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stalls)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    begun = time.monotonic()
    with pytest.raises(MdtkError, match="hf://me/depth"):
        hub.hub_file("hf://me/depth")
    assert time.monotonic() - begun < 10 * Stalls.tries * short + 5
    server.shutdown()
    assert Stalls.tries > 1
    assert Stalls.tries * whole + sum(pauses) < 60


def test_a_web_page_is_no_file(tmp_path):
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 6\r\n\r\n<html>"
    with silent_server(page) as address, pytest.raises(MdtkError, match="answers with a web page instead of the file"):
        download(f"{address}/x.zip", tmp_path / "x.zip")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "answer",
    [
        b"206 Partial Content\r\nContent-Range: bytes 0-7/8\r\nContent-Length: 8\r\n\r\nABCDEFGH",
        b"416 Range Not Satisfiable\r\nContent-Range: bytes */2\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_server_that_goes_on_from_another_place(tmp_path, answer):
    (tmp_path / "x.h5.part").write_bytes(b"abc")
    with silent_server(b"HTTP/1.1 " + answer) as address, pytest.raises(MdtkError, match="from another place"):
        download(f"{address}/x.h5", tmp_path / "x.h5")
    assert not list(tmp_path.iterdir()), "neither a file that is wrong nor a part that spoils the next try"


@pytest.mark.parametrize("address", ["file:///etc/passwd", "data:text/plain,x"])
def test_an_answer_cannot_lead_to_a_file_of_this_machine(tmp_path, address):
    away = f"HTTP/1.1 302 Found\r\nLocation: {address}\r\nContent-Length: 0\r\n\r\n".encode()
    with silent_server(away) as url, pytest.raises(MdtkError, match="answers 302"):
        download(f"{url}/x.zip", tmp_path / "x.zip")
    assert not list(tmp_path.iterdir())


def test_a_first_fetch_that_was_wrong_is_forgotten_by_hand(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"cut off")
    check_sum(tmp_path / "x.zip")
    (tmp_path / "x.zip").write_bytes(b"the whole file")
    with pytest.raises(MdtkError, match=r"if the first one was wrong, delete x\.zip\.sha256 beside it too"):
        check_sum(tmp_path / "x.zip")


def test_data_is_looked_at_before_networks_are_built(tiny_recipe, tmp_path, monkeypatch):
    def built(*args: object) -> None:
        raise AssertionError("networks were built")

    monkeypatch.setattr(prepare, "build_model", built)
    for pairs in (["DATA.SEQUENCE.PATHS", "[]"], ["DATA.SEQUENCE.PATHS", f"[{tmp_path}]"]):
        with pytest.raises(MdtkError, match=r"DATA\.SEQUENCE|holds no frames"):
            train_here(
                tmp_path / "out", tiny_recipe, [*pairs, "MODEL.PRETRAINED", True, "MODEL.WEIGHTS", "mono_640x192"]
            )

"""A network that hangs ends in a sentence, and data is looked at before anything is fetched."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from mdtk.core import download as download_module
from mdtk.core.download import download
from mdtk.core.errors import MdtkError
from mdtk.models.encoders import build_encoder
from mdtk.models.weights_server import check_server
from mdtk.training import prepare
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


def test_data_is_looked_at_before_networks_are_built(tiny_recipe, tmp_path, monkeypatch):
    def built(*args: object) -> None:
        raise AssertionError("networks were built")

    monkeypatch.setattr(prepare, "build_model", built)
    for pairs in (["DATA.SEQUENCE.PATHS", "[]"], ["DATA.SEQUENCE.PATHS", f"[{tmp_path}]"]):
        with pytest.raises(MdtkError, match=r"DATA\.SEQUENCE|holds no frames"):
            train_here(
                tmp_path / "out", tiny_recipe, [*pairs, "MODEL.PRETRAINED", True, "MODEL.WEIGHTS", "mono_640x192"]
            )

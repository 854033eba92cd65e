"""--checkpoint takes native files, published ones and names; names are fetched from a local server here."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mdtk
from mdtk.cli.checkpoints import native_checkpoint, results_beside
from mdtk.cli.main import dispatch
from mdtk.convert import published
from mdtk.convert.published import PublishedModel, fetch, find_model, published_models
from mdtk.core.download import download
from mdtk.core.errors import MdtkError
from mdtk.core.weights import read_weights
from tests.helpers.published_files import write_monodepth2
from tests.helpers.published_networks import monodepth2
from tests.helpers.server import serving

NAME = "mono+stereo_640x192"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of tmp_path/server that stands for every publisher, and an empty cache."""
    with serving(tmp_path / "server") as handler:
        monkeypatch.setenv("MDTK_MODELS_URL", handler.url)
        monkeypatch.setenv("MDTK_CACHE", str(tmp_path / "cache"))
        yield handler


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small checkpoint in Monodepth2's layout."""
    return write_monodepth2(tmp_path_factory.mktemp("published") / "weights", monodepth2())


def put_archive(handler, folder: Path, name: str = NAME) -> Path:
    path = handler.folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"{name}/../../{file.name}")  # a hostile place, which must not matter
        archive.writestr("evil.py", "raise SystemExit")
    return path


def without_checksum(monkeypatch, name: str = NAME) -> PublishedModel:
    model = find_model(name)
    plain = PublishedModel(**{**vars(model), "checksum": ""})
    monkeypatch.setattr(published, "published_models", lambda: {name: plain})
    return plain


def test_a_name_is_fetched_checked_converted_and_kept(server, folder, monkeypatch, tmp_path):
    model = without_checksum(monkeypatch)
    archive = put_archive(server, folder)
    path = native_checkpoint(NAME)
    assert read_weights(path)["meta"]["source_format"] == "monodepth2"
    assert native_checkpoint(NAME) == path
    assert len(server.asked) == 1, "the second time nothing is asked of the server"
    assert (tmp_path / "cache" / f"{NAME}.zip.sha256").is_file()
    assert not list(tmp_path.rglob("evil.py"))
    # Another file in its place is refused: the first fetch pinned the checksum.
    archive = tmp_path / "cache" / f"{NAME}.zip"
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(MdtkError, match=r"has sha256 .* delete it and fetch it again"):
        fetch(model)


def test_what_monodepth2_downloaded_is_taken(server, folder, monkeypatch, tmp_path):
    """Its test_simple.py keeps models in ./models."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / NAME).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    assert read_weights(native_checkpoint(NAME))["meta"]["source_format"] == "monodepth2"
    assert not server.asked


@pytest.mark.parametrize("command", ["predict", "video"])
def test_a_picture_that_is_not_there_is_told_before_a_model_is_fetched(server, command):
    with pytest.raises(MdtkError, match=r"--image_path not found: absent\.png"):
        dispatch([command, "--image_path", "absent.png", "--model_name", NAME])
    assert not server.asked


def test_a_published_checksum_is_compared(server, folder):
    put_archive(server, folder)
    with pytest.raises(MdtkError, match=r"has md5 .*, not c024d69012485ed05d7eaa9617a96b81"):
        fetch(find_model(NAME))


def test_an_interrupted_fetch_goes_on(server, tmp_path):
    content = bytes(range(256)) * 4000
    (server.folder / "big.bin").write_bytes(content)
    target = tmp_path / "cache" / "big.bin"
    url = f"{server.url}/big.bin"
    server.limit = 400_000
    for _ in range(2):
        with pytest.raises(MdtkError, match="to go on"):
            download(url, target)
        assert not target.exists()
    server.limit = 0
    download(url, target)
    assert target.read_bytes() == content
    assert server.asked == [None, "bytes=400000-", "bytes=800000-"]
    # A server without ranges starts anew.
    target.with_name("big.bin.part").write_bytes(b"old")
    target.unlink()
    server.ranges = False
    download(url, target)
    assert target.read_bytes() == content


def test_without_a_network_it_says_what_to_fetch(monkeypatch, tmp_path):
    monkeypatch.setenv("MDTK_MODELS_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path))
    with pytest.raises(MdtkError, match=rf"mono%2Bstereo_640x192\.zip cannot be fetched.*put the file to {tmp_path}"):
        native_checkpoint(NAME)
    monkeypatch.delenv("MDTK_MODELS_URL")
    with pytest.raises(MdtkError, match=r"fetch cs_hrnet18_512x192\.pth .*dropbox.*put it to"):
        native_checkpoint("cs_hrnet18_512x192")


def test_words_that_are_nothing(tmp_path):
    with pytest.raises(MdtkError, match="the nearest is mono_640x192"):
        native_checkpoint("mono_640x191")
    with pytest.raises(MdtkError, match=r"checkpoint not found: runs/x\.pth"):
        native_checkpoint("runs/x.pth")
    assert results_beside(str(tmp_path), "evaluation") == str(tmp_path.parent / "evaluation" / tmp_path.name)


def test_the_table(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path))
    models = published_models()
    assert len([one for one in models.values() if one.origin == "monodepth2"]) == 13
    assert find_model(NAME).url.endswith("/monodepth2/mono%2Bstereo_640x192.zip")
    dispatch(["models"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in models)
    with pytest.raises(MdtkError, match="takes the names"):
        dispatch(["models", "--fetch"])


def test_a_model_in_a_notebook(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path / "cache"))
    model = mdtk.load_model(folder, "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "street.png")
    expected = model.predict(image)
    assert (expected.shape, expected.dtype, model.metric) == ((50, 70), np.float32, False)
    assert 0.1 <= expected.min() < expected.max() <= 100
    assert re.fullmatch(r"DepthModel\(/\S+\.pth, resnet18, input 96x64, depth up to a factor\)", repr(model))
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for same in (tmp_path / "street.png", str(tmp_path / "street.png"), pixels, pixels / 255, tensor, tensor / 255):
        np.testing.assert_array_equal(model.predict(same), expected)
    np.testing.assert_array_equal(model.predict(torch.stack([tensor, tensor])), [expected, expected])
    assert model.predict(pixels[..., 0]).shape == (50, 70)
    assert not np.array_equal(mdtk.load_model(folder, "cpu", height=96, width=128).predict(image), expected)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((3, 4, 5, 3), np.uint8), "an array"),
        (np.full((4, 5, 3), 200.0), "0 … 1"),
        (np.zeros((4, 5, 3), np.int32), "uint8"),
        ("/nowhere.png", "picture not found: /nowhere.png; give the file"),
        (None, "an array or a tensor, not NoneType"),
    ],
)
def test_what_is_no_picture(folder, picture, words, tmp_path, monkeypatch):
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path))
    with pytest.raises(mdtk.MdtkError, match=words):
        mdtk.load_model(folder, "cpu").predict(picture)


def test_a_size_that_does_not_fit(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path))
    with pytest.raises(mdtk.MdtkError, match="multiple of 32"):
        mdtk.load_model(folder, "cpu", height=100)


def test_a_text_is_refused_before_a_word(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "README.md").write_text("# a text\n")
    with pytest.raises(MdtkError, match=r"README\.md"):
        native_checkpoint(str(tmp_path / "README.md"))
    assert capsys.readouterr().err == ""

"""Weights as .safetensors, checkpoints from the Hub (a server on this machine), and the folder with a model card."""

from __future__ import annotations

import json
import shutil
import struct

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import mdtk
from mdtk.cli import hub
from mdtk.cli.checkpoints import native_checkpoint
from mdtk.cli.hub import parse
from mdtk.cli.main import dispatch
from mdtk.config import dump, load_config
from mdtk.core.errors import MdtkError
from mdtk.core.weights import read_weights, write_weights
from mdtk.datasets.prepare.contamination import TrainList
from mdtk.datasets.splits import text_sha256
from mdtk.models import load_model
from mdtk.models.system import build_model
from tests.helpers.server import Server, serving

LIST = TrainList("sequence", "train", text_sha256(("a 1", "a 2")), ("a 1", "a 2"), (-1, 1))


@pytest.fixture(scope="module")
def checkpoint(tiny_recipe, tmp_path_factory):
    cfg = load_config(tiny_recipe, ["MODEL.PRETRAINED", "false"])
    path = tmp_path_factory.mktemp("run") / "best.pth"
    write_weights(
        path,
        {"model": build_model(cfg).state_dict(), "cfg": dump(cfg), "meta": {"epoch": 3, "train_lists": [LIST.pack()]}},
    )
    return path


@pytest.fixture(scope="module")
def weights(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.safetensors"
    dispatch(["export", "--checkpoint", str(checkpoint), "--output", str(path)])
    return path


def test_safetensors_hold_the_same_model(checkpoint, weights):
    one, other = read_weights(checkpoint), read_weights(weights)
    assert all(one[key] == other[key] for key in ("format", "version", "cfg"))
    assert other["meta"]["epoch"] == 3
    assert load_model(weights).train_lists == load_model(checkpoint).train_lists == (LIST,)
    assert one["model"].keys() == other["model"].keys() == load_file(weights).keys()
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])
    assert native_checkpoint(str(weights)) == weights
    image = torch.rand(1, 3, 32, 64)
    assert torch.equal(load_model(checkpoint).disparity(image), load_model(weights).disparity(image))


def test_damaged_and_foreign_safetensors(weights, tmp_path):
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    (tmp_path / "bit.safetensors").write_bytes(content)
    with pytest.raises(MdtkError, match=r"bit\.safetensors: is damaged, the checksum of its tensors is wrong"):
        read_weights(tmp_path / "bit.safetensors")
    (tmp_path / "short.safetensors").write_bytes(content[:-1000])
    with pytest.raises(MdtkError, match=r"safetensors file cannot be read: .*short"):
        read_weights(tmp_path / "short.safetensors")
    (tmp_path / "header.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    with pytest.raises(MdtkError, match="refused, its header claims"):
        read_weights(tmp_path / "header.safetensors")
    save_file({"a": torch.zeros(2)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(MdtkError, match="is no mdtk checkpoint"):
        read_weights(tmp_path / "other.safetensors")
    save_file(
        {"a": torch.zeros(2)},
        str(tmp_path / "new.safetensors"),
        {"mdtk_format": "mdtk", "mdtk_version": "99", "mdtk_cfg": ""},
    )
    with pytest.raises(MdtkError, match="newer mdtk"):
        read_weights(tmp_path / "new.safetensors")


class Hub(Server):
    """What the Hub answers for a file: where it is, its version and size, then its bytes."""

    def do_HEAD(self) -> None:
        name = self.path.split("/resolve/main/")[-1]
        file = self.folder / name
        if not self.path.startswith("/me/depth/") or not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if self.path.startswith("/me/depth/") else "RepoNotFound")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{file.stat().st_mtime_ns}"')
        self.send_header("X-Repo-Commit", "c0ffee" * 6 + "c0ff")
        self.send_header("Content-Length", str(file.stat().st_size))
        self.end_headers()

    def do_GET(self) -> None:
        self.path = "/" + self.path.split("/resolve/")[-1].split("/", 1)[-1]
        super().do_GET()


@pytest.fixture
def server(tmp_path, weights, monkeypatch):
    with serving(tmp_path / "hub", Hub) as handler:
        shutil.copy(weights, handler.folder / "model.safetensors")
        monkeypatch.setenv("HF_ENDPOINT", handler.url)
        monkeypatch.setenv("MDTK_CACHE", str(tmp_path / "cache"))
        yield handler


def test_a_checkpoint_of_the_hub(server, weights):
    path = native_checkpoint("hf://me/depth")
    assert path.read_bytes() == weights.read_bytes()
    assert mdtk.load_model("hf://me/depth/model.safetensors", "cpu").model.checksum == load_model(weights).checksum
    assert len(server.names) == 1, "the second time nothing is fetched"
    with pytest.raises(MdtkError, match=r"me/depth has no last\.pth; name its file"):
        native_checkpoint("hf://me/depth/last.pth")
    with pytest.raises(MdtkError, match="no such repository"):
        native_checkpoint("hf://you/depth")


def test_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MDTK_CACHE", str(tmp_path))
    with pytest.raises(MdtkError, match=r"hf://me/depth cannot be fetched"):
        native_checkpoint("hf://me/depth")


def test_words():
    assert parse("hf://me/depth@v1/a/b.pth") == ("me/depth", "v1", "a/b.pth")
    for word in ("hf://me", "hf://me/depth/../x", "hf://"):
        with pytest.raises(MdtkError, match="hf://owner/name"):
            parse(word)


def result(checksum: str) -> dict:
    row = {"metrics": {"abs_rel": 0.1234, "a1": 0.8}, "published_order": ["abs_rel", "a1"], "alignment": "median"}
    return {
        "protocol": "kitti_eigen/monodepth2",
        "images_evaluated": 48,
        "checkpoint_sha256": checksum,
        "results": {"model": row},
    }


def test_the_card_tells_the_results_of_this_checkpoint(checkpoint, tmp_path, capsys):
    evaluation = checkpoint.parent / "evaluation" / "best"
    evaluation.mkdir(parents=True)
    (evaluation / "kitti_eigen.json").write_text(json.dumps(result(load_model(checkpoint).checksum)))
    (evaluation / "others.json").write_text(json.dumps({**result("0" * 64), "protocol": "make3d/monodepth2"}))
    dispatch(["export", "--checkpoint", str(checkpoint), "--hub", str(tmp_path / "street_depth")])
    assert "with 1 results" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "street_depth").iterdir()} == {
        "README.md",
        "config.yaml",
        "model.safetensors",
    }
    card = (tmp_path / "street_depth" / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["pipeline_tag"] == "depth-estimation"
    metrics = head["model-index"][0]["results"][0]["metrics"]
    assert {one["type"]: one["value"] for one in metrics} == {"abs_rel": 0.1234, "a1": 0.8}
    assert "| kitti_eigen/monodepth2 | 48 | median | 0.123 | 0.800 |" in card
    assert "make3d" not in card
    assert load_config(tmp_path / "street_depth" / "config.yaml", []).DATA.WIDTH == 64
    assert load_model(tmp_path / "street_depth" / "model.safetensors").width == 64


def test_an_upload_needs_a_token(checkpoint, monkeypatch):
    monkeypatch.setattr(hub, "get_token", lambda: None)
    words = ["export", "--checkpoint", str(checkpoint), "--hub", "hf://me/depth"]
    with pytest.raises(MdtkError, match="uploading needs a token"):
        dispatch(words)
    asked = []

    class Api:
        def __init__(self, **settings: object) -> None:
            asked.append(settings["token"])

        def create_repo(self, name: str, exist_ok: bool) -> None:
            asked.append(name)

        def upload_folder(self, folder_path, repo_id: str) -> str:
            asked.append(sorted(path.name for path in folder_path.iterdir()))
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(hub, "get_token", lambda: "secret")
    monkeypatch.setattr(hub, "HfApi", Api)
    dispatch(words)
    assert asked == ["secret", "me/depth", ["README.md", "config.yaml", "model.safetensors"]]

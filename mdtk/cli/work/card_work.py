"""`mdtk export` where it writes weights: a .safetensors file, or a folder with a model card, on the Hub or here."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mdtk.cli.hub import HUB, parse, upload, write_card
from mdtk.core.errors import MdtkError
from mdtk.core.weights import read_weights, write_weights
from mdtk.models import LoadedModel


def export_weights(model: LoadedModel, output: Path) -> None:
    """Writes the weights, the configuration and what is known of the training as `output`."""
    content = read_weights(model.path)
    write_weights(output, {key: content[key] for key in ("model", "cfg", "meta") if key in content})
    print(f"{len(content['model'])} tensors; wrote {output}")


def export_card(model: LoadedModel, where: str) -> None:
    """Writes the folder `where`, or uploads it where that is hf://owner/name."""
    if not where.startswith(HUB):
        folder = Path(where).expanduser()
        found = write_card(model, folder)
        print(
            f"{folder}: weights, recipe and a model card with {len(found)} results; read the card before you publish it"
        )
        return
    repository, revision, file = parse(where)
    if revision or file:
        raise MdtkError(f"--hub {where}: an upload takes hf://owner/name alone")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / repository.split("/")[1]
        write_card(model, folder)
        print(f"uploaded: {upload(folder, repository)}")

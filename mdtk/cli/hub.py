"""Checkpoints on the Hugging Face Hub: hf://owner/name[@revision][/file] in, and a folder with a model card out.

HF_ENDPOINT names another server, HF_TOKEN or `hf auth login` says who you are, HF_HUB_DOWNLOAD_TIMEOUT how long a
transfer may be silent. Files are kept in the cache below `hub`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import (
    EvalResult,
    HfApi,
    ModelCard,
    ModelCardData,
    constants,
    get_token,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from mdtk.config import dump
from mdtk.convert.published import cache_home
from mdtk.core.download import why_silent
from mdtk.core.errors import MdtkError
from mdtk.core.files import write_text
from mdtk.core.guard import read_json, reading
from mdtk.core.safetensors_files import SUFFIX
from mdtk.core.weights import read_weights, write_weights
from mdtk.evaluation.io.results import SUMMARY
from mdtk.models import LoadedModel

HUB = "hf://"
MODEL = f"model{SUFFIX}"
_WORD = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?:/([\w./ -]+))?")
SILENCE = 5  # seconds that a transfer may say nothing; the library's own ten are over a minute in its seven tries
_RESULTS_DEEP = 3  # folders below the checkpoint's in which results may lie


def hub_file(word: str) -> Path:
    """The file that hf://owner/name[@revision][/file] means, fetched into the cache; without a file: model.safetensors.

    A branch that has moved on since is not looked at again: a revision says what is meant. Raises `MdtkError` for
    another form, an absent repository or file, and without a network.
    """
    repository, revision, file = parse(word)
    where: dict[str, Any] = {"revision": revision or None, "cache_dir": cache_home() / "hub"}
    if isinstance(kept := try_to_load_from_cache(repository, file or MODEL, **where), str):
        return Path(kept)
    # The library itself tries a silent server for minutes.
    address = hf_hub_url(repository, file or MODEL, revision=revision or None, endpoint=_endpoint())
    if not constants.HF_HUB_OFFLINE and (reason := why_silent(address)):
        raise MdtkError(
            f"{word} cannot be fetched ({reason}), and is not in {where['cache_dir']}; connect to a network"
        )
    if "HF_HUB_DOWNLOAD_TIMEOUT" not in os.environ:
        constants.HF_HUB_DOWNLOAD_TIMEOUT = SILENCE
    try:
        return Path(hf_hub_download(repository, file or MODEL, endpoint=_endpoint(), **where))
    except LocalEntryNotFoundError as error:
        raise MdtkError(f"{word}: the connection ended; run the same command again") from error
    except RepositoryNotFoundError as error:
        raise MdtkError(
            f"{word}: there is no such repository, or it is private; correct the name, or log in"
        ) from error
    except EntryNotFoundError as error:
        raise MdtkError(
            f"{word}: {repository} has no {file or MODEL}; name its file: hf://{repository}/FILE"
        ) from error
    except Exception as error:  # of whatever library the hub's uses for its connections
        raise MdtkError(f"{word} cannot be fetched ({error}); try again later, or fetch the file by hand") from error


def parse(word: str) -> tuple[str, str, str]:
    """(owner/name, revision, file) of hf://owner/name[@revision][/file]; what is left out is empty."""
    match = _WORD.fullmatch(word)
    if not match or ".." in word:
        raise MdtkError(f"{word}: a model on the Hub is written hf://owner/name, or hf://owner/name/FILE")
    try:
        validate_repo_id(match[1])
    except HFValidationError as error:
        raise MdtkError(f"{word}: no repository can have that name ({error}); correct it") from error
    return match[1], match[2] or "", match[3] or ""


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def write_card(model: LoadedModel, folder: Path) -> list[Path]:
    """Writes the weights (model.safetensors), the recipe (config.yaml) and a model card (README.md) into `folder`.

    The card's results are those files of evaluations that lie beside the checkpoint and name its checksum. Returns
    their paths.
    """
    content = read_weights(model.path)
    write_weights(folder / MODEL, {"model": content["model"], "cfg": dump(model.cfg), "meta": content.get("meta", {})})
    write_text(folder / "config.yaml", dump(model.cfg))
    found = list(_results(model))
    write_text(folder / "README.md", str(_card(model, folder.resolve().name, [result for _, result in found])))
    return [path for path, _ in found]


def _results(model: LoadedModel) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The JSON files of this checkpoint's evaluations, below the checkpoint's folder."""
    levels = ["/".join(["*"] * depth + ["*.json"]) for depth in range(_RESULTS_DEEP + 1)]
    for path in sorted(path for level in levels for path in model.path.parent.glob(level)):
        result = read_json(path, "result", "move it away")
        if isinstance(result, dict) and result.get("checkpoint_sha256") == model.checksum and "results" in result:
            with reading(path, "result", "move it away"):
                list(_eval_results(result))
                _table([result])
            yield path, result


def _card(model: LoadedModel, name: str, results: list[dict[str, Any]]) -> ModelCard:
    """A model card: data about the model, what it is and how it is used, and a table of its results."""
    data = ModelCardData(
        library_name="mdtk",
        pipeline_tag="depth-estimation",
        tags=["monocular-depth", "self-supervised"],
        model_name=name,
        eval_results=[one for result in results for one in _eval_results(result)] or None,
    )
    node, cfg = model.cfg.DATA, model.cfg
    sources = [*map(str, node.SOURCES), *(["the other camera"] if node.STEREO else [])]
    facts = [
        f"- networks: {cfg.MODEL.ENCODER} with the {cfg.MODEL.DECODER} decoder, pose {cfg.MODEL.POSE}",
        f"- input: {model.width}x{model.height}",
        f"- training data: {node.NAME} {node.TRAIN_SPLIT}, explained by frames {', '.join(sources)}",
        f"- depth range of the network: {cfg.MODEL.MIN_DEPTH} … {cfg.MODEL.MAX_DEPTH}; seed {cfg.SEED}",
    ]
    code = f'import mdtk\n\nmodel = mdtk.load_model("hf://OWNER/{name}")\ndepth = model.predict("street.jpg")'
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name}",
        "Self-supervised monocular depth, trained with mdtk (`config.yaml` is the whole recipe).",
        "\n".join(facts),
        "The licences of the training data and of the weights that training began with apply; state your own here.",
        f"```python\n{code}\n```",
        "## Results",
        _table(results) if results else "None beside the checkpoint when this card was written.",
    ]
    return ModelCard("\n\n".join(parts) + "\n")


def _model_rows(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The model's own rows of a result, not those of the baseline predictors."""
    yield from (row for name, row in result["results"].items() if name == "model")


def _eval_results(result: dict[str, Any]) -> Iterator[EvalResult]:
    for row in _model_rows(result):
        for metric in row["published_order"]:
            if row["metrics"][metric] is None:
                continue  # infinite, as the depth of an alignment without a clamp is
            yield EvalResult(
                task_type="depth-estimation",
                dataset_type=result["protocol"].split("/")[0],
                dataset_name=f"{result['protocol']}, {result['images_evaluated']} images, alignment {row['alignment']}",
                metric_type=metric,
                metric_value=row["metrics"][metric],
            )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(results: list[dict[str, Any]]) -> str:
    used = [
        name for name in SUMMARY if any(name in row["published_order"] for one in results for row in _model_rows(one))
    ]
    head = ["protocol", "images", "alignment", *used]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for result in results:
        for row in _model_rows(result):
            shown = [_number(row["metrics"][name]) if name in row["published_order"] else "" for name in used]
            lines.append(
                f"| {' | '.join([result['protocol'], str(result['images_evaluated']), row['alignment'], *shown])} |"
            )
    return "\n".join(lines)


def upload(folder: Path, repository: str) -> str:
    """Puts a folder on the Hub as the model `repository` (owner/name), made where it is absent; gives its address.

    Raises `MdtkError` without a token, and for what the server refuses.
    """
    if not (token := get_token()):
        raise MdtkError(f"hf://{repository}: uploading needs a token: `hf auth login`, or the variable HF_TOKEN")
    api = HfApi(endpoint=_endpoint(), token=token)
    try:
        api.create_repo(repository, exist_ok=True)
        return str(api.upload_folder(folder_path=folder, repo_id=repository))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise MdtkError(f"hf://{repository}: nothing was uploaded ({error}); check the name and the token") from error

"""Odometry of a pose network, on KITTI or on own clips with poses. tools/evaluate_pose.py calls `run`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from yacs.config import CfgNode

from mdtk import viz
from mdtk.config import load_config
from mdtk.config.machine import apply_float_settings
from mdtk.core import distributed
from mdtk.core.environment import float_settings, hardware, versions
from mdtk.core.errors import MdtkError
from mdtk.core.files import atomic_write, write_text
from mdtk.datasets.prepare.contamination import assumed_lists, contamination
from mdtk.datasets.reader import DatasetReader
from mdtk.datasets.readers.kitti import KittiOdom
from mdtk.datasets.readers.own_frames import SequenceReader
from mdtk.datasets.splits import text_sha256
from mdtk.evaluation.eval_config import EvalConfig, build_eval_config, merged_config
from mdtk.evaluation.io.external import file_stem
from mdtk.evaluation.io.provenance import image_format
from mdtk.evaluation.io.results import align_columns, check_replaced
from mdtk.evaluation.odometry import trajectories as odometry
from mdtk.evaluation.odometry.trajectory_plot import plot_trajectories
from mdtk.evaluation.predictors import PairModel
from mdtk.evaluation.sharding import shard_batches, together
from mdtk.inference.predict import FrameReader, read_frames
from mdtk.models import load_model

PUBLISHED = ("09", "10")  # KITTI's sequences that papers print
RESULT = "odometry.json"
MODEL, STRAIGHT, TRUTH = "model", "straight ahead", "ground truth"


@dataclass(frozen=True)
class PoseErrors:
    """One predictor on one sequence. Lengths in metres; t_err in %, r_err in degrees per 100 m."""

    predictor: str
    snippet_mean: float
    snippet_std: float
    ate: float  # after the 7-DoF alignment
    t_err: float
    r_err: float
    segments: int
    scale: float  # of the 7-DoF alignment


@dataclass(frozen=True)
class MotionPredictor:
    """A pose network run on an entry's frame and the next, both resized to (height, width)."""

    model: PairModel
    height: int
    width: int
    device: torch.device | str = "cpu"
    workers: int = 0
    frame_offsets: tuple[int, int] = (0, 1)

    @torch.no_grad()
    def motions(self, reader: DatasetReader, batches: Sequence[Sequence[int]]) -> list[tuple[int, np.ndarray]]:
        """(index, next_T_this (4, 4) float64) for the entries of `reader` in `batches`."""
        found: list[tuple[int, np.ndarray]] = []
        frames_of = FrameReader(reader, self.frame_offsets, self.height, self.width)
        pairs = read_frames(frames_of, batches, self.workers, self.device, f"predicting motions of {reader.key}")
        for indices, frames in zip(batches, pairs, strict=True):
            motions = self.model(frames[:, 0], frames[:, 1]).double().cpu().numpy()
            found += list(zip(indices, motions, strict=True))
        return found


def ground_truth_poses(reader: KittiOdom) -> np.ndarray:
    """Global poses (len(dataset) + 1, 4, 4) of the entries' frames, which must be one sequence without a gap."""
    entries = [reader.entry(index) for index in range(len(reader))]
    first = entries[0]
    for place, entry in enumerate(entries):
        if (entry.folder, entry.frame) != (first.folder, first.frame + place):
            raise MdtkError(f"{reader.name(place)}: odometry takes one sequence whose frames follow each other")
    poses = reader.poses(int(first.folder))
    if len(poses) < first.frame + len(entries) + 1:
        raise MdtkError(
            f"sequence {first.folder}: {len(poses)} poses for {len(entries)} pairs of frames; extract the poses again"
        )
    return poses[first.frame : first.frame + len(entries) + 1]


def own_poses(reader: SequenceReader) -> np.ndarray:
    """Global poses (len(reader) + 1, 4, 4) of one clip's entries and of the frame after the last."""
    indices = range(len(reader))
    return np.stack([*(reader.pose(index) for index in indices), reader.pose(len(reader) - 1, 1)])


def open_sequences(config: EvalConfig, own: bool, names: Sequence[str]) -> Iterator[tuple[str, DatasetReader]]:
    """(name, reader) of each sequence: of KITTI odometry (default 09, 10), or the user's own clips (default: all)."""
    if own:
        whole = cast(SequenceReader, config.open_reader("sequence", "all"))
        for name in names or [clip.name for clip in whole.clips]:
            yield name, whole.pairs_of(name)
        return
    for name in (name.zfill(2) for name in names or PUBLISHED):  # 9 is 09
        yield name, config.open_reader("kitti_odom", f"odom/test_{name}")


def measure(predictor: str, gt_world_T_camera: np.ndarray, motions: np.ndarray) -> tuple[PoseErrors, np.ndarray]:
    """The errors of predicted motions (N−1, 4, 4), and the aligned global poses (N, 4, 4)."""
    ates = odometry.snippet_ates(gt_world_T_camera, motions)
    path = odometry.accumulate(motions)
    similarity = odometry.umeyama(path[:, :3, 3], gt_world_T_camera[:, :3, 3])
    aligned = similarity.poses(path)
    segments = odometry.segment_errors(gt_world_T_camera, aligned)
    errors = PoseErrors(
        predictor,
        float(ates.mean()),
        float(ates.std()),
        odometry.trajectory_ate(gt_world_T_camera, aligned),
        segments.t_err,
        segments.r_err,
        segments.segments,
        similarity.scale,
    )
    return errors, aligned


def straight_motions(count: int) -> np.ndarray:
    """One unit forward per frame, no turn (count, 4, 4): the baseline, which looks at no image."""
    motions = np.tile(np.eye(4), (count, 1, 1))
    motions[:, 2, 3] = -1.0  # a camera that moves forward sees points come nearer
    return motions


def run(
    checkpoint: str,
    sequences: Sequence[str],
    config: str,
    overrides: Sequence[str],
    output: str,
    own: bool | None = None,
    overwrite: bool = False,
) -> None:
    """Evaluates a checkpoint's pose network on the named sequences, prints a table, writes JSON, poses and plots.

    `own` says whether these are the clips of DATA.SEQUENCE.PATHS; None: for a model of one's own frames they are.
    Without `overwrite` the result of another checkpoint, other sequences or other data is not replaced.
    """
    with distributed.process_group(load_config(config or None, overrides).DEVICE) as device:
        model = load_model(checkpoint, device)
        cfg = merged_config(model, config, overrides)
        apply_float_settings(cfg)
        evaluation = build_eval_config(
            cfg,
            baselines=False,
            folder=Path(output) if output else model.path.parent / "odometry" / model.path.stem,
            overwrite=overwrite,
            train_lists=model.train_lists or assumed_lists(model.cfg),
            provenance={
                "checkpoint": str(model.path),
                "checkpoint_sha256": model.checksum,
                "hardware": hardware(device),
                "device": str(device),
            },
        )
        predictor = build_motion_predictor(cfg, model.system.relative_pose, device)
        evaluate_sequences(evaluation, predictor, sequences, cfg.DATA.NAME == "sequence" if own is None else own)


def build_motion_predictor(cfg: CfgNode, model: PairModel, device: torch.device | str) -> MotionPredictor:
    """A pose network in eval mode on `device`, at the configuration's input size."""
    return MotionPredictor(model, cfg.DATA.HEIGHT, cfg.DATA.WIDTH, device, cfg.DATA.WORKERS)


def evaluate_sequences(
    config: EvalConfig, predictor: MotionPredictor, sequences: Sequence[str], own: bool = False
) -> None:
    """Predicts and measures sequences, see `open_sequences`; the results are written to `config.folder`.

    Raises `MdtkError` where the folder holds the result of another configuration, unless `config.overwrite`.
    """
    results: dict[str, list[PoseErrors]] = {}
    opened = list(open_sequences(config, own, sequences))
    made_of = _configuration(config, opened)
    if not config.overwrite:
        check_replaced(config.folder / RESULT, made_of)
    for sequence, reader in opened:
        truth = own_poses(reader) if isinstance(reader, SequenceReader) else ground_truth_poses(cast(KittiOdom, reader))
        motions = all_motions(predictor, reader, config.batch_size)
        if distributed.is_main():
            results[sequence] = evaluate_sequence(file_stem(sequence), truth, motions, config.folder)
    if distributed.is_main():
        lists = {name: _list_facts(config, reader) for name, reader in opened}
        _write_summary(config.folder, results, {**config.provenance, "configuration": made_of, "lists": lists})


def _configuration(config: EvalConfig, opened: Sequence[tuple[str, DatasetReader]]) -> dict[str, object]:
    """What two results must share to be the same one."""
    return {
        "checkpoint_sha256": config.provenance.get("checkpoint_sha256", ""),
        "sequences": ", ".join(name for name, _ in opened),
        "list_sha256": ", ".join(text_sha256(reader.lines) for _, reader in opened),
        "image_format": ", ".join(image_format(reader, range(len(reader))) for _, reader in opened),
    }


def _list_facts(config: EvalConfig, reader: DatasetReader) -> dict[str, object]:
    """A sequence's list, its data, and what training held of it."""
    return {
        "pairs": len(reader),
        "list_sha256": text_sha256(reader.lines),
        "image_format": image_format(reader, range(len(reader))),
        "data_root": str(reader.root),
        "contamination": contamination(config.train_lists, reader, range(len(reader))),
    }


def all_motions(predictor: MotionPredictor, reader: DatasetReader, batch_size: int) -> np.ndarray:
    """The motions (N, 4, 4) of all entries of `reader`, predicted by all processes together, on every one of them."""
    batches = shard_batches(range(len(reader)), batch_size)
    found = together(lambda: predictor.motions(reader, batches))
    if len(found) != len(reader):
        raise RuntimeError(f"{len(found)} motions of {len(reader)} pairs; a shard is lost")
    return np.stack([motion for _, motion in sorted(found, key=lambda item: item[0])])


def evaluate_sequence(sequence: str, truth: np.ndarray, motions: np.ndarray, folder: Path) -> list[PoseErrors]:
    """Errors of the model and of `straight ahead`; writes <seq>_motions.npy, <seq>_poses.txt and <seq>.png."""
    errors, aligned = measure(MODEL, truth, motions)
    baseline, _ = measure(STRAIGHT, truth, straight_motions(len(motions)))
    with atomic_write(folder / f"{sequence}_motions.npy") as temporary:
        np.save(temporary, motions)
    rows = (" ".join(f"{value:.6e}" for value in pose[:3].ravel()) for pose in aligned)
    write_text(folder / f"{sequence}_poses.txt", "".join(f"{row}\n" for row in rows))
    title = f"sequence {sequence}: {len(truth)} frames, ATE {errors.ate:.2f} m after 7-DoF alignment"
    viz.save_picture(folder / f"{sequence}.png", plot_trajectories({TRUTH: truth, MODEL: aligned}, title))
    return [errors, baseline]


def _write_summary(folder: Path, results: dict[str, list[PoseErrors]], provenance: Mapping[str, Any]) -> None:
    content: dict[str, object] = {
        **provenance,
        "versions": versions(),
        "float_settings": float_settings(),
        "measures": MEASURES,
    }
    content["sequences"] = {name: [_plain(one) for one in errors] for name, errors in results.items()}
    write_text(folder / RESULT, json.dumps(content, indent=2, allow_nan=False) + "\n")
    head = ["sequence", "predictor", "snippet ATE", "ATE, m", "t_err, %", "r_err, deg/100m", "segments"]
    rows = [head]
    for name, errors in results.items():
        for one in errors:
            snippet = f"{one.snippet_mean:.4f} +- {one.snippet_std:.4f}"
            numbers = [f"{value:.3f}" for value in (one.ate, one.t_err, one.r_err)]
            rows.append([name, one.predictor, snippet, *numbers, str(one.segments)])
    told = [f"training of {name}: {dict(one['contamination'])['text']}" for name, one in provenance["lists"].items()]
    table = "\n".join([align_columns(rows, left=2), *told])
    print(f"{table}\n\nwrote {folder / RESULT}, poses and plots", flush=True)


MEASURES = {
    "snippet": "5-frame snippets as published (Zhou et al. 2017, Monodepth2): first points together, least-squares "
    "scale, sqrt(sum of squares) / points; mean and standard deviation (ddof 0) over snippets, metres",
    "ate": "root mean square distance of camera centres after a 7-DoF (Umeyama) alignment, metres",
    "t_err": "KITTI: mean translation error of segments of 100 to 800 m, %, after the same alignment",
    "r_err": "KITTI: mean rotation error of the same segments, degrees per 100 m",
}


def _plain(errors: PoseErrors) -> dict:
    values = dataclasses.asdict(errors)
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}

"""The tables of docs/coming_from.md, written from the dictionaries that the commands use."""

from __future__ import annotations

from mdtk.config.familiar_words import DICTIONARIES

TITLES = {
    "train": "Training: `train.py` → `mdtk train` (`tools/train.py`)",
    "evaluate": "Evaluation: `evaluate_depth.py` → `mdtk evaluate` (`tools/evaluate.py`)",
    "odometry": "Odometry: `evaluate_pose.py` → `mdtk odometry` (`tools/evaluate_pose.py`)",
    "predict": "Prediction: `test_simple.py` → `mdtk predict` (`tools/test_simple.py`)",
    "video": "Films: `test_video.py` → `mdtk video` (`tools/test_video.py`)",
    "ground_truth": "Ground truth: `export_gt_depth.py` → `mdtk data ground_truth` (`tools/export_gt_depth.py`)",
    "cityscapes": "Cityscapes: `prepare_cityscapes.py` → `mdtk data cityscapes` (`tools/prepare_cityscapes.py`)",
}


def familiar_tables() -> str:
    """Markdown: for each command, its familiar options and what they say here."""
    parts = []
    for name, words in DICTIONARIES.items():
        rows = [f"### {TITLES[name]}", "", "| option | says here |", "|---|---|"]
        rows += [f"| `{word.name}` | {_cell(word.describe())} |" for word in words.values()]
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")

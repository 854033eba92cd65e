"""Scores a checkpoint's pose network on KITTI odometry: 5-frame snippets, whole trajectories, and a plot of each.

Train with DATA.TRAIN_SPLIT odom/train: the Eigen training drives overlap sequences 09 and 10.
"""

from __future__ import annotations

import argparse

from mdtk.core.errors import run_tool
from mdtk.evaluation.odometry.sequences import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="a native or converted .pth with a pose network")
    parser.add_argument("--sequences", nargs="+", default=["09", "10"], help="they have a list odom/test_<sequence>")
    parser.add_argument("--config", default="", help="a recipe whose keys go over the checkpoint's own")
    parser.add_argument("--output", default="", help="folder of the results; default: odometry/ beside the checkpoint")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="for example ROOTS.KITTI_ODOM /data/odometry")
    args = parser.parse_intermixed_args()
    words = args.sequences
    first = next((place for place, word in enumerate(words) if word.isupper()), len(words))
    run(args.checkpoint, words[:first], args.config, [*words[first:], *args.overrides], args.output)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))

"""Scores a checkpoint's pose network on KITTI odometry: 5-frame snippets, whole trajectories, and a plot of each.

Train with DATA.TRAIN_SPLIT odom/train: the Eigen training drives overlap sequences 09 and 10. KEY VALUE pairs
override the checkpoint's configuration, for example ROOTS.KITTI_ODOM /data/odometry.
"""

from __future__ import annotations

from mdtk.config.command_line import ToolParser
from mdtk.core.errors import run_tool
from mdtk.evaluation.odometry.sequences import run


def main() -> None:
    parser = ToolParser(__doc__)
    parser.add_argument("--checkpoint", required=True, help="a native or converted .pth with a pose network")
    parser.add_argument("--sequences", nargs="+", default=["09", "10"], help="they have a list odom/test_<sequence>")
    parser.add_argument("--config", default="", help="a recipe whose keys go over the checkpoint's own")
    parser.add_argument("--output", default="", help="folder of the results; default: odometry/ beside the checkpoint")
    args = parser.parse_tool_args()
    run(args.checkpoint, args.sequences, args.config, args.overrides, args.output)


if __name__ == "__main__":
    raise SystemExit(run_tool(main))

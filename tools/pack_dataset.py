#!/usr/bin/env python3
"""The command `mdtk pack`; its options and work are in mdtk/cli."""

from mdtk.cli.main import tool_main
from mdtk.core.errors import run_tool

main = tool_main("pack_dataset")

if __name__ == "__main__":
    raise SystemExit(run_tool(main))

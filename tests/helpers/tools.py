"""The tools' command lines in this process: a new one imports torch for seconds."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from unittest import mock

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def call_tool(tool: str, *arguments: object) -> int | None:
    """What `main()` of tools/<tool>.py returns for this command line; an `MdtkError` comes through as it is."""
    main = runpy.run_path(str(TOOLS / f"{tool}.py"))["main"]
    with mock.patch.object(sys, "argv", [f"{tool}.py", *map(str, arguments)]):
        return main()

"""docs/protocols.md holds the table that the rows give, and names every alignment and metric."""

from __future__ import annotations

from mdtk.core.files import ROOT
from mdtk.evaluation.scoring.alignment import ALIGNMENTS
from mdtk.evaluation.scoring.metrics import METRICS
from mdtk.evaluation.scoring.protocol_table import markdown_table
from mdtk.evaluation.scoring.protocols import PROTOCOLS, benchmarks

TEXT = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")


def test_table_is_the_rows():
    assert markdown_table() in TEXT, (
        "run mdtk.evaluation.scoring.protocol_table.markdown_table() and put it into the page"
    )
    assert markdown_table().count("**`") == len(benchmarks())
    assert all(f"`{row.key}`" in TEXT for row in PROTOCOLS.values())


def test_names():
    assert all(f"`{name}`" in TEXT for name in ALIGNMENTS)
    assert all(name in TEXT for name in METRICS)

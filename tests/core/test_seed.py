"""Seeding of one process."""

from __future__ import annotations

import torch

from mdtk.core import distributed


def test_one_device_is_seeded_and_no_other(monkeypatch):
    own, every = [], []
    monkeypatch.setattr(torch.cuda, "manual_seed", own.append)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", every.append)
    distributed.seed(5, torch.device("cpu"))
    drawn = torch.rand(3)
    assert own == []
    distributed.seed(5, torch.device("cuda", 1))
    assert torch.equal(torch.rand(3), drawn)
    assert (own, every) == ([5], [])
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)

"""The whole Monodepth2 loss and its gradients, for each published switch."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mdtk.core.structures import Inputs, Prediction, View
from mdtk.data.views.whole import WholeImage
from mdtk.losses.objective import Objective
from mdtk.losses.photometric import PhotometricOptions
from mdtk.losses.terms.predictive_mask import PredictiveMask
from mdtk.losses.terms.smoothness import Smoothness

BASE = PhotometricOptions(tie_noise=0.0)
ROWS = {
    "default": (BASE, (-1, 1)),
    "single_scale": (BASE, (-1, 1)),
    "stereo": (BASE, ("s",)),
    "mono_stereo": (BASE, (-1, 1, "s")),
    "v1_multiscale": (dataclasses.replace(BASE, multiscale="native"), (-1, 1)),
    "avg_reprojection": (dataclasses.replace(BASE, reprojection="mean"), (-1, 1)),
    "disable_automasking": (dataclasses.replace(BASE, automask=False), (-1, 1)),
    "no_ssim": (dataclasses.replace(BASE, ssim=0.0), (-1, 1)),
    "predictive_mask": (dataclasses.replace(BASE, automask=False), (-1, 1)),
}


@pytest.fixture(scope="module")
def data(reference):
    return reference.npz("losses").tensors()


SWAY = (0.0, 1e-7, -1e-7, 3e-7, -3e-7, 1e-6, -1e-6, 3e-6, -3e-6)


def inputs(data, sources, sway):
    target = data["input/color_0"]
    batch, _, height, width = target.shape
    K = torch.tensor([[0.58 * width, 0, width / 2], [0, 1.92 * height, height / 2], [0, 0, 1]]).expand(batch, 3, 3)
    K = K * torch.tensor([1 + sway, 1 + sway, 1.0])
    stereo = torch.eye(4).repeat(batch, 1, 1)
    stereo[:, 0, 3] = -0.1
    images = torch.stack([data[f"input/color_{source}"] for source in sources], 1)
    poses = torch.stack([stereo if s == "s" else data[f"input/T_{s}"] for s in sources], 1)
    depth_range = torch.tensor([[0.1, 100.0]]).expand(batch, 2)
    return View(WholeImage(), target, target, images, K, depth_range, {}), poses


def target_and_sources(view):
    return torch.cat([view.target_b3hw[:, None], view.sources_bs3hw], 1)


def run(data, row, sway=0.0):
    options, sources = ROWS[row]
    view, poses = inputs(data, sources, sway)
    scales = [0] if row == "single_scale" else [0, 1, 2, 3]
    disparities = {scale: data[f"input/disp{scale}"].clone().requires_grad_() for scale in scales}
    masks = {s: data[f"predictive_mask/predictive_mask{s}"] for s in scales} if row == "predictive_mask" else None
    terms = [Smoothness(), *([PredictiveMask()] if masks else [])]
    objective = Objective(options, tuple(terms))
    result = objective(Inputs([view], target_and_sources(view), poses), Prediction([disparities], poses, masks), True)
    result.total.backward()
    return result, {scale: disparities[scale].grad for scale in scales}


@pytest.mark.parametrize("row", ROWS)
def test_loss(data, row):
    result, gradients = run(data, row)
    torch.testing.assert_close(result.total.detach(), data[f"{row}/loss"], atol=1e-5, rtol=0)
    for scale in gradients:
        ours = result.scalars[f"full/{scale}"].detach()
        torch.testing.assert_close(ours, data[f"{row}/loss{scale}"], atol=1e-5, rtol=0)
    if f"{row}/automask0" in data:
        agree = (result.pictures["automask"] == data[f"{row}/automask0"]).float().mean()
        assert agree > 0.999, f"automask agrees on {agree:.4f} of the pixels"


@pytest.mark.parametrize("row", ROWS)
def test_gradients(data, row):
    """Within 1e-6; where the loss has a kink (a sample at a pixel's edge, two sources equally good), the published
    gradient may be that of the other side: it must then lie among ours as K sways in its last bits."""
    swayed = [run(data, row, sway)[1] for sway in SWAY]
    outside = total = 0
    for scale in swayed[0]:
        published = data[f"{row}/grad_disp{scale}"]
        ours = torch.stack([data.at(f"{row}/grad_disp{scale}", gradients[scale]) for gradients in swayed])
        assert (published >= ours.amin(0) - 1e-6).all()
        assert (published <= ours.amax(0) + 1e-6).all()
        outside += ((ours[0] - published).abs() > 1e-6).sum().item()
        total += published.numel()
    assert outside <= 1e-3 * total, f"{outside} of {total} gradients differ by more than 1e-6"

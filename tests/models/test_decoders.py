"""Decoders: scales, structure, behaviour that the published design implies, clear errors."""

from __future__ import annotations

import pytest
import torch

from mdtk.core.errors import MdtkError
from mdtk.models.decoders import GridDecoder, ReflectConv, SkipDecoder

CHANNELS, REDUCTIONS = [8, 12, 16, 20, 24], [2, 4, 8, 16, 32]


def features(channels, reductions, height=64, width=96):
    return [torch.randn(2, c, height // r, width // r) for c, r in zip(channels, reductions, strict=True)]


@pytest.mark.parametrize("decoder", [SkipDecoder, GridDecoder])
@pytest.mark.parametrize(
    ("channels", "reductions"),
    [
        (CHANNELS, REDUCTIONS),
        ([6, *CHANNELS], [1, *REDUCTIONS]),
        ([12, 16, 20, 24], [4, 8, 16, 32]),
        ([6, 12, 16, 20, 24], [1, 4, 8, 16, 32]),
        ([8, 12, 16], [2, 4, 16]),
    ],
)
@pytest.mark.parametrize("scales", [(0,), (0, 2), (0, 1, 2, 3)])
def test_scales_and_gradients_of_any_pyramid(decoder, channels, reductions, scales):
    net = decoder(channels, reductions, scales)
    outputs = net(features(channels, reductions))
    assert list(outputs) == list(scales)
    for scale, output in outputs.items():
        assert tuple(output.shape) == (2, 1, 64 >> scale, 96 >> scale)
        assert 0 < output.min() <= output.max() < 1
    sum(output.sum() for output in outputs.values()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("decoder", [SkipDecoder, GridDecoder])
@pytest.mark.parametrize("scales", [(1, 2), (), (0, 5), (0, 0)])
def test_impossible_scales_are_refused(decoder, scales):
    with pytest.raises(MdtkError, match=r"MODEL\.SCALES"):
        decoder(CHANNELS, REDUCTIONS, scales)


def test_predictive_mask_has_a_channel_a_source():
    mask = SkipDecoder(CHANNELS, REDUCTIONS, (0, 1), out_channels=3)
    outputs = mask(features(CHANNELS, REDUCTIONS))
    assert [tuple(outputs[s].shape) for s in (0, 1)] == [(2, 3, 64, 96), (2, 3, 32, 48)]


def test_skip_decoder_uses_every_skip():
    net = SkipDecoder([6, *CHANNELS], [1, *REDUCTIONS], (0,)).eval()
    inputs = features([6, *CHANNELS], [1, *REDUCTIONS])
    with torch.no_grad():
        before = net(inputs)[0]
        for index in range(len(inputs)):
            changed = [f + (i == index) for i, f in enumerate(inputs)]
            assert (net(changed)[0] - before).abs().max() > 1e-6


def test_grid_decoder_widths():
    """Half the encoder's channels a row, 16 in the finest (BDEdepth)."""
    net = GridDecoder([64, 64, 18, 36, 72, 144], [1, 2, 4, 8, 16, 32])
    assert [net.lateral[f"{row}_0"][1].out_channels for row in range(6)] == [16, 32, 9, 18, 36, 72]
    assert len(net.lateral) == 18
    assert len(net.upward) == 15


def test_grid_decoder_initialisation():
    net = GridDecoder(CHANNELS, REDUCTIONS)
    weight = net.lateral["4_1"][1].weight
    assert abs(weight.std().item() - 0.02) < 0.003
    assert weight.abs().max() < 2.0
    assert net.lateral["4_1"][1].bias.abs().max() == 0


def test_reflected_border():
    conv = ReflectConv(1, 1)
    torch.nn.init.ones_(conv.conv.weight)
    torch.nn.init.zeros_(conv.conv.bias)
    image = torch.arange(9.0).view(1, 1, 3, 3)
    # Around pixel (0,0) = 0 the reflected 3×3 window is [[4,3,4],[1,0,1],[4,3,4]].
    assert conv(image)[0, 0, 0, 0].item() == 24
    assert conv(torch.ones(1, 1, 1, 4)).shape == (1, 1, 1, 4)

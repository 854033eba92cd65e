"""The depth network: an encoder and a decoder."""

from __future__ import annotations

from torch import Tensor, nn

from mdtk.core.errors import MdtkError
from mdtk.models.decoders import GridDecoder, SkipDecoder
from mdtk.models.encoders import Encoder

DECODERS = {"skip": SkipDecoder, "grid": GridDecoder}


class DepthNet(nn.Module):
    """Image in 0..1, (B,3,H,W), sides multiples of 32 → {scale: sigmoid disparity (B,1,H/2**scale,W/2**scale)}."""

    def __init__(self, encoder: Encoder, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def features(self, images_b3hw: Tensor) -> list[Tensor]:
        """The encoder's features, fine to coarse (a shared pose network and the predictive mask read them)."""
        return self.encoder(images_b3hw)

    def decode(self, features: list[Tensor]) -> dict[int, Tensor]:
        """Features → {scale: sigmoid disparity}."""
        return self.decoder(features)

    def forward(self, images_b3hw: Tensor) -> dict[int, Tensor]:
        height, width = images_b3hw.shape[-2:]
        if height % 32 or width % 32:
            raise MdtkError(
                f"the image is {width}x{height}, but sides must be multiples of 32; change DATA.WIDTH, DATA.HEIGHT"
            )
        return self.decode(self.features(images_b3hw))


def build_depth_net(encoder: Encoder, decoder: str, scales: tuple[int, ...]) -> DepthNet:
    """`encoder` with the decoder named `skip` (Monodepth2) or `grid` (BDEdepth), giving `scales`."""
    if decoder not in DECODERS:
        raise MdtkError(f"MODEL.DECODER is {decoder!r}; choose one of {', '.join(DECODERS)}")
    return DepthNet(encoder, DECODERS[decoder](encoder.channels, encoder.reductions, scales))

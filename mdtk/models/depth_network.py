"""The depth network: an encoder and a decoder."""

from __future__ import annotations

from torch import Tensor, nn

from mdtk.core.errors import MdtkError
from mdtk.models.decoders import DECODERS, Decoder
from mdtk.models.encoders import FeaturePyramid


class DepthNet(nn.Module):
    """Images in 0..1, (B,3·F,H,W), sides multiples of 32 → {scale: sigmoid (B,1,H/2**scale,W/2**scale)}."""

    def __init__(self, encoder: FeaturePyramid, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def features(self, images_bchw: Tensor) -> list[Tensor]:
        """The encoder's features, fine to coarse (a shared pose network and the predictive mask read them)."""
        return self.encoder(images_bchw)

    def decode(self, features: list[Tensor]) -> dict[int, Tensor]:
        """Features → {scale: sigmoid}."""
        return self.decoder(features)

    def forward(self, images_bchw: Tensor) -> dict[int, Tensor]:
        height, width = images_bchw.shape[-2:]
        if height % 32 or width % 32:
            raise MdtkError(
                f"the image is {width}x{height}, but sides must be multiples of 32; change DATA.WIDTH, DATA.HEIGHT"
            )
        return self.decode(self.features(images_bchw))


def build_depth_net(
    encoder: FeaturePyramid, decoder: str, scales: tuple[int, ...], first_sigmoid: float = 0.5
) -> DepthNet:
    """`encoder` with a registered decoder, `skip` (Monodepth2) or `grid` (BDEdepth) or another, giving `scales`.

    `first_sigmoid`: what the untrained network says everywhere; 0.5 leaves the decoder as it is.
    """
    built = DECODERS.find(decoder, "MODEL.DECODER")(encoder.channels, encoder.reductions, scales)
    if first_sigmoid != 0.5:
        if not isinstance(built, Decoder):
            raise MdtkError(f"MODEL.INIT_SIGMOID: the decoder {decoder} cannot be set; leave it at 0.5")
        built.set_first_sigmoid(first_sigmoid)
    return DepthNet(encoder, built)

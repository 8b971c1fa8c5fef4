"""The default network, a slim one: what `lite0_fpn` knows in under half of its multiply-adds.

The encoder's blocks are thinned, and the decoder ends at stride 4, where one place carries the logits of its 4x4
pixels (sub-pixel convolution, arXiv 1609.05158). What is finer than that enters there by strided convolutions of the
stride-2 features and of the guide, so no wide map is ever computed at stride 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from model.networks.efficientnet_lite import STEM_CHANNELS, EfficientNetLite
from model.networks.entry import Normalize
from model.networks.lite0_fpn import ContextBlock, Marks, conv, guide_pyramid, upsample

# Channels inside the blocks.
HIDDEN = (64, 96, 96, 144, 160, 288, 288, 320, 400, 400, 352, 320, 192, 192, 256)


class Lite0FPN2(nn.Module):
    """The slim click model, about 1.5 million parameters.

    Input sides must be multiples of 32. See `model.networks` for the shapes of `forward`. Layers that bear the
    names of `Lite0FPN`'s have their shapes and meaning, apart from the thinned blocks and `entry`.

    Args:
        width: channels at strides 16 and 8.
        fine_width: channels at stride 4.
        hidden: see `EfficientNetLite`.
    """

    backbone_prefix = "encoder."  # parameters that were pretrained and learn at a lower rate

    def __init__(
        self,
        width: int = 64,
        fine_width: int = 40,
        context_layers: int = 2,
        context_dim: int = 128,
        hidden: Sequence[int] = HIDDEN,
    ) -> None:
        super().__init__()
        self.normalize = Normalize((127 / 255,) * 3, (128 / 255,) * 3)  # what the ImageNet weights expect
        self.encoder = EfficientNetLite(hidden)
        self.entry = nn.Conv2d(3, STEM_CHANNELS, 3, stride=2, padding=1)
        c2, c4, c8, c16, c32 = self.encoder.channels
        self.context_in = conv(c32, context_dim, 1)
        self.context = nn.Sequential(*(ContextBlock(context_dim) for _ in range(context_layers)))
        self.top = conv(context_dim, width, 1)
        self.lateral = nn.ModuleDict({"16": conv(c16, width, 1), "8": conv(c8, width, 1)})
        self.marks = nn.ModuleDict(
            {"32": Marks(c32, context_dim), "16": Marks(c16, width), "8": Marks(c8, width)}
        )
        self.smooth = nn.ModuleDict({level: conv(width, width) for level in ("16", "8")})
        self.narrow = nn.Conv2d(width, fine_width, 1)
        self.detail = nn.ModuleDict(
            {
                "features4": nn.Conv2d(c4, fine_width, 1),
                "features2": nn.Conv2d(c2, fine_width, 2, stride=2),
                "guide": nn.Conv2d(3, fine_width, 4, stride=4),
            }
        )
        self.fine = nn.Sequential(
            nn.BatchNorm2d(fine_width),
            nn.ReLU(inplace=True),
            conv(fine_width, fine_width),
            conv(fine_width, fine_width),
        )
        self.head = nn.Conv2d(fine_width, 16, 1)
        self.aux_head = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Bx3xHxW RGB and guide, both in 0..1 -> Bx1xHxW logits."""
        return self.forward_train(image, guide)[0]

    def forward_train(self, image: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, with the auxiliary logits of the stride-8 level beside them."""
        f2, f4, f8, f16, f32 = self.encoder(self.normalize(image), self.entry(guide))
        _, _, g8, g16, g32 = guide_pyramid(guide)
        x = self.context_in(f32) + self.marks["32"](f32, g32)
        x = self.top(self.context(x))
        x = self._merge(x, "16", f16, g16)
        x = self._merge(x, "8", f8, g8)
        aux = self.aux_head(x)
        x = upsample(self.narrow(x), 2) + self.detail["features4"](f4)
        x = self.fine(x + self.detail["features2"](f2) + self.detail["guide"](guide))
        return F.pixel_shuffle(self.head(x), 4), upsample(aux, 8)

    def _merge(self, coarse: Tensor, level: str, features: Tensor, guide: Tensor) -> Tensor:
        marks = self.marks[level](features, guide)
        return self.smooth[level](upsample(coarse, 2) + self.lateral[level](features) + marks)

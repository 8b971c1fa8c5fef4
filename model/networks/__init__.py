"""Networks by name.

Every network maps an image (Bx3xHxW float RGB in 0..1) and a guide (Bx3xHxW float in 0..1: previous mask,
positive clicks, negative clicks) to logits (Bx1xHxW) at the same resolution, and normalises the image itself.
Networks with an auxiliary head also have `forward_train(image, guide) -> (logits, auxiliary logits)`; the latter are
None where a network of the kind was built without that head. A network that does not take every side that is a
multiple of `SIZE_STEP` has `takes(side)`, which tells.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from model.networks.deeplab import DeepLabR34
from model.networks.hrnet_ocr import HRNetOCR
from model.networks.lite0_fpn import Lite0FPN
from model.networks.lite0_fpn2 import Lite0FPN2
from model.networks.simpleclick import PUBLISHED, SimpleClick

SIZE_STEP = 32  # pixels: sides of inputs are multiples of the networks' deepest stride
LARGEST_GAP = 224  # pixels between sides that a published network takes

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "lite0-fpn": Lite0FPN,
    "lite0-fpn2": Lite0FPN2,
    "hrnet18s-ocr": partial(HRNetOCR, width=18, ocr_width=48, small=True),
    "hrnet18-ocr": partial(HRNetOCR, width=18, ocr_width=64),
    "hrnet32-ocr": partial(HRNetOCR, width=32, ocr_width=128),
    "deeplabv3plus-r34": DeepLabR34,
    "simpleclick": SimpleClick,  # of any size
    **{name: partial(SimpleClick, **params) for name, params in PUBLISHED.items()},
}


def nearest_size(pixels: float, network: nn.Module | None = None) -> int:
    """Return the side of an input, in pixels, that is nearest to one, of those that a network takes."""
    side = max(round(pixels / SIZE_STEP), 1) * SIZE_STEP
    takes: Callable[[int], bool] | None = getattr(network, "takes", None)
    if takes is None or takes(side):
        return side
    sides = range(SIZE_STEP, side + LARGEST_GAP + 1, SIZE_STEP)
    return min(filter(takes, sides), key=lambda other: abs(other - pixels), default=side)


def build(name: str, **params: object) -> nn.Module:
    """Build a network with untrained weights.

    Raises:
        ValueError: unknown name, or parameters that the network does not take.
    """
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: use one of {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**params)
    except TypeError as error:
        raise ValueError(f"network {name!r} does not take these parameters: {error}") from error

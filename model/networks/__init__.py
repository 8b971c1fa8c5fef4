"""Networks by name.

Every network maps an image (Bx3xHxW float RGB in 0..1) and a guide (Bx3xHxW float in 0..1: previous mask,
positive clicks, negative clicks) to logits (Bx1xHxW) at the same resolution, and normalises the image itself.
Networks with an auxiliary head also have `forward_train(image, guide) -> (logits, auxiliary logits)`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from model.networks.lite0_fpn import Lite0FPN

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "lite0-fpn": Lite0FPN,
}


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

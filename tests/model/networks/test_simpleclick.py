"""SimpleClick's networks; their parity with the original is tested with the importer."""

from __future__ import annotations

import pytest
import torch

from model.engines.openvino import OpenVINOEngine
from model.engines.torch_cpu import TorchEngine
from model.networks import build
from model.networks.simpleclick import PUBLISHED, SimpleClick

SMALL = {"patch": 16, "dim": 32, "depth": 8, "heads": 2, "neck": (24, 32, 40, 48), "channels": 16}


def small(**changes: object) -> SimpleClick:
    torch.manual_seed(0)
    network = build("simpleclick", **{**SMALL, "image": (224, 224), **changes}).eval()
    assert isinstance(network, SimpleClick)
    return network


def unused(dim: int, channels: int) -> int:
    """Parameters that official files hold for nothing."""
    total = dim + dim + 2 * dim + 1000 * dim + 1000  # class token and its place, norm, classes
    for width in (channels, channels // 2):  # two transposed and 1x1 convolutions, their norms
        half = width // 2
        total += 4 * width * half + half + 2 * half + half * half + half + 2 * half
    return total


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("simpleclick-base", 98_025_513),
        ("simpleclick-large", 324_206_377),
        ("simpleclick-huge", 662_184_793),
        ("simpleclick-xtiny", 4_053_577),
    ],
)
def test_the_published_networks_have_the_published_sizes(name: str, stored: int) -> None:
    with torch.device("meta"):
        network = build(name)
    dim, channels = PUBLISHED[name]["dim"], PUBLISHED[name]["channels"]
    assert sum(p.numel() for p in network.parameters()) == stored - unused(dim, channels)


@pytest.mark.parametrize(
    ("height", "width", "patch"), [(224, 224, 16), (448, 672, 16), (448, 224, 14), (672, 672, 16)]
)
def test_logits_have_the_size_of_the_input(height: int, width: int, patch: int) -> None:
    network = small(patch=patch)
    with torch.inference_mode():
        logits = network(torch.rand(2, 3, height, width), torch.rand(2, 3, height, width))
    assert logits.shape == (2, 1, height, width)
    assert torch.isfinite(logits).all()


def test_every_channel_of_the_guide_counts() -> None:
    network, image = small(), torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        plain = network(image, torch.zeros(1, 3, 224, 224))
        for channel in range(3):
            guide = torch.zeros(1, 3, 224, 224)
            guide[:, channel, 100:120, 50:70] = 1
            assert (network(image, guide) - plain).abs().max() > 1e-4


def test_the_image_is_normalised_inside() -> None:
    other = small(norm_mean_std=((0, 0, 0), (1, 1, 1)))
    network, image, guide = small(), torch.rand(1, 3, 224, 224), torch.zeros(1, 3, 224, 224)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        same = other((image - mean[:, None, None]) / std[:, None, None], guide)
        assert torch.allclose(network(image, guide), same, atol=1e-5)


def test_openvino_answers_as_torch() -> None:
    network, chance = small(), torch.Generator().manual_seed(1)
    image = torch.randint(0, 256, (1, 448, 448, 3), generator=chance, dtype=torch.uint8).numpy()
    guide = torch.rand(1, 3, 448, 448, generator=chance).numpy()
    ours, theirs = (kind(network, 448).run(image, guide) for kind in (TorchEngine, OpenVINOEngine))
    assert abs(ours - theirs).max() < 1e-4

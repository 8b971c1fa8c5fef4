"""Networks by name."""

from __future__ import annotations

import pytest
import torch

from model.networks import NETWORKS, build, nearest_size
from tests.model.official_checkpoints import small_vit


@pytest.mark.parametrize("name", ["lite0-fpn", "lite0-fpn2", "hrnet18s-ocr", "deeplabv3plus-r34"])
def test_networks_keep_the_contract(name: str) -> None:
    torch.manual_seed(0)
    network = build(name).eval()
    image, guide = torch.rand(2, 2, 3, 32, 64)
    with torch.inference_mode():
        logits, auxiliary = network.forward_train(image, guide)
        assert torch.equal(network(image, guide), logits)
    assert logits.shape == (2, 1, 32, 64)
    assert (auxiliary is None) if name == "deeplabv3plus-r34" else (auxiliary.shape == logits.shape)


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="unknown network 'nothing'") as refused:
        build("nothing")
    assert all(name in str(refused.value) for name in NETWORKS)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hrnet18s-ocr.*does not take these parameters"):
        build("hrnet18s-ocr", with_previous=True)


def test_sides_of_inputs_are_multiples_of_the_deepest_stride() -> None:
    assert [nearest_size(pixels) for pixels in (1, 40, 50, 320.0)] == [32, 32, 64, 320]


def test_a_network_that_cuts_its_input_into_patches_gets_sides_that_divide() -> None:
    fine, coarse = small_vit(patch=14), small_vit(patch=16)
    assert [nearest_size(pixels, fine) for pixels in (1, 256, 300, 373, 480)] == [224, 224, 224, 448, 448]
    assert [nearest_size(pixels, coarse) for pixels in (1, 256, 300, 373, 565)] == [224, 256, 288, 384, 576]

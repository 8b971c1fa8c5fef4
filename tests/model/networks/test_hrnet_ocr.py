"""HRNet + OCR: sizes against the published ones, learning, and what is left out without OCR."""

from __future__ import annotations

import pytest
import torch

from model.networks import build
from model.networks.hrnet_ocr import HRNetOCR
from tests.model.networks.ritm_checks import assert_learns, assert_prefix_splits, assert_published_size


@pytest.mark.parametrize(
    ("name", "millions", "mib"),
    [("hrnet18s-ocr", 4.22, 16.5), ("hrnet18-ocr", 10.03, 38.8), ("hrnet32-ocr", 30.95, 119)],
)
def test_size_is_the_published_one(name: str, millions: float, mib: float) -> None:
    assert_published_size(name, millions, mib)


def test_it_learns_from_random_weights() -> None:
    assert_learns("hrnet18s-ocr", auxiliary=True)


def test_backbone_prefix_splits_pretrained_from_new() -> None:
    assert_prefix_splits("hrnet18s-ocr")


def test_without_ocr_there_is_no_auxiliary_answer() -> None:
    network = HRNetOCR(width=18, ocr_width=0, small=True).eval()
    with torch.inference_mode():
        logits, auxiliary = network.forward_train(torch.rand(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))
    assert (logits.shape, auxiliary) == ((1, 1, 32, 32), None)
    assert not [key for key in network.state_dict() if "ocr" in key or "aux" in key]
    assert "feature_extractor.ocr_distri_head.conv_bn_dropout.0.weight" in build("hrnet18s-ocr").state_dict()

"""The HRNet backbone: strides, the exchange between branches, and where click features join."""

from __future__ import annotations

import pytest
import torch

from model.networks.hrnet import Exchange, HRNet, resize


@pytest.fixture(scope="module")
def backbone() -> HRNet:
    torch.manual_seed(0)
    return HRNet(width=4, small=True).eval()


def test_all_branches_are_stacked_at_stride_4(backbone: HRNet) -> None:
    with torch.inference_mode():
        features = backbone.features(torch.rand(2, 3, 64, 96), None)
    assert backbone.channels == 4 + 8 + 16 + 32
    assert features.shape == (2, backbone.channels, 16, 24)


def test_click_features_join_behind_the_first_layer(backbone: HRNet) -> None:
    image, marks = torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 32, 32)
    with torch.inference_mode():
        without, zero = backbone.features(image, None), backbone.features(image, marks)
        marks[..., 5, 5] = 3
        marked = backbone.features(image, marks)
    torch.testing.assert_close(zero, without)
    assert (marked - without).abs().max() > 1e-4


def test_every_branch_hears_of_every_other_one() -> None:
    torch.manual_seed(0)
    exchange = Exchange((4, 8, 16), blocks=1).eval()
    inputs = [torch.rand(1, 4 * 2**i, 16 // 2**i, 16 // 2**i) for i in range(3)]
    with torch.inference_mode():
        before = exchange(list(inputs))
        assert [x.shape for x in before] == [x.shape for x in inputs]
        for changed in range(3):
            others = [x + 1 if i == changed else x for i, x in enumerate(inputs)]
            for old, new in zip(before, exchange(others), strict=True):
                assert (new - old).abs().max() > 1e-4


def test_resizing_keeps_the_corners() -> None:
    small = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    large = resize(small, torch.zeros(1, 1, 5, 5))[0, 0]
    assert large[::4, ::4].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert large[2, 2] == pytest.approx(2.5)

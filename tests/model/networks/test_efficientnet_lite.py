"""The encoder of both networks that come with weights."""

import pytest
import torch

from model.networks.efficientnet_lite import EfficientNetLite, InvertedResidual


def test_features_have_strides_2_to_32():
    features = EfficientNetLite().eval()(torch.rand(1, 3, 64, 96), torch.zeros(1, 32, 32, 48))
    assert [tuple(f.shape[1:]) for f in features] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]


@pytest.mark.parametrize("kernel, first, last", [(3, [0, 1, 2], [6, 7]), (5, [0, 1, 2, 3], [5, 6, 7])])
def test_strided_convolutions_pad_as_the_weights_were_trained(kernel: int, first: list[int], last: list[int]):
    """As TensorFlow's SAME: one row of zeros more after an image of 8 rows than before it."""
    block = InvertedResidual(1, 1, kernel, 2, 1, expand=False).eval()
    for module in block.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.ones_(module.weight)
    for place, rows in ((0, first), (-1, last)):
        image = torch.full((1, 1, 8, 8), 0.1, requires_grad=True)
        block(image)[0, 0, place, 0].backward()
        assert image.grad is not None
        assert torch.nonzero(image.grad[0, 0].sum(1))[:, 0].tolist() == rows


def test_thinned_blocks_are_all_named():
    with pytest.raises(ValueError, match="hidden has 1 entries: name one for each of the 15 blocks"):
        EfficientNetLite(hidden=[8])

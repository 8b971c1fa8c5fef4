"""DeepLabV3+ on ResNet-34: against the published size and keys, and against a reading of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from model.networks import build
from tests.model.networks.ritm_checks import assert_learns, assert_prefix_splits, assert_published_size
from tests.model.official_checkpoints import weights_of

NAME = "deeplabv3plus-r34"


def test_size_is_the_published_one() -> None:
    assert_published_size(NAME, millions=23.35, mib=89.7)


def test_keys_are_the_official_ones() -> None:
    state = build(NAME, deeplab_ch=128).state_dict()
    parts = "feature_extractor."
    shapes = {
        "maps_transform.0.weight": (16, 3, 1, 1),
        f"{parts}backbone.conv1.weight": (64, 3, 7, 7),
        f"{parts}backbone.layer3.0.downsample.0.weight": (256, 128, 1, 1),
        f"{parts}backbone.layer4.2.conv2.weight": (512, 512, 3, 3),
        f"{parts}head.block.0.body.0.weight": (160, 1, 3, 3),
        f"{parts}head.block.1.body.1.weight": (128, 128, 1, 1),
        f"{parts}head.block.2.bias": (128,),
        f"{parts}skip_project.skip_project.0.weight": (32, 64, 1, 1),
        f"{parts}aspp.concurent.0.0.weight": (128, 512, 1, 1),
        f"{parts}aspp.concurent.3.1.running_var": (128,),
        f"{parts}aspp.concurent.4.gap.1.weight": (128, 512, 1, 1),
        f"{parts}aspp.project.1.weight": (128,),
        "head.layers.0.body.1.weight": (64, 128, 1, 1),
        "head.layers.1.body.2.bias": (64,),
        "head.layers.2.weight": (1, 64, 1, 1),
    }
    assert {key: tuple(state[key].shape) for key in shapes} == shapes
    blocks = 16 * 12 + 3 * 6  # two convolutions with norms each; three shortcuts
    assert len(state) == 5 + 6 + blocks + 6 * 6 + 6 + 16 + 16


class Reading:
    """DeepLabV3+ R34 computed straight from a state dict, as an independent reading of the architecture."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def conv(self, x: Tensor, key: str, dilation: int = 1, stride: int = 1) -> Tensor:
        weight = self.state[f"{key}.weight"]
        padding = dilation * (weight.shape[2] // 2)
        groups = x.shape[1] // weight.shape[1]
        bias = self.state.get(f"{key}.bias")
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)

    def norm(self, x: Tensor, key: str) -> Tensor:
        mean, var, weight, bias = (
            self.state[f"{key}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias)

    def unit(self, x: Tensor, conv: str, norm: str, dilation: int = 1, stride: int = 1) -> Tensor:
        return F.relu(self.norm(self.conv(x, conv, dilation, stride), norm))

    def block(self, x: Tensor, key: str, dilations: tuple[int, int], stride: int) -> Tensor:
        y = self.unit(x, f"{key}.conv1", f"{key}.bn1", dilations[0], stride)
        y = self.norm(self.conv(y, f"{key}.conv2", dilations[1]), f"{key}.bn2")
        if f"{key}.downsample.0.weight" in self.state:
            x = self.norm(self.conv(x, f"{key}.downsample.0", stride=stride), f"{key}.downsample.1")
        return F.relu(x + y)

    def separable(self, x: Tensor, key: str) -> Tensor:
        return self.unit(self.conv(x, f"{key}.body.0"), f"{key}.body.1", f"{key}.body.2")

    def backbone(self, x: Tensor, marks: Tensor, key: str) -> tuple[Tensor, Tensor]:
        x = F.max_pool2d(self.unit(x, f"{key}.conv1", f"{key}.bn1", stride=2) + marks, 3, 2, 1)
        stages = [(3, 1, 1, 1), (4, 2, 1, 1), (6, 1, 1, 2), (3, 1, 2, 4)]
        outputs = []
        for stage, (count, stride, first, dilation) in enumerate(stages, 1):
            for i in range(count):
                dilations = (first if i == 0 else dilation, dilation)
                x = self.block(x, f"{key}.layer{stage}.{i}", dilations, stride if i == 0 else 1)
            outputs.append(x)
        return outputs[0], outputs[3]

    def pyramid(self, x: Tensor, key: str) -> Tensor:
        parts = [
            self.unit(x, f"{key}.concurent.{i}.0", f"{key}.concurent.{i}.1", rate)
            for i, rate in enumerate((1, 12, 24, 36))
        ]
        pooled = self.unit(
            x.mean((2, 3), keepdim=True), f"{key}.concurent.4.gap.1", f"{key}.concurent.4.gap.2"
        )
        return self.unit(
            torch.cat([*parts, pooled.expand_as(parts[0])], 1), f"{key}.project.0", f"{key}.project.1"
        )

    def logits(self, image: Tensor, guide: Tensor) -> Tensor:
        marks = F.leaky_relu(self.conv(guide, "maps_transform.0"), 0.2)
        marks = self.conv(marks, "maps_transform.2", stride=2) * self.state["maps_transform.3.scale"].abs()
        fine, x = self.backbone(image, marks, "feature_extractor.backbone")
        x = _resize(self.pyramid(x, "feature_extractor.aspp"), fine)
        skip = "feature_extractor.skip_project.skip_project"
        x = torch.cat([x, self.unit(fine, f"{skip}.0", f"{skip}.1")], 1)
        for key in ("feature_extractor.head.block", "head.layers"):
            x = self.conv(self.separable(self.separable(x, f"{key}.0"), f"{key}.1"), f"{key}.2")
        return _resize(x, image)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


def test_it_computes_what_its_weights_say() -> None:
    network = build(NAME).eval()
    state = weights_of(network)
    state["maps_transform.3.scale"].fill_(-0.5)  # only the size of the scale counts
    network.load_state_dict(state)
    chance = torch.Generator().manual_seed(0)
    image, guide = torch.rand(2, 1, 3, 104, 88, generator=chance)
    with torch.inference_mode():
        expected = Reading(state).logits(network.normalize(image), guide)
        actual = network(image, guide)
    assert (actual - expected).abs().max() < 1e-5 * expected.std()


def test_it_learns_from_random_weights() -> None:
    assert_learns(NAME, auxiliary=False)


def test_backbone_prefix_splits_pretrained_from_new() -> None:
    assert_prefix_splits(NAME)

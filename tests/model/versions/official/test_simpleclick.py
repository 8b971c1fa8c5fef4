"""Official SimpleClick checkpoints: parity with the original implementation, variants, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.networks import build
from model.versions import checkpoint
from model.versions.checkpoint import CheckpointError
from model.versions.official import importer, simpleclick
from model.versions.official.config import Config
from model.versions.official.torch_file import STAND_INS
from tests.model.official_checkpoints import (
    SHARED,
    CrossEntropyLoss,
    fill,
    guide_of,
    parity,
    vit_config,
    vit_weights,
    write,
)

SMALL = {"patch": 16, "dim": 32, "depth": 8, "heads": 2, "neck": [24, 32, 40, 48], "channels": 16}


def describe(settings: dict[str, Any]) -> dict[str, Any]:
    return simpleclick.describe(Config.parse(settings, Path("x.pth")))


def test_same_answer_as_the_original(tmp_path: Path) -> None:
    described, arrays = parity("simpleclick_parity", "plainvit_base448")
    settings = described["config"]
    settings["params"]["head_params"]["value"]["loss_decode"] = CrossEntropyLoss()
    state = fill((key, shape) for key, shape, _ in described["state_dict"])
    network, card = importer.read(write(tmp_path / "base.pth", state, settings))
    assert card["architecture"] == {"name": "simpleclick-base", "params": {}}
    assert (card["size"], card["encoding"]) == (448, {"name": "disk", "radius": 5.0})
    seen = torch.from_numpy(arrays["image_and_prev_mask"].astype(np.float32))
    clicks = np.stack([guide_of(points, 448, 448) for points in arrays["points"]])
    with torch.inference_mode():
        logits = network(seen[:, :3], torch.cat([seen[:, 3:], torch.from_numpy(clicks)], 1))
    theirs = arrays["instances"]
    assert np.abs(logits.numpy() - theirs).max() < 1e-4 * theirs.std()


def test_the_original_pickle_of_a_config_is_read(tmp_path: Path) -> None:
    parity("simpleclick_parity", "plainvit_base448")
    source = SHARED / "data/simpleclick_parity/plainvit_base448.config.pth"
    with pytest.raises(CheckpointError, match="no state_dict and config"):  # it holds no weights
        importer.read(source)
    with torch.serialization.safe_globals(STAND_INS):
        settings = torch.load(source, weights_only=True)["config"]
    assert describe(settings)["architecture"] == {"name": "simpleclick-base", "params": {}}


VARIANTS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({}, "simpleclick", SMALL | {"image": [224, 224]}),
    ({"patch": 14}, "simpleclick", SMALL | {"patch": 14, "image": [224, 224]}),
    ({"img_size": (224, 448)}, "simpleclick", SMALL | {"image": [224, 448]}),
    ({"side": 448, "use_rgb_conv": False, "use_leaky_relu": False}, "simpleclick", SMALL),
    (
        {"depth": 12, "qkv_bias": None, "upsample": None},
        "simpleclick",
        SMALL | {"depth": 12, "image": [224, 224]},
    ),
    (
        {"norm_mean_std": ([0.5, 0.5, 0.5], [0.2, 0.2, 0.2])},
        "simpleclick",
        SMALL | {"image": [224, 224], "norm_mean_std": [[0.5, 0.5, 0.5], [0.2, 0.2, 0.2]]},
    ),
    (
        {
            "side": 448,
            "dim": 160,
            "heads": 4,
            "out_dims": [96, 192, 288, 384],
            "in_channels": (96, 192, 288, 384),
            "channels": 128,
        },
        "simpleclick-xtiny",
        {},
    ),
]


@pytest.mark.parametrize(("changes", "name", "params"), VARIANTS)
def test_variants(changes: dict[str, Any], name: str, params: dict[str, Any], tmp_path: Path) -> None:
    state = vit_weights(build(name, **params), changes.get("channels", 16))
    network, card = importer.read(write(tmp_path / "variant.pth", state, vit_config(**changes)))
    assert card["architecture"] == {"name": name, "params": params}
    for key, value in network.state_dict().items():
        stored = state[key][:, 1:] if key == "backbone.pos_embed" else state[key]
        assert torch.equal(value, stored), key
    checkpoint.save(tmp_path / "saved", network, card)
    image, guide = torch.rand(2, 1, 3, 448, 224)
    with torch.inference_mode():
        logits = network(image, guide)
        assert torch.equal(checkpoint.load(tmp_path / "saved")[0](image, guide), logits)


def test_the_card_says_how_the_authors_ask_and_what_the_weights_may_be_used_for(tmp_path: Path) -> None:
    card = describe(vit_config(side=448))
    assert card["size"] == 448
    assert card["inference"] == {
        "stretch": True,
        "expansion": 1.4,
        "min_side": 200,
        "flip": True,
        "refine": False,
        "merge": False,
        "threshold": 0.49,
        "large_size": 672,
        "large_from": 800,
    }
    assert "not for commercial use" in card["terms"]
    assert "large_size" not in describe(vit_config(side=224))["inference"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"upsample": "x2"}, "upsample is 'x2'; supported is 'x1' alone"),
        ({"upsample": "x4"}, "upsample is 'x4'"),
        ({"align_corners": True}, "align_corners is True"),
        ({"num_classes": 2}, "num_classes is 2"),
        ({"in_index": [3, 2, 1, 0]}, "in_index is"),
        ({"with_prev_mask": False}, "with_prev_mask is False; supported is True alone"),
        ({"use_disks": None}, "use_disks is None"),
        ({"use_rgb_conv": True}, "use_rgb_conv is True; supported is False alone"),
        ({"use_leaky_relu": True}, "use_leaky_relu is True"),
        ({"random_split": True}, "random_split is True"),
        ({"norm_radius": -1}, "norm_radius is -1"),
        ({"norm_mean_std": ([0, 0, 0], [1, 1, 0])}, "norm_mean_std is"),
        ({"norm_mean_std": 3}, "norm_mean_std is 3"),
        ({"conv_extend": True}, "option conv_extend=True is unknown"),
        ({"embed_dim": 10**9}, "embed_dim is 1000000000; it must be a whole number from 1 to 4096"),
        ({"embed_dim": 64}, r"in_dim is 32; supported is 64 alone"),
        ({"depth": True}, "depth is True"),
        ({"num_heads": None}, "backbone_params has no num_heads"),
        ({"mlp_ratio": 2}, "mlp_ratio is 2"),
        ({"in_chans": 4}, "in_chans is 4"),
        ({"patch_size": (16, 14)}, r"patch_size is \(16, 14\)"),
        ({"img_size": 224}, "img_size is 224; it must be a list of 2"),
        ({"out_dims": [24, 32, 40]}, r"out_dims is \[24, 32, 40\]"),
        ({"in_channels": [24, 32, 40, 4]}, "in_channels is"),
        ({"head_params": "none"}, "head_params is missing"),
    ],
)
def test_unsupported_configs_are_named(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CheckpointError, match=f"x.pth: {complaint}"):
        describe(vit_config(**changes))


def test_weights_must_fit_the_config(tmp_path: Path) -> None:
    state = vit_weights(build("simpleclick", **SMALL, image=[224, 224]))
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"extra.weight": torch.zeros(1)}, {}, r"extra\.weight has no place"),
        ({"head.conv_seg.bias": torch.zeros(2)}, {}, r"head\.conv_seg\.bias has shape"),
        ({"backbone.pos_embed": torch.zeros(1, 196, 32)}, {}, r"pos_embed has shape \(1, 195, 32\)"),
        ({"backbone.pos_embed": torch.zeros(197)}, {}, r"pos_embed has shape \(197,\)"),
        ({"head.conv_seg.bias": torch.tensor([torch.inf])}, {}, "holds NaN or infinite values"),
        ({}, {"depth": 12}, r"backbone\.blocks\.\d+\S+ is missing"),
        ({}, {"depth": 6}, "depth must be a multiple of 4"),
        ({}, {"heads": 5}, "the channels of the heads"),
    ]
    for changes, settings, complaint in cases:
        write(tmp_path / "x.pth", state | changes, vit_config(**settings))
        with pytest.raises(CheckpointError, match=complaint):
            importer.read(tmp_path / "x.pth")

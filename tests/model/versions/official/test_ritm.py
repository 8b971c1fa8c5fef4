"""Official checkpoints: parity with the original implementation, variants, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.networks import build
from model.versions.checkpoint import CheckpointError
from model.versions.official import importer, ritm
from model.versions.official.config import Config
from tests.model.official_checkpoints import (
    DEEPLAB,
    HRNET,
    ITERATIVE,
    config,
    fill,
    guide_of,
    parity,
    weights_of,
    write,
)


def describe(settings: dict[str, Any]) -> dict[str, Any]:
    return ritm.describe(Config.parse(settings, Path("x.pth")))


def test_same_answer_as_the_original(tmp_path: Path) -> None:
    described, arrays = parity("ritm_parity", "h18s_itermask")
    state = fill((key, shape) for key, shape, _ in described["state_dict"])
    network, card = importer.read(write(tmp_path / "h18s.pth", state, described["config"]))
    assert card["architecture"] == {"name": "hrnet18s-ocr", "params": {}}
    assert card["encoding"] == {"name": "disk", "radius": 5.0}
    seen = torch.from_numpy(arrays["image_and_prev_mask"].astype(np.float32))
    clicks = [guide_of(points, *seen.shape[2:]) for points in arrays["points"]]
    guide = torch.cat([seen[:, 3:], torch.from_numpy(np.stack(clicks))], 1)
    with torch.inference_mode():
        logits, auxiliary = network.forward_train(seen[:, :3], guide)
        assert torch.equal(network(seen[:, :3], guide), logits)
    for ours, name in ((logits, "instances"), (auxiliary, "instances_aux")):
        theirs = arrays[name]
        assert np.abs(ours.numpy() - theirs).max() < 1e-4 * theirs.std(), name


VARIANTS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (HRNET, {"width": 18, "ocr_width": 64, **ITERATIVE}, "hrnet18-ocr", {}),
    (HRNET, {"width": 32, "ocr_width": 128, **ITERATIVE}, "hrnet32-ocr", {}),
    (
        HRNET,  # the baseline that is not trained iteratively
        {"width": 18, "ocr_width": 64, **ITERATIVE, "with_prev_mask": False},
        "hrnet18-ocr",
        {"with_prev_mask": False},
    ),
    (HRNET, {"width": 18, "ocr_width": 0, "small": True, **ITERATIVE}, "hrnet18s-ocr", {"ocr_width": 0}),
    (
        HRNET,
        {"width": 18, "ocr_width": 32, "small": True, **ITERATIVE, "conv_extend": True},
        "hrnet18s-ocr",
        {"ocr_width": 32, "conv_extend": True},
    ),
    (
        DEEPLAB,
        {"backbone": "resnet34", "deeplab_ch": 128, "aspp_dropout": 0.2, **ITERATIVE},
        "deeplabv3plus-r34",
        {"deeplab_ch": 128, "aspp_dropout": 0.2},
    ),
    (
        DEEPLAB,
        {
            "backbone": "resnet34",
            "deeplab_ch": 64,
            **ITERATIVE,
            "use_rgb_conv": True,
            "use_leaky_relu": False,
            "binary_prev_mask": True,
        },
        "deeplabv3plus-r34",
        {
            "deeplab_ch": 64,
            "aspp_dropout": 0.5,
            "use_rgb_conv": True,
            "use_leaky_relu": False,
            "binary_prev_mask": True,
        },
    ),
]


@pytest.mark.parametrize(("kind", "options", "name", "params"), VARIANTS)
def test_variants(
    kind: str, options: dict[str, Any], name: str, params: dict[str, Any], tmp_path: Path
) -> None:
    state = weights_of(build(name, **params))
    network, card = importer.read(write(tmp_path / "variant.pth", state, config(kind, **options)))
    assert card["architecture"] == {"name": name, "params": params}
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        key: value.shape for key, value in state.items()
    }
    chance = torch.Generator().manual_seed(1)
    image, guide = torch.rand(2, 1, 3, 40, 56, generator=chance)
    with torch.inference_mode():
        logits = network(image, guide)
        other = network(image, torch.cat([1 - guide[:, :1], guide[:, 1:]], 1))
    assert logits.shape == (1, 1, 40, 56)
    assert torch.isfinite(logits).all()
    assert torch.equal(logits, other) is (not options["with_prev_mask"])


def test_options_left_out_are_the_constructors_defaults(tmp_path: Path) -> None:
    settings = config(HRNET, width=18, ocr_width=48, small=True)
    state = weights_of(build("hrnet18s-ocr", with_prev_mask=False, use_leaky_relu=False, use_rgb_conv=True))
    _, card = importer.read(write(tmp_path / "old.pth", state, settings))
    assert card["encoding"] == {"name": "distance", "radius": 260.0}
    assert card["architecture"]["params"] == {
        "with_prev_mask": False,
        "use_leaky_relu": False,
        "use_rgb_conv": True,
    }


def test_plain_options_and_own_normalisation() -> None:
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    plain = {"width": 18, "ocr_width": 48, "small": True, "norm_mean_std": (mean, std), **ITERATIVE}
    card = describe({"class": HRNET, "params": plain})
    assert card["encoding"] == {"name": "disk", "radius": 5.0}
    network = build(card["architecture"]["name"], **card["architecture"]["params"])
    assert network.normalize.mean.flatten().tolist() == pytest.approx(mean)
    assert network.normalize.std.flatten().tolist() == pytest.approx(std)


SMALL = {"width": 18, "ocr_width": 48, "small": True, **ITERATIVE}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (config(HRNET, **SMALL | {"width": 48}), "width 48 small; supported are 18 small, 18, 32"),
        (config(HRNET, **SMALL | {"width": [18]}), r"width is \[18\]; it must be a whole number"),
        (config(DEEPLAB, backbone="resnet101"), "resnet101; supported is resnet34"),
        (config(HRNET, **SMALL, clicks_groups=[5, 5]), "clicks_groups"),
        (config(HRNET, **SMALL, pipeline_version="s1"), "option pipeline_version='s1' is unknown"),
        (config(HRNET, **SMALL | {"norm_radius": 0}), "norm_radius is 0"),
        (config(HRNET, **SMALL | {"ocr_width": 10**9}), "ocr_width is 1000000000; it must be a whole number"),
        (config(DEEPLAB, backbone="resnet34", deeplab_ch="64"), "deeplab_ch is '64'"),
        (config(HRNET, **SMALL | {"backbone_norm_layer": "a.b.GroupNorm"}), "GroupNorm"),
        ({"params": None}, "no class and params"),
    ],
)
def test_unsupported_configs_are_named(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        describe(settings)


def test_weights_must_fit_the_config(tmp_path: Path) -> None:
    path, settings = tmp_path / "x.pth", config(HRNET, **SMALL)
    state = weights_of(build("hrnet18s-ocr"))
    torch.save({"state_dict": state}, path)
    with pytest.raises(CheckpointError, match="no state_dict and config"):
        importer.read(path)
    write(path, {**state, "extra.weight": torch.zeros(1)}, settings)
    with pytest.raises(CheckpointError, match=r"extra\.weight has no place"):
        importer.read(path)
    write(path, {**state, "maps_transform.3.scale": torch.tensor([torch.nan])}, settings)
    with pytest.raises(CheckpointError, match=r"scale holds NaN"):
        importer.read(path)
    write(path, state, config(HRNET, **SMALL | {"ocr_width": 64}))
    with pytest.raises(CheckpointError, match=r"has shape"):
        importer.read(path)

"""Checkpoints in the official formats of RITM and SimpleClick, with made-up weights."""

from __future__ import annotations

import json
import math
import os
import sys
import types
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.click import Click
from model.inference.click_maps import encode
from model.networks import build

SHARED = Path(os.environ.get("CLICKMASK_SHARED", Path(__file__).parents[2].parent / "shared"))

HRNET = "isegm.model.is_hrnet_model.HRNetModel"
DEEPLAB = "isegm.model.is_deeplab_model.DeeplabModel"
PLAIN_VIT = "isegm.model.is_plainvit_model.PlainVitModel"
LOSS = "isegm.model.modeling.transformer_helper.cross_entropy_loss"
ITERATIVE = {  # what the published models set
    "with_aux_output": True,
    "use_leaky_relu": True,
    "use_rgb_conv": False,
    "use_disks": True,
    "norm_radius": 5,
    "with_prev_mask": True,
}


def config(kind: str, **params: Any) -> dict[str, Any]:
    """A config as the original trainer writes it; classes as their dotted path."""
    entries = {key: {"type": "builtin", "value": value, "specified": True} for key, value in params.items()}
    norm = {"type": "class", "value": "torch.nn.modules.batchnorm.BatchNorm2d", "specified": False}
    return {"class": kind, "params": entries | {"norm_layer": norm}}


def fill(entries: Iterable[tuple[str, list[int]]]) -> dict[str, Tensor]:
    """Weights that depend on key and shape alone, in the ranges of trained ones."""
    return {key: torch.from_numpy(_values(key, shape)) for key, shape in entries}


def _values(key: str, shape: list[int]) -> np.ndarray:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("running_mean"):
        values = 0.1 * rng.standard_normal(shape)
    elif key.endswith("running_var"):
        values = rng.uniform(0.8, 1.2, shape)
    elif len(shape) == 4:
        values = rng.standard_normal(shape) * 0.6 / math.sqrt(math.prod(shape[1:]))
    elif len(shape) == 2:
        values = rng.standard_normal(shape) * 0.6 / math.sqrt(shape[1])
    elif key.endswith(".weight"):
        values = rng.uniform(0.8, 1.2, shape)
    else:
        values = 0.1 * rng.standard_normal(shape)
    return np.asarray(values, np.float32)


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Made-up weights for a network's own keys and shapes."""
    return fill((key, list(value.shape)) for key, value in network.state_dict().items())


def write(path: Path, state: dict[str, Tensor], settings: dict[str, Any]) -> Path:
    """Save a checkpoint as the original trainer does."""
    with _original_package():
        torch.save({"state_dict": state, "config": settings}, path)
    return path


def pickled_in_zip(path: Path, data: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """A PyTorch file with a pickle written by hand."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x/data.pkl", data)
        archive.writestr("x/byteorder", "little")
        archive.writestr("x/version", "3\n")
        archive.writestr("x/data/0", bytes(64))
    return path


def parity(folder: str, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description of a checkpoint, and input and output of the original implementation.

    Args:
        folder: ritm_parity or simpleclick_parity.
        name: of its files, without their endings.
    """
    place = SHARED / "data" / folder
    if not place.is_dir():
        pytest.skip(f"{place} is missing: it holds outputs of the original implementation")
    return json.loads((place / f"{name}.json").read_text()), dict(np.load(place / f"{name}.npz"))


def guide_of(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Disks of radius 5, 2xHxW, of 2Nx3 points (y, x, order) that name pixels by their index; below 0 = absent."""
    half = len(points) // 2
    clicks = [
        Click(float(x) + 0.5, float(y) + 0.5, place < half)  # pixel i has its centre at i + 0.5
        for place, (y, x, _) in enumerate(points)
        if y >= 0 or x >= 0
    ]
    return encode("disk", clicks, height, width, 5.0)


class CrossEntropyLoss(nn.Module):
    """The object that every official SimpleClick config holds."""

    def __init__(self) -> None:
        super().__init__()
        self.reduction, self.cls_criterion = "mean", cross_entropy


def cross_entropy() -> None:
    """The function that it refers to."""


CrossEntropyLoss.__module__ = cross_entropy.__module__ = LOSS


@contextmanager
def _original_package() -> Iterator[None]:
    """Let pickle find both where the original trainer has them."""
    parts = LOSS.split(".")
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    modules = {name: types.ModuleType(name) for name in names}
    modules[LOSS].__dict__.update(CrossEntropyLoss=CrossEntropyLoss, cross_entropy=cross_entropy)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


SMALL_VIT: dict[str, Any] = {  # of a SimpleClick with few channels, of the size that `vit_config` tells
    "name": "simpleclick",
    "params": {
        "image": [224, 224],
        "patch": 16,
        "dim": 32,
        "depth": 8,
        "heads": 2,
        "neck": [24, 32, 40, 48],
        "channels": 16,
    },
}


def small_vit(**changes: Any) -> nn.Module:
    """That network, or another one with some parameters of its own."""
    return build("simpleclick", **SMALL_VIT["params"] | changes)


def vit_config(
    side: int = 224, patch: int = 16, dim: int = 32, depth: int = 8, heads: int = 2, **changes: Any
) -> dict[str, Any]:
    """A config as SimpleClick's trainer writes it, small unless told otherwise, with a real pickled object in it.

    Args:
        changes: entries of backbone_params, neck_params, head_params or of the config itself, by their names; None
            leaves one out.
    """
    levels = [24, 32, 40, 48]
    sections: dict[str, dict[str, Any]] = {
        "backbone_params": {
            "img_size": [side, side],
            "patch_size": (patch, patch),
            "in_chans": 3,
            "embed_dim": dim,
            "depth": depth,
            "num_heads": heads,
            "mlp_ratio": 4,
            "qkv_bias": True,
        },
        "neck_params": {"in_dim": dim, "out_dims": levels},
        "head_params": {
            "in_channels": levels,
            "in_index": [0, 1, 2, 3],
            "dropout_ratio": 0.1,
            "num_classes": 1,
            "loss_decode": CrossEntropyLoss(),
            "align_corners": False,
            "upsample": "x1",
            "channels": 16,
        },
    }
    params = {"use_disks": True, "norm_radius": 5, "with_prev_mask": True, **sections, "cpu_dist_maps": False}
    for key, value in changes.items():
        owner = next((section for section in sections.values() if key in section), params)
        owner[key] = value
        if value is None:
            del owner[key]
    settings = config(PLAIN_VIT, **params)
    del settings["params"]["norm_layer"]  # its norms are no option
    return settings


def vit_weights(network: nn.Module, channels: int = 16) -> dict[str, Tensor]:
    """Made-up weights with the keys and shapes of an official SimpleClick file, unused ones included.

    Args:
        channels: of the mask head.
    """
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    dim = shapes["backbone.pos_embed"][2]
    shapes["backbone.pos_embed"][1] += 1  # the place of the class token
    shapes |= {
        "backbone.cls_token": [1, 1, dim],
        "backbone.head.weight": [1000, dim],
        "backbone.head.bias": [1000],
    }
    shapes |= {"backbone.fc_norm.weight": [dim], "backbone.fc_norm.bias": [dim]}
    for name in ("head.up_conv1", "head.up_conv2"):
        half = channels // 2
        layers = {
            "0.weight": [channels, half, 2, 2],
            "1.weight": [half],
            "2.weight": [half, half, 1, 1],
            "3.weight": [half],
        }
        shapes |= {f"{name}.{key}": shape for key, shape in layers.items()}
        shapes |= {f"{name}.{layer}.bias": [half] for layer in range(4)}
        channels = half
    return fill(shapes.items())

"""Checkpoints in the official RITM format, with made-up weights."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

SHARED = Path(os.environ.get("CLICKMASK_SHARED", Path(__file__).parents[2].parent / "shared"))
PARITY = SHARED / "data" / "ritm_parity"

HRNET = "isegm.model.is_hrnet_model.HRNetModel"
DEEPLAB = "isegm.model.is_deeplab_model.DeeplabModel"
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
    torch.save({"state_dict": state, "config": settings}, path)
    return path


def parity() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The description of the HRNet18s checkpoint, and input and output of the original implementation."""
    if not PARITY.is_dir():
        pytest.skip(f"{PARITY} is missing: it holds outputs of the original RITM implementation")
    description = json.loads((PARITY / "h18s_itermask.json").read_text())
    return description, dict(np.load(PARITY / "h18s_itermask.npz"))

"""Official RITM checkpoints (`.pth` of arXiv 2102.06583): a dict of `state_dict` and `config`, the constructor's
class and options. Read without running code from the file.

Only what describes the network is taken from it; its options are those of the original constructors, defaults
included, because older files leave out what they did not set.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.networks import build
from model.networks.guided import Entry
from model.versions.checkpoint import CheckpointError, check_tensors

# Side of our square input. RITM resizes what it zooms in on to a long side of 400; 384 is the multiple of 32 just
# below, and spares 8 % of the work.
SIZE = 384

COMMON = {
    "use_rgb_conv": True,
    "norm_radius": 260,
    "use_disks": False,
    "clicks_groups": None,
    "with_prev_mask": False,
    "use_leaky_relu": False,
    "binary_prev_mask": False,
    "conv_extend": False,
    "norm_mean_std": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}
HRNET = {"width": 48, "ocr_width": 256, "small": False}
DEEPLAB = {"backbone": "resnet50", "deeplab_ch": 256, "aspp_dropout": 0.5}
WITHOUT_EFFECT = {"backbone_lr_mult", "cpu_dist_maps", "with_aux_output"}  # on what the network answers
NORM_LAYERS = ("BatchNorm2d", "SyncBatchNorm")  # the same arithmetic in evaluation, the same keys

HRNETS = {
    (18, True): ("hrnet18s-ocr", 48),
    (18, False): ("hrnet18-ocr", 64),
    (32, False): ("hrnet32-ocr", 128),
}


def read(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read an official checkpoint.

    Returns:
        The network in evaluation mode, and a card for `checkpoint.save` with `architecture`, `encoding`, `size`,
        `parent` and `training`; the caller adds where the file came from.

    Raises:
        CheckpointError: it is no such file, holds code, or describes a network that is not supported.
    """
    content = _unpickle(path)
    if not isinstance(content, Mapping) or not {"state_dict", "config"} <= content.keys():
        raise CheckpointError(f"{path} has no state_dict and config; use a checkpoint as RITM publishes them")
    state, config = content["state_dict"], content["config"]
    if not isinstance(state, Mapping) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise CheckpointError(
            f"{path}: state_dict does not hold tensors; use a checkpoint as RITM publishes them"
        )
    architecture, encoding = describe(config, path)
    network = build(architecture["name"], **architecture["params"])
    check_tensors(state, network, path)
    network.load_state_dict(state)
    card = {
        "architecture": architecture,
        "encoding": encoding,
        "size": SIZE,
        "parent": None,
        "training": {"by": "the authors of the imported checkpoint", "config": _printable(config)},
        "metrics": {},
    }
    return network.eval(), card


def describe(config: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Translate a config into a card's `architecture` and `encoding`.

    Args:
        config: `class` (dotted path of the original class) and `params` (option -> value, or -> {"value": ...}).
        path: for messages.

    Raises:
        CheckpointError: a class or an option that is not supported.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("params"), Mapping):
        raise CheckpointError(
            f"{path}: config has no class and params; use a checkpoint as RITM publishes them"
        )
    kind = str(config.get("class")).rpartition(".")[2]
    given = {key: _value(value) for key, value in config["params"].items()}
    if kind == "HRNetModel":
        options = _options(given, HRNET | COMMON, path)
        name, params = _hrnet(options, path)
    elif kind == "DeeplabModel":
        options = _options(given, DEEPLAB | COMMON, path)
        name, params = _deeplab(options, path)
    else:
        raise CheckpointError(f"{path} holds a {kind}; supported are HRNetModel and DeeplabModel of RITM")
    return {"name": name, "params": params | _entry(options)}, _encoding(options, path)


def _unpickle(path: Path) -> Any:
    try:
        with open(path, "rb") as file:
            is_page = file.read(64).lstrip().startswith(b"<")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check the path") from None
    if is_page:
        raise CheckpointError(f"{path} is a web page; give the address of the file itself")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch meets what is no checkpoint with exceptions of many kinds
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise CheckpointError(
                f"{path} holds Python code or objects ({code[1]}), which are never loaded; save state_dict and "
                "config, as plain values, alone"
            ) from None
        raise CheckpointError(f"{path} is no torch checkpoint or is damaged; download it again") from None


def _value(entry: Any) -> Any:
    return entry["value"] if isinstance(entry, Mapping) and "value" in entry else entry


def _options(given: Mapping[str, Any], defaults: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The original constructor's options, after a check that all of them are understood."""
    for key, value in given.items():
        if key in ("norm_layer", "backbone_norm_layer"):
            if value is not None and str(value).rpartition(".")[2] not in NORM_LAYERS:
                raise CheckpointError(f"{path}: {key} is {value}; supported are {' and '.join(NORM_LAYERS)}")
        elif key not in defaults and key not in WITHOUT_EFFECT:
            raise CheckpointError(
                f"{path}: option {key}={value!r} is unknown; RITM's own models have no such one"
            )
    if given.get("clicks_groups") is not None:
        raise CheckpointError(f"{path}: clicks_groups is {given['clicks_groups']}; supported is None alone")
    return {key: given.get(key, default) for key, default in defaults.items()}


def _hrnet(options: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    width, small, ocr_width = options["width"], bool(options["small"]), options["ocr_width"]
    if (width, small) not in HRNETS:
        known = ", ".join(f"{w}{' small' if s else ''}" for w, s in HRNETS)
        raise CheckpointError(f"{path}: HRNet of width {width}{' small' * small}; supported are {known}")
    name, usual = HRNETS[width, small]
    return name, {} if ocr_width == usual else {"ocr_width": ocr_width}


def _deeplab(options: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    if options["backbone"] != "resnet34":
        raise CheckpointError(f"{path}: DeepLab on {options['backbone']}; supported is resnet34")
    return "deeplabv3plus-r34", {key: options[key] for key in ("deeplab_ch", "aspp_dropout")}


def _entry(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `Entry` that differ from its defaults."""
    mean, std = options["norm_mean_std"]
    wanted = dict(options) | {"norm_mean_std": (tuple(mean), tuple(std))}
    fields = {field.name: field.default for field in dataclasses.fields(Entry)}
    return {key: wanted[key] for key, default in fields.items() if wanted[key] != default}


def _encoding(options: Mapping[str, Any], path: Path) -> dict[str, Any]:
    radius = options["norm_radius"]
    if not isinstance(radius, int | float) or not radius > 0:
        raise CheckpointError(f"{path}: norm_radius is {radius!r}; it must be a number above 0")
    return {"name": "disk" if options["use_disks"] else "distance", "radius": float(radius)}


def _printable(config: Mapping[str, Any]) -> dict[str, str]:
    return {"class": str(config["class"])} | {k: str(_value(v)) for k, v in config["params"].items()}

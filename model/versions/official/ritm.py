"""Official RITM checkpoints (arXiv 2102.06583): from their config to our card.

Only what describes the network is taken from it; its options are those of the original constructors, defaults
included, because older files leave out what they did not set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from model.networks.guided import Entry
from model.versions.official.config import NORM, Config

KINDS = ("HRNetModel", "DeeplabModel")

# Side of our square input. RITM resizes what it zooms in on to a long side of 400; 384 is the multiple of 32 just
# below, and spares 8 % of the work.
SIZE = 384

RADIUS = 260
COMMON = {
    "use_rgb_conv": True,
    "norm_radius": RADIUS,
    "use_disks": False,
    "clicks_groups": None,
    "with_prev_mask": False,
    "use_leaky_relu": False,
    "binary_prev_mask": False,
    "conv_extend": False,
    "norm_mean_std": NORM,
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


def describe(config: Config) -> dict[str, Any]:
    """Translate a config into a card's `architecture`, `encoding` and `size`.

    Raises:
        CheckpointError: an option that is not supported.
    """
    if config.kind == "HRNetModel":
        options = _options(config, HRNET | COMMON)
        name, params = _hrnet(config, options)
    else:
        options = _options(config, DEEPLAB | COMMON)
        name, params = _deeplab(config, options)
    architecture = {"name": name, "params": params | _entry(config, options)}
    return {"architecture": architecture, "encoding": config.encoding(RADIUS), "size": SIZE}


def _options(config: Config, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the original constructor's options, after a check that all of them are understood."""
    for key, value in config.options.items():
        if key in ("norm_layer", "backbone_norm_layer"):
            if value is not None and str(value).rpartition(".")[2] not in NORM_LAYERS:
                raise config.error(f"{key} is {value}; supported are {' and '.join(NORM_LAYERS)}")
        elif key not in defaults and key not in WITHOUT_EFFECT:
            raise config.error(f"option {key}={value!r} is unknown; RITM's own models have no such one")
    config.only("clicks_groups", config.options.get("clicks_groups"), (None,))
    return {key: config.options.get(key, default) for key, default in defaults.items()}


def _hrnet(config: Config, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    width, small = config.count("width", options["width"]), bool(options["small"])
    ocr_width = config.count("ocr_width", options["ocr_width"], least=0)
    if (width, small) not in HRNETS:
        known = ", ".join(f"{w}{' small' if s else ''}" for w, s in HRNETS)
        raise config.error(f"HRNet of width {width}{' small' * small}; supported are {known}")
    name, usual = HRNETS[width, small]
    return name, {} if ocr_width == usual else {"ocr_width": ocr_width}


def _deeplab(config: Config, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if options["backbone"] != "resnet34":
        raise config.error(f"DeepLab on {options['backbone']}; supported is resnet34")
    channels = config.count("deeplab_ch", options["deeplab_ch"], least=2)
    return "deeplabv3plus-r34", {"deeplab_ch": channels, "aspp_dropout": options["aspp_dropout"]}


def _entry(config: Config, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `Entry` that differ from its defaults."""
    wanted = dict(options) | {"norm_mean_std": config.norm()}
    fields = {field.name: field.default for field in dataclasses.fields(Entry)}
    return {key: wanted[key] for key, default in fields.items() if wanted[key] != default}

"""Official SimpleClick checkpoints (arXiv 2210.11006): from their config to our card.

The card carries how the authors ask their networks, too, because that is what the published figures were measured
with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from model.networks.simpleclick import PUBLISHED
from model.versions.official.config import NORM, Config

KINDS = ("PlainVitModel",)

TERMS = (
    "SimpleClick's weights come without a licence of their own (its code is MIT). They were tuned from MAE weights, "
    "which are CC BY-NC 4.0, on COCO+LVIS or SBD: not for commercial use until their authors have cleared it"
)
RADIUS = 5
SIZE, LARGE_SIZE = 448, 672
# The authors' evaluation: zoom-in from the first click on, to the object's own box, stretched to the input; for
# DAVIS, whose images alone are wider than 800 pixels there, to an input of 672 pixels instead of 448.
INFERENCE = {
    "stretch": True,
    "expansion": 1.4,
    "min_side": 200,
    "flip": True,
    "refine": False,
    "merge": False,
    "threshold": 0.49,
}
LARGE = {"large_size": LARGE_SIZE, "large_from": 800}

WITHOUT_EFFECT = ("cpu_dist_maps",)  # on what the network answers
NEEDED = ("with_prev_mask", "use_disks")  # must be on
# Must not be on.
REFUSED = ("use_rgb_conv", "use_leaky_relu", "binary_prev_mask", "random_split", "with_aux_output")
LEVELS = 4
SECTIONS = {  # of options, each with what must be in it
    "backbone_params": ("img_size", "patch_size", "embed_dim", "depth", "num_heads"),
    "neck_params": ("in_dim", "out_dims"),
    "head_params": ("in_channels", "channels"),
}
FIXED: dict[str, dict[str, tuple[object, ...]]] = {  # what may be in it, with the values that are supported
    "backbone_params": {"in_chans": (3,), "mlp_ratio": (4,), "qkv_bias": (True,)},
    "neck_params": {},
    "head_params": {
        "in_index": ([0, 1, 2, 3], (0, 1, 2, 3)),
        "num_classes": (1,),
        "align_corners": (False,),
        "upsample": ("x1",),
    },
}
IGNORED = ("dropout_ratio", "loss_decode")  # matter in training alone

# Weights that are in the file, but without a part in the answer.
UNUSED = ("backbone.cls_token", "backbone.fc_norm.", "backbone.head.", "head.up_conv1.", "head.up_conv2.")
POSITIONS = "backbone.pos_embed"


def describe(config: Config) -> dict[str, Any]:
    """Translate a config into a card's `architecture`, `encoding`, `size`, `inference` and `terms`.

    Raises:
        CheckpointError: an option that is not supported.
    """
    options = config.options
    for key, value in options.items():
        if key not in {*NEEDED, *REFUSED, *WITHOUT_EFFECT, *SECTIONS, "norm_radius", "norm_mean_std"}:
            raise config.error(
                f"option {key}={value!r} is unknown; SimpleClick's own models have no such one"
            )
    for key in NEEDED:
        config.only(key, options.get(key), (True,))
    for key in REFUSED:
        config.only(key, options.get(key, False), (False,))
    params = _params(config)
    size = max(params["image"])
    return {
        "architecture": _architecture(params, config),
        "encoding": config.encoding(RADIUS),
        "size": size,
        "inference": INFERENCE | (LARGE if size == SIZE else {}),
        "terms": TERMS,
    }


def weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out what has no part in the answer: see `UNUSED`, and the place of the class token."""
    used = {key: value for key, value in state.items() if not key.startswith(UNUSED)}
    if POSITIONS in used and used[POSITIONS].ndim == 3:
        used[POSITIONS] = used[POSITIONS][:, 1:]
    return used


def _params(config: Config) -> dict[str, Any]:
    """Return the parameters of `SimpleClick`."""
    backbone, neck, head = (_section(config, name) for name in SECTIONS)
    patch = config.counts("patch_size", backbone["patch_size"], 2)
    config.only("patch_size", patch, ((patch[0], patch[0]),))
    dim = config.count("embed_dim", backbone["embed_dim"])
    levels = config.counts("out_dims", neck["out_dims"], LEVELS)
    config.only("in_dim", neck["in_dim"], (dim,))
    config.only("in_channels", tuple(config.counts("in_channels", head["in_channels"], LEVELS)), (levels,))
    return {
        "patch": patch[0],
        "dim": dim,
        "depth": config.count("depth", backbone["depth"]),
        "heads": config.count("num_heads", backbone["num_heads"]),
        "neck": levels,
        "channels": config.count("channels", head["channels"]),
        "image": config.counts("img_size", backbone["img_size"], 2),
    }


def _section(config: Config, name: str) -> Mapping[str, Any]:
    """One of the nested dicts of options, after a check that all of them are understood."""
    section = config.options.get(name)
    if not isinstance(section, Mapping):
        raise config.error(f"{name} is missing; use a checkpoint as SimpleClick publishes them")
    missing = [key for key in SECTIONS[name] if key not in section]
    if missing:
        raise config.error(f"{name} has no {missing[0]}; use a checkpoint as SimpleClick publishes them")
    for key, value in section.items():
        if key in FIXED[name]:
            config.only(key, value, FIXED[name][key])
        elif key not in SECTIONS[name] and key not in IGNORED:
            raise config.error(
                f"option {key} of {name} is unknown; SimpleClick's own models have no such one"
            )
    return section


def _architecture(params: dict[str, Any], config: Config) -> dict[str, Any]:
    """Name and parameters for `model.networks.build`: the name of a published network where it is one."""
    own = {} if params["image"] == (SIZE, SIZE) else {"image": list(params["image"])}
    own |= {} if config.norm() == NORM else {"norm_mean_std": [list(part) for part in config.norm()]}
    sizes = {key: params[key] for key in params if key != "image"}
    for name, published in PUBLISHED.items():
        if sizes == published:
            return {"name": name, "params": own}
    return {"name": "simpleclick", "params": sizes | {"neck": list(params["neck"])} | own}

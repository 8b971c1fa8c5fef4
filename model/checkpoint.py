"""A checkpoint: a folder with `model.safetensors` and `card.json`, complete and verified or refused.

Format of the weights: https://github.com/huggingface/safetensors. No pickle is read or written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.encoding import ENCODINGS
from model.networks import build

WEIGHTS, CARD = "model.safetensors", "card.json"
Card = dict[str, Any]


class CheckpointError(ValueError):
    """A checkpoint that must not be served; the message names file, trouble and fix in one sentence."""


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(folder: Path, network: nn.Module, card: Card) -> Card:
    """Write weights and card into an existing folder and sync them to disk.

    Args:
        network: its state dict is written as it is, on the CPU.
        card: needs `architecture` {name, params}, `encoding` {name, radius} and `size`, the input side in pixels;
            `created` and `sha256` are filled in.

    Returns:
        The completed card.

    Raises:
        CheckpointError: the network carries values that are not finite, or the card lacks a key.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    _check_finite(folder / WEIGHTS, state)
    save_file(state, folder / WEIGHTS)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    complete = {"created": created, **card, "sha256": sha256(folder / WEIGHTS)}
    _check_card(folder / CARD, complete)
    (folder / CARD).write_text(json.dumps(complete, indent=2) + "\n")
    for path in (folder / WEIGHTS, folder / CARD, folder):
        sync(path)
    return complete


def save(folder: Path, network: nn.Module, card: Card) -> Card:
    """Write a checkpoint that appears whole or not at all, in place of one that was there; see `write`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as temporary:
        part = Path(temporary) / "new"
        part.mkdir()
        complete = write(part, network, card)
        if folder.exists():
            os.replace(folder, Path(temporary) / "old")
        os.replace(part, folder)
    return complete


def sync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_card(folder: Path) -> Card:
    """The card of a checkpoint, checked.

    Raises:
        CheckpointError: missing, damaged or incomplete.
    """
    path = folder / CARD
    try:
        card = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing: a checkpoint is a folder with {WEIGHTS} and {CARD}"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not readable JSON ({error}): restore or remove this version"
        ) from error
    _check_card(path, card)
    return card


def load(folder: Path) -> tuple[nn.Module, Card]:
    """Load a checkpoint.

    Returns:
        The network in evaluation mode on the CPU, and the card.

    Raises:
        CheckpointError: missing, truncated, altered, of another architecture, or with values that are not finite.
    """
    card = read_card(folder)
    path = folder / WEIGHTS
    if not path.exists():
        raise CheckpointError(f"{path} is missing: restore it or remove this version")
    if sha256(path) != card["sha256"]:
        raise CheckpointError(
            f"{path} does not match the sha256 in its card: it is damaged or was altered, restore it"
        )
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no whole safetensors file ({error}): restore it") from error
    _check_finite(path, state)
    architecture = card["architecture"]
    try:
        network = build(architecture["name"], **architecture.get("params", {}))
    except ValueError as error:
        raise CheckpointError(f"{folder / CARD}: {error}") from error
    _check_shapes(path, network.state_dict(), state)
    network.load_state_dict(state)
    return network.eval(), card


def copy(source: Path, target: Path) -> None:
    """Copy a checkpoint's two files into an existing folder and sync them."""
    for name in (WEIGHTS, CARD):
        shutil.copyfile(source / name, target / name)
        sync(target / name)
    sync(target)


def _check_card(path: Path, card: object) -> None:
    if not isinstance(card, dict):
        raise CheckpointError(f"{path} must hold a JSON object")
    for key in ("architecture", "encoding", "size", "sha256"):
        if key not in card:
            raise CheckpointError(f"{path} lacks {key!r}: this is no card of clickmask")
    if card["encoding"].get("name") not in ENCODINGS:
        raise CheckpointError(f"{path}: unknown click encoding {card['encoding'].get('name')!r}")
    if not isinstance(card["size"], int) or card["size"] <= 0 or card["size"] % 32:
        raise CheckpointError(f"{path}: size {card['size']!r} must be a multiple of 32")


def _check_finite(path: Path, state: dict[str, Tensor]) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckpointError(
                f"{path}: {key} holds NaN or infinity, so its masks would be void: train again"
            )


def _check_shapes(path: Path, expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    for key in expected.keys() | found.keys():
        if key not in found:
            raise CheckpointError(
                f"{path} lacks {key}: it belongs to another architecture than its card says"
            )
        if key not in expected:
            raise CheckpointError(
                f"{path} has a surplus {key}: it belongs to another architecture than its card says"
            )
        if expected[key].shape != found[key].shape:
            shapes = f"{tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
            raise CheckpointError(f"{path}: {key} has shape {shapes}: other parameters than its card says")

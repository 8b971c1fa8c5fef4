"""A trained network on disk: a folder with `model.safetensors` (weights) and `card.json` (what they are).

Tensors whose names begin with `HEAD` belong to the head for proposals (`model.proposals.trained`), which was trained
on the features of these very weights and so travels with them.

The folder appears complete or not at all, and nothing is loaded that the card does not vouch for.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from model.errors import ClickmaskError
from model.inference.click_maps import ENCODINGS
from model.inference.config import InferenceConfig
from model.networks import SIZE_STEP, build

WEIGHTS = "model.safetensors"
CARD = "card.json"
HEAD = "proposals."
FACTS = ("domain", "metrics", "proposals")  # keys of a card that may be missing
LOOKS = ("later", "closer")  # keys of a card: input sides beside `size`

Stamp = tuple[tuple[int, int, int] | None, ...]


class CheckpointError(ClickmaskError, ValueError):
    """A checkpoint cannot be used, and that stays so; the message names the file, the trouble and the fix."""


class UnreadableError(ClickmaskError, OSError):
    """A checkpoint cannot be read now: the disk is to blame, and trying again may help."""


def save(
    folder: Path, network: nn.Module, card: Mapping[str, Any], head: Mapping[str, Tensor] | None = None
) -> dict[str, Any]:
    """Write weights and card into `folder`, which appears complete or not at all.

    An existing folder is replaced; a process killed in that very moment leaves the old one beside it.

    Args:
        folder: its parent is made where it is missing.
        network: what `build` gives for the card's architecture.
        card: at least `architecture` {name, params}, `encoding` {name, radius} and `size` (side of the square
            input in pixels, a multiple of 32); `later` and `closer` (the same for those looks of `Predictor`) where
            the network was trained for them; `inference` (see `InferenceConfig`) where it is asked otherwise than our
            own; `parent`, `training`, `metrics` and `terms` (of the weights) by convention.
        head: tensors of a head for proposals, which the card's `proposals` describe; None for none.

    Returns:
        The card as written: with `created` (ISO 8601, UTC) and `sha256` (of the weights file).

    Raises:
        CheckpointError: weights that are not finite, or a card that does not describe the network.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    where = folder / WEIGHTS
    own = {HEAD + key: value.detach().cpu().contiguous() for key, value in (head or {}).items()}
    data = to_safetensors(tensors | own, {"format": "pt"})
    created = datetime.now(UTC).isoformat(timespec="seconds")
    full = {"created": created, **card, "sha256": hashlib.sha256(data).hexdigest()}
    check_card(full, folder / CARD)
    with torch.device("meta"):
        check_tensors(tensors, _network(full, folder / CARD), where)
    write_folder(folder, {WEIGHTS: data, CARD: _to_json(full, folder / CARD)})
    return full


def load(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Read a checkpoint: the network on the CPU in evaluation mode, and the card.

    Raises:
        CheckpointError: a file is missing, damaged, altered, or does not fit the card.
        UnreadableError: a file is there and cannot be read.
    """
    card, path = check_weights(folder), folder / WEIGHTS
    try:
        tensors = load_file(path)  # from the disk as they are needed: weights may fill half of the memory
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file ({error}); export or import it again") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    tensors = {key: value for key, value in tensors.items() if not key.startswith(HEAD)}
    with torch.device("meta"):  # takes no memory, whatever the card says
        check_tensors(tensors, _network(card, folder / CARD), path)
    network = _network(card, folder / CARD)
    network.load_state_dict(tensors)
    return network.eval(), card


def check_weights(folder: Path) -> dict[str, Any]:
    """Compare the weights with the sum on the card, and return the card; raises as `load` does."""
    card, path = read_card(folder), folder / WEIGHTS
    digest = _digest(path)
    if digest != card["sha256"]:
        raise CheckpointError(
            f"{path} was cut short or altered: its sha256 begins with {digest[:8]} where {CARD} says "
            f"{card['sha256'][:8]}; copy the folder again from where it came from or use another version"
        )
    return card


def stamp(folder: Path) -> Stamp:
    """Return what changes when a file of a checkpoint is replaced or mended: of each inode, bytes and time (ns)."""
    return tuple(_stamp(folder / name) for name in (WEIGHTS, CARD))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def load_head(folder: Path) -> dict[str, Tensor]:
    """Read the tensors of the head for proposals of a checkpoint that `load` could read; empty where it has none."""
    with safe_open(folder / WEIGHTS, "pt") as file:
        names = file.keys()  # it cannot be iterated itself
        return {name.removeprefix(HEAD): file.get_tensor(name) for name in names if name.startswith(HEAD)}


def read_card(folder: Path) -> dict[str, Any]:
    """Read and check the card alone.

    Raises:
        CheckpointError: it is missing, no JSON, or lacks what `load` needs.
    """
    path = folder / CARD
    data = _read(path)
    try:
        card = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no JSON ({error}); copy the folder again") from None
    check_card(card, path)
    return card


def check_card(card: Any, path: Path) -> None:
    """Raise `CheckpointError` unless the card has what `load` needs."""
    demands = {
        "architecture": ("an object with a name and params", _is_architecture),
        "encoding": (f"an object with a name ({', '.join(ENCODINGS)}) and a radius above 0", _is_encoding),
        "size": (f"a multiple of {SIZE_STEP}", _is_size),
        "sha256": ("64 hex digits", lambda v: isinstance(v, str) and len(v) == 64),
    }
    if not isinstance(card, dict):
        raise CheckpointError(f"{path} holds no JSON object; write one with {', '.join(demands)}")
    demands |= {key: demands["size"] for key in LOOKS if key in card}
    demands |= {
        key: ("an object", lambda v: isinstance(v, dict)) for key in FACTS if card.get(key) is not None
    }
    for key, (wanted, is_good) in demands.items():
        if not is_good(card.get(key)):
            value = repr(card[key])[:80] if key in card else "missing"
            raise CheckpointError(f"{path}: {key} is {value}; it must be {wanted}")
    try:
        InferenceConfig.of(card)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def check_tensors(tensors: Mapping[str, Tensor], network: nn.Module, path: Path) -> None:
    """Raise `CheckpointError` unless the tensors are exactly the network's, in shape and kind, and finite."""
    expected = network.state_dict()
    odd = sorted(expected.keys() ^ tensors.keys())
    if odd:
        trouble = "is missing" if odd[0] in expected else "has no place in the architecture of the card"
        raise CheckpointError(
            f"{path}: {odd[0]} {trouble} ({len(odd)} such keys); use the card of these weights"
        )
    for key, value in tensors.items():
        shape, wanted = tuple(value.shape), tuple(expected[key].shape)
        if shape != wanted or value.is_floating_point() != expected[key].is_floating_point():
            raise CheckpointError(
                f"{path}: {key} has shape {shape} ({value.dtype}) where the card's architecture has {wanted} "
                f"({expected[key].dtype}); use the card of these weights"
            )
        if not torch.isfinite(value).all():
            raise CheckpointError(
                f"{path}: {key} holds NaN or infinite values; training diverged, use an earlier version"
            )


def copy(source: Path, target: Path) -> None:
    """Copy the two files of a checkpoint; `target` appears complete or not at all and must not exist.

    Raises:
        CheckpointError: a file of the source is missing.
    """
    write_folder(target, {name: _read(source / name) for name in (WEIGHTS, CARD)})


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files through a hidden neighbour that is synced to disk and renamed at the end."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    hidden = folder.parent / f".tmp-{uuid.uuid4().hex}"
    hidden.mkdir()
    try:
        for name, data in files.items():
            with open(hidden / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(hidden)
        if folder.exists():
            old = folder.parent / f".old-{uuid.uuid4().hex}"
            os.rename(folder, old)
            os.rename(hidden, folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(hidden, folder)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _network(card: Mapping[str, Any], path: Path) -> nn.Module:
    try:
        return build(card["architecture"]["name"], **card["architecture"]["params"])
    except (ValueError, RuntimeError) as error:  # of sizes that torch does not take
        raise CheckpointError(f"{path}: architecture: {error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> ClickmaskError:
    reason = error.strerror or type(error).__name__
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return CheckpointError(
            f"{path} cannot be read ({reason}); a checkpoint is a folder with {WEIGHTS} and {CARD}"
        )
    return UnreadableError(f"{path} cannot be read now ({reason}): check the disk and the file's permissions")


def _to_json(card: Mapping[str, Any], path: Path) -> bytes:
    try:
        return json.dumps(card, indent=2, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the card is not plain JSON ({error}); use numbers, text, lists and objects"
        ) from None


def _is_architecture(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("params"), dict)
    )


def _is_encoding(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("name") not in ENCODINGS:
        return False
    radius = value.get("radius")
    return isinstance(radius, int | float) and not isinstance(radius, bool) and 0 < radius < float("inf")


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0 and value % SIZE_STEP == 0

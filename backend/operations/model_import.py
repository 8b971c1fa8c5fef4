"""Bring an official checkpoint into the registry, and prove that what was written answers as what was read."""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from model.inference.config import at_size
from model.networks.plain_vit import InputSizeError
from model.versions import checkpoint
from model.versions.official import importer, torch_file
from model.versions.registry import Registry, Version

# Of the process that reads a file first: several times what the largest published one takes.
READING_CPU_S, READING_BYTES = 60, 4 << 30


def import_official(
    registry: Registry,
    line: str,
    path: Path,
    source: dict[str, str],
    size: int | None = None,
    network: str | None = None,
) -> Version:
    """Add an official checkpoint to a line.

    Args:
        path: of the file.
        source: `address` and `sha256`, for the card; messages name the address instead of the path.
        size: side of the network's input in pixels; None for the size it was trained at.
        network: the architecture it must hold; None for any.

    Raises:
        CheckpointError: it is no such checkpoint, holds another network, or cannot be run at this size.
    """
    address = source["address"]
    try:
        _rehearse(path)
        loaded, card = importer.read(path)
    except checkpoint.CheckpointError as error:
        raise checkpoint.CheckpointError(str(error).replace(str(path), address)) from None
    name = card["architecture"]["name"]
    if network is not None and name != network:
        raise checkpoint.CheckpointError(f"{address} holds {name}, not {network}: do not use this file")
    card["source"] = source
    if size is not None:
        card = at_size(card, size)
    checkpoint.check_card({**card, "sha256": "0" * 64}, Path(address))
    try:
        before = _answer(loaded, card["size"])
    except InputSizeError as error:
        raise checkpoint.CheckpointError(f"{address} cannot be used at this size: {error}") from None
    version = registry.add(line, loaded, card)
    del loaded  # large networks do not fit into the memory twice
    if not torch.equal(before, _answer(checkpoint.load(version.path)[0], card["size"])):
        raise checkpoint.CheckpointError(
            f"{version.path} answers differently from {address}; check the disk and import it again"
        )
    return version


def _rehearse(path: Path) -> None:
    """Read a file in a process of its own first: a few bytes, as keys of nested tuples or lengths of byte arrays, can
    take all time or memory, or the process itself, though nothing in them is run."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            pool.submit(_read_within, path, READING_CPU_S, READING_BYTES + 2 * path.stat().st_size).result()
        except BrokenProcessPool:
            raise checkpoint.CheckpointError(
                f"{path} takes more time or memory than reading a checkpoint does; use the file as it was published"
            ) from None


def _read_within(path: Path, cpu_s: int, size: int) -> None:
    seconds = int(time.process_time()) + cpu_s
    for kind, limit in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_DATA, size),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(kind)
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(kind, (limit, most))
    torch_file.read(path)


def public(source: str) -> str:
    """Return an address without password and query, which may hold a token; a path unchanged."""
    if "://" not in source:
        return source
    parts = urlsplit(source)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _answer(network: nn.Module, size: int) -> Tensor:
    """Return the logits for one made-up input."""
    chance = torch.Generator().manual_seed(0)
    image, guide = torch.rand(2, 1, 3, size, size, generator=chance)
    with torch.inference_mode():
        return network(image, guide)

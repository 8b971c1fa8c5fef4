"""Files that the trainers of RITM and SimpleClick wrote (`.pth`): weights and config, read without running anything.

Such a file is a pickle, and a pickle can name any function to be called. PyTorch's restricted unpickler knows the
few names that tensors and plain values need; two more, which official SimpleClick files hold, get stand-ins that do
nothing. Every other name is refused before it is looked up.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.versions.checkpoint import CheckpointError

# Of a config: nested references can mean more than any memory holds.
MAX_VALUES, MAX_DEPTH, MAX_TEXT = 10_000, 16, 10_000
LOSS = "isegm.model.modeling.transformer_helper.cross_entropy_loss"


class Inert:
    """Stand in for an object that is not needed: takes any arguments and any state, keeps nothing, does nothing."""

    __slots__ = ()

    def __new__(cls, *_: object) -> Inert:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Forget the state."""

    def __repr__(self) -> str:
        return "(an object that was not read)"


STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (Inert, f"{LOSS}.CrossEntropyLoss"),
    (Inert, f"{LOSS}.cross_entropy"),
]


def read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Read a file.

    Weights stay on the disk until they are used, where the file's format allows it.

    Returns:
        `state_dict`, dense tensors on the CPU; and `config`: text, numbers, booleans, None and `Inert`, in dicts with
        text as keys, lists, tuples and sets.

    Raises:
        CheckpointError: it cannot be read, is no such file, is damaged, or holds anything else.
    """
    _check_outside(path)
    content = _unpickle(path)
    if not isinstance(content, Mapping) or not {"state_dict", "config"} <= content.keys():
        raise CheckpointError(
            f"{path} has no state_dict and config; use a checkpoint as RITM or SimpleClick publish them"
        )
    state, config = content["state_dict"], content["config"]
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and _is_dense(value) for key, value in state.items()
    ):
        raise CheckpointError(
            f"{path}: state_dict does not hold dense tensors by name; use a checkpoint as its authors publish it"
        )
    size = path.stat().st_size
    if sum(value.nbytes for value in state.values()) > size:  # as views that repeat their numbers
        raise CheckpointError(
            f"{path}: its tensors hold more than the file's {size} bytes; use a checkpoint as its "
            "authors publish it"
        )
    if not isinstance(config, Mapping) or not _is_plain(config):
        raise CheckpointError(
            f"{path}: config does not hold a few plain values alone; use a checkpoint as its authors publish it"
        )
    return dict(state), config


def _check_outside(path: Path) -> None:
    """Refuse what is no checkpoint from the outside, and zip files that unpack to more than they are."""
    try:
        with open(path, "rb") as file:
            is_page = file.read(64).lstrip().startswith(b"<")
        size, parts = path.stat().st_size, list[zipfile.ZipInfo]()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                parts = archive.infolist()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check the path") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise _damaged(path) from None
    if is_page:
        raise CheckpointError(f"{path} is a web page; give the address of the file itself")
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > size:
        raise CheckpointError(
            f"{path} is packed, or says it holds more than its {size} bytes, which PyTorch's files never do; use the "
            "file as it was published"
        )


def _unpickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(STAND_INS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # torch meets what is no checkpoint with exceptions of many kinds
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise CheckpointError(
                f"{path} holds Python code or objects ({code[1]}), which are never loaded; save state_dict and "
                "config, as plain values, alone"
            ) from None
        raise _damaged(path) from None


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is no torch checkpoint or is damaged; download it again")


def _is_dense(value: object) -> bool:
    return (
        type(value) in (Tensor, nn.Parameter)
        and value.layout == torch.strided  # type: ignore[attr-defined]
        and value.device.type == "cpu"  # type: ignore[attr-defined]
        and not value.is_quantized  # type: ignore[attr-defined]
    )


def _is_plain(config: object) -> bool:
    """Whether a config holds nothing but plain values, and no more of them than a config may, counted wherever they
    are referred to."""
    waiting, seen = [(config, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                return False
            inner = list(value.values())
        elif type(value) in (list, tuple, set):
            inner = list(value)  # type: ignore[call-overload]
        else:
            inner = []
            if value is not None and type(value) not in (str, bool, int, float, Inert):
                return False
            if isinstance(value, str) and len(value) > MAX_TEXT:
                return False
        waiting.extend((part, depth + 1) for part in inner)
        if seen + len(waiting) > MAX_VALUES or depth > MAX_DEPTH:
            return False
    return True

"""How a network is asked: zoom-in, mirror image, second looks. A card's `inference` says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from model.networks import SIZE_STEP


@dataclass(frozen=True)
class InferenceConfig:
    """How `Predictor` asks a network. The defaults are that of our own networks.

    Attributes:
        stretch: zoom in to the object's own box, stretched to the square input (`model.inference.stretch`), instead
            of to a square (`model.inference.zoom`).
        expansion: sides of a stretched window over those of the object's box.
        min_side: least side of a stretched window, in pixels of the image.
        flip: mean of the logits of the image and its mirror image.
        refine: look twice at a first click.
        merge: late clicks, and those on an initial mask, change only the part they point at, and two at the edge of a
            small object move its whole edge.
        threshold: probability above which a pixel counts as object in evaluations.
        large_size: side of the input for large images, a multiple of 32 pixels; None for the card's `size`.
        large_from: longer side, in pixels, from which an image is large.
    """

    stretch: bool = False
    expansion: float = 1.4
    min_side: int = 1
    flip: bool = False
    refine: bool = True
    merge: bool = True
    threshold: float = 0.49
    large_size: int | None = None
    large_from: int = 800

    def __post_init__(self) -> None:
        demands = {
            **dict.fromkeys(
                ("stretch", "flip", "refine", "merge"), ("true or false", lambda v: type(v) is bool)
            ),
            "expansion": ("a number from 1 to 10", lambda v: _is_number(v) and 1 <= v <= 10),
            "min_side": ("a whole number above 0", _is_count),
            "threshold": ("a number between 0 and 1", lambda v: _is_number(v) and 0 < v < 1),
            "large_size": (
                f"null or a multiple of {SIZE_STEP}",
                lambda v: v is None or (_is_count(v) and v % SIZE_STEP == 0),
            ),
            "large_from": ("a whole number above 0", _is_count),
        }
        for name, (wanted, is_good) in demands.items():
            value = getattr(self, name)
            if not is_good(value):
                raise ValueError(f"inference: {name} is {value!r}; it must be {wanted}")

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> InferenceConfig:
        """Return what a card says; the defaults where the card has no `inference`.

        Raises:
            ValueError: an entry that is unknown or has no such value.
        """
        given = card.get("inference", {})
        if not isinstance(given, Mapping):
            raise ValueError(f"inference is {given!r}; it must be an object")
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise ValueError(f"inference: {name} is unknown; use {', '.join(known)}")
        return cls(**given)


def at_size(card: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return the card with another input side in pixels, for images of any size."""
    inference = {
        key: value for key, value in card.get("inference", {}).items() if not key.startswith("large_")
    }
    return {**card, "size": size} | ({"inference": inference} if inference else {})


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_number(value: object) -> bool:
    return type(value) in (int, float)

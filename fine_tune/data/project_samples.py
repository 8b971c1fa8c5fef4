"""What a project's accepted annotations teach: objects to train on, and objects held out to judge the result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import cv2
import numpy as np

from fine_tune.data.object_sampler import augment
from model.errors import ClickmaskError
from model.evaluation import datasets
from model.inference.domain import Domain, describe
from model.scene import Scene

MAX_SIDE = 1280  # pixels; larger images are shrunk
MIN_AREA = 40  # pixels after shrinking; smaller objects cannot be told from a slip of the hand
MAX_SHARE = 0.95  # of the image: what covers all of it is not an object
HELD_OUT = 5  # one image in so many is held out


class SourceError(ClickmaskError, RuntimeError):
    """The annotations cannot be had now; the message says why. Trying again later may help."""


@dataclass(frozen=True)
class Example:
    """One annotated image.

    Attributes:
        digest: names the image's content.
        image: HxWx3 uint8 RGB.
        masks: HxW bool each, one per object.
    """

    digest: str
    image: np.ndarray
    masks: Sequence[np.ndarray]


class Source(Protocol):
    """Where annotations come from."""

    def annotations(self) -> list[Mapping[str, Any]]:
        """All annotations of the project as the API gives them, at least with id, task and updated_at.

        Raises:
            SourceError: they cannot be had now.
        """
        ...

    def examples(self, chosen: set[int], on_problem: Callable[[str], None]) -> Iterator[Example]:
        """The images of the chosen annotations, one annotation each; what cannot be read is reported and left out.

        Raises:
            SourceError: nothing can be read now.
        """
        ...


@dataclass(frozen=True)
class Kept:
    """One image with its objects, compressed: hundreds of them stay in memory."""

    digest: str
    image: bytes
    masks: tuple[bytes, ...]

    def scene(self, index: int) -> Scene:
        """Decode the image with one of its objects."""
        pixels = cv2.imdecode(np.frombuffer(self.image, np.uint8), cv2.IMREAD_COLOR)
        mask = cv2.imdecode(np.frombuffer(self.masks[index], np.uint8), cv2.IMREAD_GRAYSCALE)
        assert pixels is not None and mask is not None, "they were encoded here"
        truth = mask > 0
        return Scene(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), truth, np.zeros_like(truth))


@dataclass
class Samples:
    """The objects of a project, split by image.

    Attributes:
        train, held_out: images; which part one belongs to depends on its content alone, for ever.
        problems: what could not be used and why.
    """

    train: list[Kept] = field(default_factory=list)
    held_out: list[Kept] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, example: Example) -> None:
        """Keep an image with those of its objects that can be trained on.

        An image that two tasks share is kept once for each; both are in the same part.
        """
        kept = _compress(example)
        if kept.masks:
            (self.held_out if is_held_out(example.digest) else self.train).append(kept)

    def draw(self, rng: np.random.Generator) -> Scene:
        """A random object of the train part, image first, randomly flipped, cropped and recoloured."""
        kept = self.train[rng.integers(len(self.train))]
        return augment(kept.scene(int(rng.integers(len(kept.masks)))), rng)

    def domain(self) -> Domain:
        """The kind of images of the train part, which must have some."""
        return Domain.of([describe(kept.scene(0).image) for kept in self.train])

    def count(self) -> dict[str, int]:
        """Images and objects of either part."""
        return {
            "train_images": len(self.train),
            "train_objects": sum(len(kept.masks) for kept in self.train),
            "held_out_images": len(self.held_out),
            "held_out_objects": sum(len(kept.masks) for kept in self.held_out),
        }

    def judged(self, limit: int) -> list[datasets.Sample]:
        """At most `limit` held-out objects, spread over the images; ids are `<digest>#<place>.<object>`."""
        found: list[datasets.Sample] = []
        most = max((len(kept.masks) for kept in self.held_out), default=0)
        for index in range(most):  # one object of every image, then another one, ...
            for place, kept in enumerate(self.held_out):
                # Spread over the list of objects, as annotators often go through an image in order.
                if index < len(kept.masks):
                    other = index * 7919 % len(kept.masks) if len(kept.masks) % 7919 else index
                    name = f"{kept.digest}#{place}.{other}"
                    found.append(datasets.Sample(name, partial(_load, kept, other)))
        return found[:limit]


def is_held_out(digest: str) -> bool:
    """Whether an image is for judging only: a stable share of all images, whatever else the project has."""
    return int(hashlib.sha256(f"held-out {digest}".encode()).hexdigest()[:8], 16) % HELD_OUT == 0


def _load(kept: Kept, index: int) -> datasets.Scene:
    scene = kept.scene(index)
    return datasets.Scene(scene.image, scene.truth, scene.ignore)


def _compress(example: Example) -> Kept:
    image = example.image
    scale = min(MAX_SIDE / max(image.shape[:2]), 1.0)
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    masks = []
    for mask in example.masks:
        small = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128
        area = np.count_nonzero(small)
        if MIN_AREA <= area <= MAX_SHARE * small.size:
            masks.append(cv2.imencode(".png", small.view(np.uint8) * np.uint8(255))[1].tobytes())
    if scale < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return Kept(example.digest, encoded, tuple(masks))

"""What a project's accepted annotations teach: objects to train on, and objects held out to judge the result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import cv2
import numpy as np

from fine_tune.data.augment import augment
from fine_tune.data.encoded_image import EncodedImage
from model.errors import ClickmaskError
from model.inference.domain import Domain, describe
from model.scene import Sample, Scene

MAX_SIDE = 1280  # pixels; larger images are shrunk
MIN_AREA = 40  # pixels after shrinking; smaller objects cannot be told from a slip of the hand
MAX_SHARE = 0.95  # of the image: what covers all of it is not an object
HELD_OUT = 1 / 5  # share of the images that is held out of a large project
FEW = 15  # images that are held out of a smaller one: a verdict on a handful of them is never sure
MOST_HELD_OUT = 1 / 3  # largest share of the images that is held out
DECODED_BYTES = 128 << 20  # of the train part are kept decoded
SMALL = (
    f"cannot be learned from, being smaller than {MIN_AREA} pixels of an image of at most {MAX_SIDE} a side"
)
LARGE = f"cannot be learned from, covering more than {100 * MAX_SHARE:.0f} % of the image"
STRIDE = 7919  # a prime, larger than any number of objects on an image


class SourceError(ClickmaskError, RuntimeError):
    """The annotations cannot be had now; the message says why. Trying again later may help."""


@dataclass(frozen=True)
class LabelledImage:
    """One image with the masks of its objects.

    Attributes:
        digest: names the image's content.
        image: HxWx3 uint8 RGB.
        masks: HxW bool each, one per object; each may be decoded when it is asked for.
        labels: label name of every mask, "" for one without, None for one that cannot be proposed, as the project
            has no such label any more; () where nothing is known of labels.
        problems: one sentence for every object of the image that cannot be read; it has no mask here.
        place: where people find the image, as "task 7".
    """

    digest: str
    image: np.ndarray
    masks: Sequence[np.ndarray]
    labels: Sequence[str | None] = ()
    problems: Sequence[str] = ()
    place: str = "an image"


class AnnotationList(Protocol):
    """The annotations of a project at one moment."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield every annotation as the API gives it, at least with id, task and updated_at."""
        ...

    def images(self, chosen: set[int], on_problem: Callable[[str], None]) -> Iterator[LabelledImage]:
        """Yield the images of the chosen annotations (ids), with the masks of one annotation each.

        Args:
            on_problem: called with one sentence for every image that cannot be read, which is left out, and for
                nothing else: the calls are counted.

        Raises:
            SourceError: nothing can be read now.
        """
        ...


class Source(Protocol):
    """Where annotations come from."""

    def annotations(self) -> AnnotationList:
        """List the annotations of the project as they are now.

        Raises:
            SourceError: they cannot be had now.
        """
        ...


@dataclass
class Samples:
    """The objects of a project, split by image.

    Attributes:
        share: of the images that are held out, see `held_out_share`.
        trained_on: digests of images that do not judge, because the served version has learned from them.
        train, held_out: images; which part one belongs to depends on its content, the share and `trained_on`.
        problems: what could not be used and why.
    """

    share: float = HELD_OUT
    trained_on: frozenset[str] = frozenset()
    train: list[EncodedImage] = field(default_factory=list)
    held_out: list[EncodedImage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _odd: dict[str, list[str]] = field(default_factory=lambda: {SMALL: [], LARGE: []})  # places, by reason
    _decoded: dict[int, np.ndarray] = field(default_factory=dict)  # by place in `train`
    # Of the images of `train`, as they were before compression.
    _described: list[np.ndarray] = field(default_factory=list)

    def add(self, labelled: LabelledImage) -> None:
        """Keep an image with those of its objects that can be trained on.

        An image that two tasks share is kept once for each; both are in the same part.
        """
        self.problems += labelled.problems
        encoded = _encode(labelled, self._odd)
        if not encoded.masks:
            return
        if is_held_out(labelled.digest, self.share) and labelled.digest not in self.trained_on:
            self.held_out.append(encoded)
        else:
            self.train.append(encoded)
            self._described.append(describe(labelled.image))

    def odd(self) -> list[str]:
        """Say of which size objects are not learned from, how many, and where; a sentence for each reason."""
        return [
            f"{len(places)} of the objects {reason}, the first one on {places[0]}"
            for reason, places in self._odd.items()
            if places
        ]

    def draw(self, rng: np.random.Generator) -> Scene:
        """Draw an object of the train part, image first, randomly flipped, cropped and recoloured."""
        place = int(rng.integers(len(self.train)))
        image, index = self.train[place], int(rng.integers(len(self.train[place].masks)))
        pixels = self._decoded.get(place)
        if pixels is None:
            pixels, mask = image.decode(index)
            held = sum(known.nbytes for known in list(self._decoded.values()))
            if held + pixels.nbytes <= DECODED_BYTES:  # the others are decoded each time
                self._decoded[place] = pixels
        else:
            mask = image.decode_mask(index)
        return augment(_with_object(pixels, mask), rng)

    def domain(self) -> Domain:
        """Describe the kind of images of the train part, which must have some."""
        return Domain.of(self._described)

    def count(self) -> dict[str, int]:
        """Count images and objects of either part."""
        return {
            "train_images": len(self.train),
            "train_objects": sum(len(image.masks) for image in self.train),
            "held_out_images": len(self.held_out),
            "held_out_objects": sum(len(image.masks) for image in self.held_out),
        }

    def judged(self, limit: int) -> list[Sample]:
        """Choose at most `limit` held-out objects, spread over the images."""
        return _spread(self.held_out, limit)

    def known(self, limit: int) -> list[Sample]:
        """Choose at most `limit` objects of the train part, spread over the images."""
        return _spread(self.train, limit)


def _spread(images: Sequence[EncodedImage], limit: int) -> list[Sample]:
    """Choose at most `limit` objects: one of every image, then another one, ...

    Images come in the order of their digests, which is as good as drawn: in that of their tasks, the oldest alone
    would speak for a project whose images have changed. Ids of objects are `<digest of the image>#<digest of the
    mask>`, the same in every job.
    """
    found: dict[str, Sample] = {}
    most = max((len(image.masks) for image in images), default=0)
    for index in range(most):
        for image in sorted(images, key=lambda image: image.name):
            if index < len(image.masks) and len(found) < limit:
                # Spread over the list of objects, as annotators often go through an image in order.
                place = index * STRIDE % len(image.masks)
                name = f"{image.name}#{hashlib.sha256(image.masks[place]).hexdigest()[:12]}"
                while name in found:  # two tasks share an image, and their annotators agree
                    name += "+"
                found[name] = Sample(name, partial(_scene, image, place))
    return list(found.values())


def held_out_share(images: int) -> float:
    """Choose the share that is held out of so many images.

    It never grows with them. So an image that was trained on is not held out later, as long as a project grows.
    """
    return min(max(HELD_OUT, FEW / max(images, 1)), MOST_HELD_OUT)


def is_held_out(digest: str, share: float = HELD_OUT) -> bool:
    """Tell whether an image is for judging only; one that is so at some share is so at every larger one."""
    drawn = int(hashlib.sha256(f"held-out {digest}".encode()).hexdigest()[:8], 16)
    fifth, place = drawn % 5, drawn // 5  # images of the first fifth were held out when all shares were 1 / 5
    return (fifth + place / (2**32 / 5)) / 5 < share


def _scene(image: EncodedImage, index: int) -> Scene:
    return _with_object(*image.decode(index))


def _with_object(pixels: np.ndarray, mask: np.ndarray) -> Scene:
    truth = mask > 0
    return Scene(pixels, truth, np.zeros_like(truth))


def _encode(labelled: LabelledImage, odd: Mapping[str, list[str]]) -> EncodedImage:
    """Shrink an image and its masks to MAX_SIDE and compress them; objects of no fair size are left out, and noted.

    Where the small ones are stays known, as that is no background; beside the large ones nothing would be left.
    """
    image = labelled.image
    scale = min(MAX_SIDE / max(image.shape[:2]), 1.0)
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    masks, labels, specks = [], [], np.zeros(size[::-1], np.uint8)
    for mask, label in zip(labelled.masks, labelled.labels or [""] * len(labelled.masks), strict=True):
        cover = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
        small = cover >= 128
        area = np.count_nonzero(small)
        if area < MIN_AREA:
            specks |= cover
            odd[SMALL].append(labelled.place)
        elif area > MAX_SHARE * small.size:
            odd[LARGE].append(labelled.place)
        else:
            masks.append(_png(small.view(np.uint8) * np.uint8(255)))
            labels.append(label)
    if scale < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    known = _png(specks) if specks.any() else b""
    return EncodedImage(labelled.digest, encoded, tuple(masks), labels=tuple(labels), specks=known)


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()

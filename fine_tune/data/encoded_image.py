"""One image with its masks, compressed: the form in which thousands of them stay in memory."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from model.errors import ClickmaskError
from model.image_file import DecodeError, decode


class DataError(ClickmaskError, ValueError):
    """Images or masks to train on cannot be used; the message names them and says what to do."""


@dataclass(frozen=True)
class EncodedImage:
    """One image with its masks, still compressed.

    Attributes:
        name: of the set that it comes from, with `.origin` behind it where the set names origins (training
            bundles), or the digest of its content (projects).
        image: JPEG or PNG bytes.
        masks: PNG bytes of an HxW uint8 map each. A bundle has one map of ids per image (0 background, 1..254 ids,
            255 ignore), a project one map of 0 and 255 per object, because its objects may overlap.
        stuff: ids that are no things but road, sky and the like, which people seldom click.
        labels: label name of every mask of a project's image, see `LabelledImage`; () in a bundle.
        specks: PNG bytes of an HxW uint8 map, not 0 where a project's image has objects that are too small to have a
            mask here; b"" for none.
    """

    name: str
    image: bytes
    masks: tuple[bytes, ...]
    stuff: tuple[int, ...] = ()
    labels: tuple[str | None, ...] = ()
    specks: bytes = b""

    def decode(self, index: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the image (HxWx3 uint8 RGB, upright, read-only) and one of its masks (HxW uint8).

        Raises:
            DataError: the bytes are no image and mask of one size.
        """
        try:
            image = decode(self.image)
        except DecodeError as error:
            raise DataError(f"an image of {self.name!r} is damaged: {error}") from error
        mask = _read(self.masks[index])
        if mask is None or image.shape[:2] != mask.shape:
            raise DataError(
                f"an image of {self.name!r} is damaged: image and mask {index} do not decode to one size; "
                "make the training bundle again"
            )
        return image, mask

    def decode_mask(self, index: int) -> np.ndarray:
        """Return one of the masks (HxW uint8) of an image that was decoded before.

        Raises:
            DataError: the bytes are no mask.
        """
        mask = _read(self.masks[index])
        if mask is None:
            raise DataError(
                f"mask {index} of an image of {self.name!r} is damaged: make the training bundle again"
            )
        return mask

    def decode_specks(self) -> np.ndarray | None:
        """Return where objects are that are too small to have a mask here (HxW bool); None for none."""
        specks = _read(self.specks) if self.specks else None
        return None if specks is None else specks > 0


def _read(png: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)

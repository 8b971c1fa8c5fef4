"""Pictures with known objects, drawn by the tests: shaded fruit-like bodies on a mottled ground."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

# Places in `two_bodies`, as shares of width and height, and the IoU from which a mask is good enough.
RED, YELLOW = (200 / 640, 250 / 480), (465 / 640, 230 / 480)
NEAR_RED = ((150 / 640, 190 / 480), (240 / 640, 320 / 480))
GOOD = 0.9


def ground(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A mottled brown-green surface, HxWx3 uint8."""
    rng = np.random.default_rng(seed)
    base = np.full((height, width, 3), (96, 104, 78), np.float32)
    for sigma, strength in ((2, 40), (12, 160), (60, 500)):
        base += (
            cv2.GaussianBlur(rng.normal(0, 1, (height, width, 1)).astype(np.float32), (0, 0), sigma)[
                ..., None
            ]
            * strength
        )
    return base.clip(20, 200).astype(np.uint8)


def body(
    image: np.ndarray, centre: tuple[int, int], axes: tuple[int, int], colour: tuple[int, int, int]
) -> np.ndarray:
    """Draw one shaded ellipse with a cast shadow into `image`; returns its HxW bool mask."""
    shadow = np.zeros(image.shape[:2], np.uint8)
    cv2.ellipse(shadow, (centre[0] + 12, centre[1] + 14), axes, 0, 0, 360, 255, -1)
    dark = cv2.GaussianBlur(shadow, (0, 0), 9)[..., None] / 255 * 0.45
    image[:] = (image * (1 - dark)).astype(np.uint8)
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    light = 1.15 - 0.55 * np.hypot(
        (x - centre[0] + axes[0] / 3) / axes[0], (y - centre[1] + axes[1] / 3) / axes[1]
    )
    shaded = np.array(colour, np.float32) * light[..., None].clip(0.25, 1.2)
    image[mask > 0] = shaded.clip(0, 255)[mask > 0].astype(np.uint8)
    return mask > 0


def two_bodies() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A 640x480 picture with a red body on the left and a yellow one on the right, and their masks."""
    image = ground(480, 640)
    red = body(image, (200, 250), (110, 130), (205, 40, 45))
    yellow = body(image, (465, 230), (85, 95), (235, 205, 70))
    return cv2.GaussianBlur(image, (0, 0), 0.8), red, yellow


def jpeg(image: np.ndarray, orientation: int = 1) -> bytes:
    """A JPEG file of the upright `image`, stored so that a viewer must apply the EXIF orientation (1 or 6)."""
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(image, 1)) if orientation == 6 else image)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=93, exif=exif)
    return buffer.getvalue()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two bool masks."""
    return float((a & b).sum() / (a | b).sum())

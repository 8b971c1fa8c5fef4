"""Click encodings: clicks -> two maps (positive, negative) that a network reads beside the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model.click import Click

Map = np.ndarray  # HxW float32 in 0..1


def _squared_distance(click: Click, height: int, width: int) -> Map:
    """Compute the squared distance in pixels from every pixel centre to the click."""
    dy = np.arange(height, dtype=np.float32) + np.float32(0.5 - click.y)
    dx = np.arange(width, dtype=np.float32) + np.float32(0.5 - click.x)
    return dy[:, None] ** 2 + dx[None, :] ** 2


def _draw_disk(out: Map, click: Click, radius: float) -> None:
    """Set to 1 every pixel whose centre is at most `radius` away; touches only the disk's own box."""
    height, width = out.shape
    x0, x1 = max(int(click.x - radius) - 1, 0), min(int(click.x + radius) + 2, width)
    y0, y1 = max(int(click.y - radius) - 1, 0), min(int(click.y + radius) + 2, height)
    if x0 < x1 and y0 < y1:
        near = _squared_distance(Click(click.x - x0, click.y - y0), y1 - y0, x1 - x0) <= radius * radius
        out[y0:y1, x0:x1][near] = 1.0


def disk(clicks: Sequence[Click], height: int, width: int, radius: float) -> Map:
    """Draw binary disks of one radius, as in RITM (arXiv 2102.06583)."""
    out = np.zeros((height, width), np.float32)
    for click in clicks:
        _draw_disk(out, click, radius)
    return out


def disk_varying(clicks: Sequence[Click], height: int, width: int, radius: float) -> Map:
    """Draw binary disks that shrink with the order of the click: 2, 5/3, 4/3, then 1 times the radius.

    Early clicks name the object, late ones correct details, so an early one may speak for a wider area.
    """
    out = np.zeros((height, width), np.float32)
    for order, click in enumerate(clicks):
        _draw_disk(out, click, radius * max(1.0, 2.0 - order / 3.0))
    return out


def gaussian(clicks: Sequence[Click], height: int, width: int, radius: float) -> Map:
    """Draw Gaussian bumps with standard deviation `radius`; where bumps overlap the larger value counts."""
    out = np.zeros((height, width), np.float32)
    for click in clicks:
        np.maximum(out, np.exp(_squared_distance(click, height, width) / (-2.0 * radius * radius)), out=out)
    return out


def distance(clicks: Sequence[Click], height: int, width: int, radius: float) -> Map:
    """Compute tanh(2 d / radius) of the distance d to the nearest click: 0 on a click, 1 far away or without any."""
    nearest = np.full((height, width), np.inf, np.float32)
    for click in clicks:
        np.minimum(nearest, _squared_distance(click, height, width), out=nearest)
    return np.tanh(2.0 * np.sqrt(nearest) / radius, dtype=np.float32)


STANDARD = ("disk", 5.0)  # name and radius of what our own networks see

ENCODINGS: dict[str, Callable[[Sequence[Click], int, int, float], Map]] = {
    "disk": disk,
    "disk-varying": disk_varying,
    "gaussian": gaussian,
    "distance": distance,
}


def encode(name: str, clicks: Sequence[Click], height: int, width: int, radius: float = 5.0) -> np.ndarray:
    """Draw clicks as the two maps a network reads.

    Args:
        name: one of `ENCODINGS`.
        clicks: in the coordinates of the network input; those outside the input leave no trace on disks.
        height, width: of the network input, in pixels.
        radius: in network-input pixels.

    Returns:
        2xHxW float32 in 0..1: positive clicks, negative clicks.

    Raises:
        ValueError: unknown encoding.
    """
    if name not in ENCODINGS:
        raise ValueError(f"unknown click encoding {name!r}: use one of {', '.join(ENCODINGS)}")
    draw = ENCODINGS[name]
    return np.stack(
        [draw([c for c in clicks if c.positive is sign], height, width, radius) for sign in (True, False)]
    )

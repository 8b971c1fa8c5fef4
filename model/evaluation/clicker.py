"""Automatic annotators for evaluation: where would the next click go?

The classic clicker is the one of RITM (arXiv 2102.06583), which the field's NoC figures are measured with: the
middle of the larger error. Real clicks are not that tidy, so a noisy clicker stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.click import Click
from model.mask_ops import depth_of

# Of the noisy clicker; depths are shares of the error's greatest depth.
DEEP = 0.5  # most clicks land deeper than this
SHALLOW = 0.3  # the others no deeper than this: near the edge of the error
SHALLOW_CHANCE = 0.15
HAND = 0.03  # standard deviation of the hand, in square roots of the object's area


def next_click(
    truth: np.ndarray, prediction: np.ndarray, clicked: Sequence[Click] = (), ignore: np.ndarray | None = None
) -> Click | None:
    """Click as RITM's evaluation clicker: the pixel that is deepest inside the larger error.

    Depth is the exact Euclidean distance to the error's edge; the border of the image counts as an edge, and
    pixels that were clicked before count as edge themselves (their depth is 0). The click is positive only if
    the missed part is strictly deeper than the part too much; among equally deep pixels the first one in
    row-major order is clicked, at its centre.

    Args:
        truth: HxW bool, the object.
        prediction: HxW bool, the current mask.
        clicked: the clicks so far.
        ignore: HxW bool, pixels that are neither object nor background; None for none.

    Returns:
        The click, or None where no pixel is left to correct. (RITM's code would go on with a negative click on
        the top left pixel, whatever lies there; no NoC depends on it.)
    """
    positive, depth = larger_error(truth, prediction, clicked, ignore)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return _at(int(row), int(column), positive) if depth[row, column] > 0 else None


def noisy_click(
    truth: np.ndarray,
    prediction: np.ndarray,
    clicked: Sequence[Click],
    ignore: np.ndarray | None,
    rng: np.random.Generator,
) -> Click | None:
    """Click as a less tidy annotator: into the same error as `next_click`, but at any pixel of its deeper half; in
    15 % of the clicks near its edge; then with a hand that shakes with the size of the object.

    The hand may leave the error, but never puts a positive click outside the object nor a negative one inside:
    such a slip keeps the pixel that was aimed at. Arguments and result as for `next_click`; `rng` is all the
    randomness there is.
    """
    positive, depth = larger_error(truth, prediction, clicked, ignore)
    deepest = float(depth.max())
    if deepest <= 0:
        return None
    near_edge, hand = rng.random() < SHALLOW_CHANCE, rng.normal(0, HAND * np.sqrt(truth.sum()), 2)
    region = (depth > 0) & (depth <= max(SHALLOW * deepest, 1)) if near_edge else depth > DEEP * deepest
    places = np.flatnonzero(region if region.any() else depth > 0)
    row, column = divmod(int(places[rng.integers(places.size)]), truth.shape[1])
    landed = (row + round(hand[0]), column + round(hand[1]))
    if _fair(landed, truth, positive, ignore) and _at(*landed, positive) not in clicked:
        row, column = landed
    return _at(row, column, positive)


def larger_error(
    truth: np.ndarray, prediction: np.ndarray, clicked: Sequence[Click], ignore: np.ndarray | None
) -> tuple[bool, np.ndarray]:
    """Find the error that the next click corrects; arguments as for `next_click`.

    Returns:
        Whether the click is positive, and the error's `depth_of`, HxW float32, 0 under earlier clicks.
    """
    missed, too_much = truth & ~prediction, prediction & ~truth
    if ignore is not None:
        missed &= ~ignore
        too_much &= ~ignore
    depths = depth_of(missed), depth_of(too_much)
    for click in clicked:
        pixel = click.pixel(*truth.shape)
        depths[0][pixel] = depths[1][pixel] = 0
    positive = bool(depths[0].max() > depths[1].max())
    return positive, depths[0] if positive else depths[1]


def _fair(pixel: tuple[int, int], truth: np.ndarray, positive: bool, ignore: np.ndarray | None) -> bool:
    inside = 0 <= pixel[0] < truth.shape[0] and 0 <= pixel[1] < truth.shape[1]
    return inside and bool(truth[pixel]) == positive and (ignore is None or not ignore[pixel])


def _at(row: int, column: int, positive: bool) -> Click:
    return Click(column + 0.5, row + 0.5, positive)

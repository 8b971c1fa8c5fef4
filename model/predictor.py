"""From clicks to a mask: choose the window, encode, run the network, paste.

Stateless: the map for clicks 1..k is a function of image, clicks and the map for clicks 1..k-1, so that a cold
process that replays the clicks answers byte for byte what a warm one answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model import zoom
from model.clicks import Click
from model.encoding import encode
from model.engine import Engine
from model.merge import progressive

BOX_LEVEL = 128  # of a map inside a box: undecided


@dataclass(frozen=True)
class Request:
    """One prediction.

    Attributes:
        image: HxWx3 uint8 RGB.
        clicks: all clicks of the object so far, in order; may be empty with a `previous`.
        previous: HxW uint8 map: the answer to clicks[:-1], an initial mask or a box prior; None for nothing.
    """

    image: np.ndarray
    clicks: Sequence[Click]
    previous: np.ndarray | None = None


def box_prior(shape: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """The initial map for a box x0, y0, x1, y1 in pixels: 128 inside (undecided), 0 outside; HxW uint8."""
    prior = np.zeros(shape, np.uint8)
    x0, y0, x1, y1 = (max(round(v), 0) for v in box)
    prior[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = BOX_LEVEL
    return prior


def quantise(probability: np.ndarray) -> np.ndarray:
    """float probabilities in 0..1 -> uint8 round(255 p): what is cached is what is replayed."""
    return np.rint(probability * 255).astype(np.uint8)


def guide_for(
    window: zoom.Window,
    previous: np.ndarray,
    clicks: Sequence[Click],
    encoding: str = "disk",
    radius: float = 5.0,
) -> np.ndarray:
    """The network's guide, 3xSxS float32 in 0..1: previous mask, positive, negative, as seen in the window."""
    marks = encode(encoding, [window.to_input(c) for c in clicks], window.size, window.size, radius)
    shown = window.crop(previous).astype(np.float32) / 255
    return np.concatenate([shown[None], marks])


class Predictor:
    """Answers clicks with probability maps.

    Args:
        engine: runs the network.
        encoding, radius: how the network was trained to see clicks.
        refine: look twice at a first click: the network sees its own answer, in a window around it, and mends it.
            IoU after one click is 0.02 to 0.03 higher for it (docs/training.md).
        merge_from: from this click on, and for every click on an initial mask, a click changes only the part it
            points at (`model.merge`), so that a late click cannot spoil a finished part.
        closer: runs the same network at a smaller input: after every click on a mask it looks once more, closer, at
            what the click changed (Focus Crop of FocalClick, arXiv 2204.02574). None does without.
    """

    def __init__(
        self,
        engine: Engine,
        encoding: str = "disk",
        radius: float = 5.0,
        refine: bool = True,
        merge_from: int = 3,
        closer: Engine | None = None,
    ) -> None:
        self.engine, self.encoding, self.radius = engine, encoding, radius
        self.refine, self.merge_from, self.closer = refine, merge_from, closer

    def predict(
        self, image: np.ndarray, clicks: Sequence[Click], previous: np.ndarray | None = None
    ) -> np.ndarray:
        """The map (HxW uint8, round(255 p)) after the last of `clicks`; see `Request` for the arguments."""
        return self.predict_many([Request(image, clicks, previous)])[0]

    def predict_many(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """Answer several independent requests in one pass of the network."""
        if not requests:
            return []
        priors = [_prior(r) for r in requests]
        windows = [
            zoom.around(prior, r.clicks, self.engine.size) for prior, r in zip(priors, requests, strict=True)
        ]
        maps = self._run(self.engine, requests, priors, windows)
        if self.refine:
            self._look_again(requests, maps)
        maps = [self._merged(r, m, w) for r, m, w in zip(requests, maps, windows, strict=True)]
        if self.closer is not None:
            self._look_closer(self.closer, requests, windows, maps)
        return maps

    def _merged(self, request: Request, current: np.ndarray, window: zoom.Window) -> np.ndarray:
        previous, count = request.previous, len(request.clicks)
        if previous is None or count == 0:
            return current
        on_mask = count == 1 and previous.max() > BOX_LEVEL
        if count < self.merge_from and not on_mask:
            return current
        return progressive(previous, current, request.clicks[-1], window)

    def _look_again(self, requests: Sequence[Request], maps: list[np.ndarray]) -> None:
        """Replace, in place, the maps of first clicks by what the network makes of them in a closer window."""
        again = [i for i, r in enumerate(requests) if r.previous is None]
        if again:
            nearer = [zoom.around(maps[i], requests[i].clicks, self.engine.size) for i in again]
            mended = self._run(self.engine, [requests[i] for i in again], [maps[i] for i in again], nearer)
            for i, refined in zip(again, mended, strict=True):
                maps[i] = refined

    def _look_closer(
        self, engine: Engine, requests: Sequence[Request], seen: list[zoom.Window], maps: list[np.ndarray]
    ) -> None:
        """Mend, in place, what the last click of a request changed, where a smaller window shows it larger."""
        found = {
            i: window
            for i, r in enumerate(requests)
            if r.previous is not None and r.clicks
            if (window := zoom.closer(r.previous, maps[i], r.clicks[-1], replace(seen[i], size=engine.size)))
        }
        if found:
            chosen = [requests[i] for i in found]
            mended = self._run(engine, chosen, [maps[i] for i in found], list(found.values()))
            for i, r, current in zip(found, chosen, mended, strict=True):
                assert r.previous is not None, "only answers to earlier clicks are looked at"
                maps[i] = progressive(r.previous, current, r.clicks[-1], seen[i])

    def _run(
        self,
        engine: Engine,
        requests: Sequence[Request],
        priors: list[np.ndarray],
        windows: list[zoom.Window],
    ) -> list[np.ndarray]:
        images = np.stack([w.crop(r.image, zoom.PAD_COLOUR) for w, r in zip(windows, requests, strict=True)])
        guides = np.stack(
            [
                guide_for(w, prior, r.clicks, self.encoding, self.radius)
                for w, prior, r in zip(windows, priors, requests, strict=True)
            ]
        )
        values = quantise(engine.run(images, guides))
        return [w.paste(v, prior) for w, v, prior in zip(windows, values, priors, strict=True)]


def _prior(request: Request) -> np.ndarray:
    if request.previous is not None:
        return request.previous
    return np.zeros(request.image.shape[:2], np.uint8)


def replay(
    predictor: Predictor, image: np.ndarray, clicks: Sequence[Click], start: np.ndarray | None = None
) -> np.ndarray:
    """The map after all clicks, from the beginning: one prediction a click, each on the answer before."""
    current = start
    for count in range(1, len(clicks) + 1):
        current = predictor.predict(image, clicks[:count], current)
    return current if current is not None else np.zeros(image.shape[:2], np.uint8)

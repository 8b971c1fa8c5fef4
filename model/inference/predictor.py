"""From clicks to a mask: choose the window, encode, run the network, paste.

Stateless: the map for clicks 1..k is a function of image, clicks and the map for clicks 1..k-1, so that a cold
process that replays the clicks answers byte for byte what a warm one answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.click import Click
from model.engines.base import Engine
from model.inference import zoom
from model.inference.clean import remove_doubtful_parts
from model.inference.click_maps import encode
from model.inference.edge import follow_edge
from model.inference.merge import Region, progressive

BOX_LEVEL = 128  # of a map inside a box: undecided
BAR = 10  # times as long as wide: the object runs along such a box
MERGE_FROM = 3  # see `Predictor`

# Previous map, clicks and input side -> what the network is shown; `zoom.target_crop` is one.
ZoomIn = Callable[[np.ndarray, Sequence[Click], int], zoom.Window]


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

    @property
    def corrects(self) -> bool:
        """Tell whether a click corrects a map that is there."""
        return self.previous is not None and bool(self.clicks)


@dataclass(eq=False)
class _Look:
    """A request on its way: its map so far, HxW uint8 and its own, the window that is looked into, and by whom.

    `changed` is where the map may differ from the previous one; None for all of the window.
    """

    request: Request
    map: np.ndarray
    window: zoom.Window
    engine: Engine
    changed: Region | None = None


def box_prior(shape: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """Make the initial map for a box x0, y0, x1, y1 in pixels: 128 inside (undecided), 0 outside; HxW uint8."""
    prior = np.zeros(shape, np.uint8)
    x0, y0, x1, y1 = (max(round(v), 0) for v in box)
    prior[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = BOX_LEVEL
    return prior


def quantise(probability: np.ndarray) -> np.ndarray:
    """Round float probabilities in 0..1 to uint8, round(255 p): what is cached is what is replayed."""
    return np.rint(probability * 255).astype(np.uint8)


def guide_for(
    window: zoom.Window,
    previous: np.ndarray,
    clicks: Sequence[Click],
    encoding: str = "disk",
    radius: float = 5.0,
) -> np.ndarray:
    """Draw the network's guide, 3xSxS float32 in 0..1: previous mask, positive, negative, as seen in the window."""
    guide = np.empty((3, window.size, window.size), np.float32)
    np.divide(window.crop(previous), np.float32(255), out=guide[0], dtype=np.float32)
    guide[1:] = encode(encoding, [window.to_input(c) for c in clicks], window.size, window.size, radius)
    return guide


class Predictor:
    """Answer clicks with probability maps.

    Args:
        engine: runs the network.
        encoding, radius: how the network was trained to see clicks.
        refine: look twice at a first click: the network sees its own answer, in a window around it, and mends it.
            IoU after one click is 0.04 to 0.07 higher for it with the default weights (docs/trials/training.md).
        merge_from: from this click on, and for every click on an initial mask, a click changes only the part it
            points at (`model.inference.merge`), so that a late click cannot spoil a finished part.
            None never does so, nor lets clicks move a whole edge (`model.inference.edge`).
        later: runs the same network for clicks on a mask, at a smaller input, as they are looked at closer, too; None
            for `engine`.
        closer: runs it once more for such a click, at a still smaller input: closer, at what the click changed
            (Focus Crop of FocalClick, arXiv 2204.02574). None does without.
        large, large_from: runs the same network, first click or later, at a larger input for images whose longer side
            is at least so many pixels. None does without.
        zoom_in: chooses the window.
    """

    def __init__(
        self,
        engine: Engine,
        encoding: str = "disk",
        radius: float = 5.0,
        refine: bool = True,
        merge_from: int | None = MERGE_FROM,
        later: Engine | None = None,
        closer: Engine | None = None,
        large: Engine | None = None,
        large_from: int = 0,
        zoom_in: ZoomIn = zoom.target_crop,
    ) -> None:
        self.engine, self.encoding, self.radius = engine, encoding, radius
        self.refine, self.merge_from = refine, merge_from
        self.later, self.closer = later or engine, closer
        self.large, self.large_from, self.zoom_in = large, large_from, zoom_in

    def predict(
        self, image: np.ndarray, clicks: Sequence[Click], previous: np.ndarray | None = None
    ) -> np.ndarray:
        """Compute the map (HxW uint8, round(255 p)) after the last of `clicks`; see `Request` for the arguments."""
        return self.predict_many([Request(image, clicks, previous)])[0]

    def predict_many(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """Answer independent requests with an HxW uint8 map each; those looked at alike share a pass."""
        looks = [self._look(self._prepared(request)) for request in requests]
        self._run(looks)
        if self.refine:
            self._look_again([look for look in looks if look.request.previous is None])
        for look in looks:
            self._merge(look)
        if self.closer is not None:
            self._look_closer(self.closer, [look for look in looks if look.request.corrects])
        return [look.map for look in looks]

    def look_again(self, requests: Sequence[Request], maps: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Mend answers to first clicks (HxW uint8) in a closer window around each, as `refine` does."""
        looks = [
            replace(self._look(request), map=known.copy())
            for request, known in zip(requests, maps, strict=True)
        ]
        self._look_again(looks)
        return [look.map for look in looks]

    def _prepared(self, request: Request) -> Request:
        """Move the edge of a small object to the clicks, which the network would at each click alone; click a bar."""
        if request.previous is None or self.merge_from is None:
            return request
        if not request.clicks:
            return replace(request, clicks=_middle_of_bar(request.previous))
        return replace(request, previous=follow_edge(request.previous, request.clicks))

    def _look(self, request: Request) -> _Look:
        shape, previous = request.image.shape[:2], request.previous
        own = zoom.blank_map(shape) if previous is None else previous.copy()
        engine = self.later if request.corrects else self.engine
        if self.large is not None and max(shape) >= self.large_from:
            engine = self.large
        return _Look(request, own, self.zoom_in(own, request.clicks, engine.size), engine)

    def _look_again(self, looks: list[_Look]) -> None:
        """Let the network mend its answer to a first click, in a closer window."""
        for look in looks:
            look.window = self.zoom_in(look.map, look.request.clicks, look.engine.size)
        self._run(looks)
        for look in looks:
            if len(look.request.clicks) == 1:
                remove_doubtful_parts(look.map, look.request.clicks[0])

    def _merge(self, look: _Look) -> None:
        previous, clicks = look.request.previous, look.request.clicks
        if previous is None or not clicks or self.merge_from is None:
            return
        on_mask = len(clicks) == 1 and previous.max() > BOX_LEVEL
        if len(clicks) >= self.merge_from or on_mask:
            look.changed = progressive(previous, look.map, clicks[-1], look.window)

    def _look_closer(self, engine: Engine, looks: list[_Look]) -> None:
        """Let the network mend what the last click changed, where a smaller window shows it larger."""
        nearer, seen = list[_Look](), list[zoom.Window]()
        for look in looks:
            wide, previous = replace(look.window, size=engine.size), look.request.previous
            assert previous is not None, "only masks are corrected"
            window = zoom.focus_crop(previous, look.map, look.request.clicks[-1], wide, region=look.changed)
            if window is not None:
                look.window, look.engine = window, engine
                nearer.append(look)
                seen.append(wide)
        self._run(nearer)
        for look, wide in zip(nearer, seen, strict=True):
            assert look.request.previous is not None, "only masks are corrected"
            region = look.changed and _hull(look.changed, look.window, wide)
            progressive(look.request.previous, look.map, look.request.clicks[-1], wide, region)

    def _run(self, looks: Sequence[_Look]) -> None:
        """Write the networks' answers into the maps, one pass for those that are looked at alike."""
        for engine in {id(look.engine): look.engine for look in looks}.values():
            alike = [look for look in looks if look.engine is engine]
            images = [look.window.show(look.request.image) for look in alike]
            guides = [
                guide_for(look.window, look.map, look.request.clicks, self.encoding, self.radius)
                for look in alike
            ]
            for look, values in zip(
                alike, quantise(engine.run(_stacked(images), _stacked(guides))), strict=True
            ):
                if zoom.is_blank(look.map):
                    look.map = np.zeros(look.map.shape, np.uint8)
                look.window.paste(values, look.map)


def _middle_of_bar(previous: np.ndarray) -> list[Click]:
    """Click the middle of a long, thin box (HxW uint8 map): inside it nothing tells what is object; else nothing."""
    box = zoom.box_of_map(previous)
    if box is None or previous.max() != BOX_LEVEL:
        return []
    width, height = box[2] - box[0], box[3] - box[1]
    if max(width, height) < BAR * min(width, height):
        return []
    return [Click(box[0] + width / 2, box[1] + height / 2)]


def _hull(changed: Region, window: zoom.Window, wide: zoom.Window) -> Region:
    """Where maps may differ that did so in `changed`, after an answer in `window`; within `wide`."""
    parts = zip(changed, window.inside()[:2], wide.inside()[:2], strict=True)
    rows, cols = (
        slice(max(min(a.start, b.start), limit.start), min(max(a.stop, b.stop), limit.stop))
        for a, b, limit in parts
    )
    return rows, cols


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Join arrays along a new first axis; a single one is not copied."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def replay(
    predictor: Predictor, image: np.ndarray, clicks: Sequence[Click], start: np.ndarray | None = None
) -> np.ndarray:
    """Compute the map (HxW uint8) after all clicks: one prediction a click, each on the answer before.

    Args:
        image: HxWx3 uint8 RGB.
        start: HxW uint8 map before the first click; None for nothing.
    """
    current = start
    for count in range(1, len(clicks) + 1):
        current = predictor.predict(image, clicks[:count], current)
    return current if current is not None else np.zeros(image.shape[:2], np.uint8)

"""A batch of simulated annotations that go on from step to step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from fine_tune.training import simulated_clicks
from model.inference.click_maps import STANDARD
from model.scene import Scene

SceneSource = Callable[[np.random.Generator], Scene]


class ClickBatch:
    """One batch of ongoing annotations.

    Args:
        scenes: draws the objects that are annotated.
        count: annotations at once.
        seed: of the random generators, one for each place of the batch.
        encoding: see `Recipe`.
    """

    def __init__(
        self, scenes: SceneSource, count: int, seed: int, encoding: tuple[str, float] = STANDARD
    ) -> None:
        self._scenes, self._encoding = scenes, encoding
        self._rngs = [np.random.default_rng((seed, place)) for place in range(count)]
        self._annotations: list[simulated_clicks.Annotation | None] = [None] * count

    def _view(self, place: int, size: int) -> simulated_clicks.View:
        rng = self._rngs[place]
        annotation = self._annotations[place]
        if annotation is None:
            self._annotations[place] = annotation = simulated_clicks.begin(self._scenes(rng), rng)
        return simulated_clicks.step(annotation, size, rng, self._encoding)

    def views(self, size: int, pool: ThreadPoolExecutor) -> tuple[Tensor, Tensor, Tensor]:
        """Place the next click of every annotation; return image Bx3xSxS uint8, guide Bx3xSxS and label Bx1xSxS
        (float32, see `simulated_clicks.View`).

        No arithmetic in torch: in this thread it would start a second team of threads that fight for the cores.
        """
        views = list(pool.map(lambda place: self._view(place, size), range(len(self._rngs))))
        image = torch.from_numpy(np.stack([v.image for v in views])).permute(0, 3, 1, 2)
        guide = torch.from_numpy(np.stack([v.guide for v in views]))
        return image, guide, torch.from_numpy(np.stack([v.label for v in views]))[:, None]

    def take(self, probabilities: np.ndarray, pool: ThreadPoolExecutor) -> float:
        """Hand out the answers (BxSxS), replace finished annotations by new ones, and return the mean IoU."""

        def take_one(place: int) -> float:
            annotation = self._annotations[place]
            assert annotation is not None, "take follows views"
            if not simulated_clicks.answer(annotation, probabilities[place], self._rngs[place]):
                self._annotations[place] = None
            return annotation.reached

        return float(np.mean(list(pool.map(take_one, range(len(self._rngs))))))

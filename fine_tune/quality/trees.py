"""Boosted regression trees that answer without the library they were grown with.

Every tree is stored as a complete binary tree, so that all of them are walked at once, level by level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

DEPTH = 4
SPLITS = 2**DEPTH - 1  # the children of node i are 2 i + 1 and 2 i + 2; the leaves follow the splits


class Trees(nn.Module):
    """A sum of trees; `forward` maps BxF features to B values.

    Args:
        count: number of trees; they answer 0 until `grow` or a loaded state fills them.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("start", torch.zeros(()))
        self.register_buffer("feature", torch.zeros(count, SPLITS, dtype=torch.uint8))
        self.register_buffer("threshold", torch.zeros(count, SPLITS))
        self.register_buffer("value", torch.zeros(count, SPLITS + 1))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        feature, threshold = self.get_buffer("feature").long(), self.get_buffer("threshold")
        tree = torch.arange(len(feature))[None]
        node = torch.zeros(len(features), len(feature), dtype=torch.long)
        for _ in range(DEPTH):
            right = features.gather(1, feature[tree, node]) > threshold[tree, node]
            node = 2 * node + 1 + right.long()
        return self.get_buffer("start") + self.get_buffer("value")[tree, node - SPLITS].sum(1)

    def grow(self, features: np.ndarray, targets: np.ndarray, weights: np.ndarray, seed: int) -> None:
        """Fit to NxF float32 features, N targets and N weights; needs scikit-learn.

        For the absolute error, so that few annotations that nothing gives away (the wrong object, drawn with care)
        do not bend the trees for all others.
        """
        from sklearn.ensemble import GradientBoostingRegressor  # not needed to use what was grown

        grown = GradientBoostingRegressor(
            loss="absolute_error",
            n_estimators=len(self.get_buffer("feature")),
            max_depth=DEPTH,
            learning_rate=0.04,
            subsample=0.5,
            max_features=0.3,
            min_samples_leaf=10,
            random_state=seed,
        ).fit(features, targets, sample_weight=weights)
        self.get_buffer("start").fill_(float(np.ravel(grown.init_.constant_)[0]))
        for index, estimator in enumerate(grown.estimators_[:, 0]):
            self._take(index, estimator.tree_, grown.learning_rate)

    def _take(self, index: int, tree: Any, rate: float) -> None:
        """Copy one tree of scikit-learn; below a leaf that comes early, every split leads to the same value."""
        feature, threshold, value = (self.get_buffer(n)[index] for n in ("feature", "threshold", "value"))
        places = {0: 0}  # complete tree -> scikit-learn's
        for node in range(SPLITS):
            source = places[node]
            left, right = int(tree.children_left[source]), int(tree.children_right[source])
            if left < 0:
                left = right = source
            else:
                feature[node] = int(tree.feature[source])
                threshold[node] = _rounded_down(float(tree.threshold[source]))
            places[2 * node + 1], places[2 * node + 2] = left, right
        for leaf in range(SPLITS + 1):
            value[leaf] = rate * float(tree.value[places[SPLITS + leaf], 0, 0])


def _rounded_down(threshold: float) -> float:
    """Return the float32 that divides float32 features exactly as a float64 threshold does."""
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))

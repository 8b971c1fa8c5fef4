"""Trees answer without scikit-learn as they did with it."""

import numpy as np
import pytest
import torch

from fine_tune.quality.trees import DEPTH, Trees

ensemble = pytest.importorskip("sklearn.ensemble", reason="growing trees needs scikit-learn (extra: dev)")


def bent(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coarse features, so that thresholds lie close to them, and a target that two of them make."""
    features = np.random.default_rng(seed).integers(0, 12, (count, 5)).astype(np.float32) / 7
    return features, np.where(features[:, 1] > 0.8, features[:, 3], 1 - features[:, 3]).astype(np.float32)


def test_answers_are_those_of_the_library():
    features, targets = bent(400, 0)
    weights = np.random.default_rng(1).random(400)
    trees = Trees(60)
    trees.grow(features, targets, weights, seed=3)
    library = ensemble.GradientBoostingRegressor(
        loss="absolute_error",
        n_estimators=60,
        max_depth=DEPTH,
        learning_rate=0.04,
        subsample=0.5,
        max_features=0.3,
        min_samples_leaf=10,
        random_state=3,
    ).fit(features, targets, sample_weight=weights)
    fresh, _ = bent(300, 2)
    assert trees(torch.from_numpy(fresh)).numpy() == pytest.approx(library.predict(fresh), abs=1e-5)


def test_what_is_there_is_learned_in_spite_of_outliers():
    features, targets = bent(600, 4)
    targets[::10] = 5  # as many as no mean survives
    trees = Trees(300)
    trees.grow(features, targets, np.ones(600), seed=0)
    fresh, truth = bent(200, 5)
    assert np.abs(trees(torch.from_numpy(fresh)).numpy() - truth).mean() < 0.15


def test_before_growing_the_answer_is_nothing():
    assert not Trees(3)(torch.ones(4, 5)).any()

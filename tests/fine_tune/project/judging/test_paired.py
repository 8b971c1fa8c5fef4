"""Intervals over images: wide where there are few, and right where the truth is known."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from fine_tune.project.judging.paired import paired_mean


def test_one_object_an_image_is_the_t_interval():
    values = np.random.default_rng(0).normal(1, 2, 12)
    mean = paired_mean([str(i) for i in range(12)], values)
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    assert (mean.low(0.05), mean.high(0.05)) == pytest.approx((expected.low, expected.high))


def test_objects_of_one_image_count_once():
    images = [str(i // 5) for i in range(30)]
    alike = np.repeat(np.random.default_rng(0).normal(0, 1, 6), 5)
    assert paired_mean(images, alike).error == pytest.approx(paired_mean(images[::5], alike[::5]).error)
    assert paired_mean(images, alike).error > 2 * paired_mean([str(i) for i in range(30)], alike).error


def test_one_image_tells_nothing():
    mean = paired_mean(["a"] * 5, np.ones(5))
    assert (mean.value, mean.low(0.05), mean.high(0.05)) == (1, -np.inf, np.inf)


def test_images_that_have_most_of_the_objects_decide():
    even = paired_mean([str(i % 5) for i in range(40)], np.arange(40.0))
    uneven = paired_mean(["large"] * 36 + ["a", "b", "c", "d"], np.arange(40.0))
    assert even.freedom == pytest.approx(4)
    assert 1 < uneven.freedom < 1.2


@pytest.mark.parametrize("sizes", [None, [20, 1, 1, 1, 1], [30, 3, 3, 3]])
def test_the_bound_holds_as_often_as_it_says(sizes: list[int] | None):
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(1000):
        counts = rng.integers(1, 6, 7) if sizes is None else np.array(sizes)
        images = np.repeat(np.arange(len(counts)), counts)
        values = 0.5 * rng.normal(0, 1, len(counts))[images] + rng.normal(0, 1, len(images))
        below += paired_mean([str(i) for i in images], values).low(0.05) > 0
    assert below / 1000 < 0.08

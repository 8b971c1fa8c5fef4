import json
import tracemalloc

import cv2
import numpy as np
import pytest

from model.inference.domain import EXEMPLARS, FARTHEST, MARGIN, NEAREST, Domain, describe, distances
from tests.model.textures import dots, stripes


@pytest.fixture(scope="module")
def domain() -> Domain:
    return Domain.of([describe(dots(seed)) for seed in range(12)])


def test_a_domain_covers_images_like_its_own_and_no_others(domain):
    assert all(domain.covers(dots(seed)) for seed in range(100, 112))
    assert not any(domain.covers(stripes(seed)) for seed in range(12))


def test_the_size_of_an_image_does_not_matter(domain):
    large = cv2.resize(dots(100), None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
    assert domain.covers(large)


def test_a_description_is_finite_for_extreme_images():
    for image in (np.zeros((1, 1, 3), np.uint8), np.full((3, 900, 3), 255, np.uint8)):
        assert np.isfinite(describe(image)).all()
        assert describe(image).dtype == np.float32


def test_a_description_depends_on_the_pixels_alone():
    image = dots(3)
    np.testing.assert_array_equal(describe(image), describe(np.asfortranarray(image.copy())))


def test_the_limit_stays_within_its_bounds():
    one = describe(dots(0))
    assert Domain.of([one]).limit == FARTHEST
    assert Domain.of([one, one, one]).limit == NEAREST
    far = [one, one + 5, one - 5]
    assert Domain.of(far).limit == FARTHEST


def test_few_exemplars_stand_for_many_images():
    found = [describe(dots(seed)) for seed in range(EXEMPLARS + 10)]
    domain = Domain.of(found)
    assert len(domain.exemplars) == EXEMPLARS
    assert all(domain.covers(dots(seed)) for seed in range(EXEMPLARS + 10))


def test_thousands_of_images_take_little_memory():
    found = np.random.default_rng(0).normal(0, 0.1, (2000, describe(dots(0)).size)).astype(np.float32)
    tracemalloc.start()
    limit = Domain.of(list(found)).limit
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 32 << 20, "all pairs have 38 numbers each: 600 MB"
    gaps = distances(found[:500], found[:500]) + np.diag(np.full(500, np.inf, np.float32))
    few = Domain.of(list(found[:500])).limit
    assert few == pytest.approx(np.clip(MARGIN * np.quantile(gaps.min(1), 0.9), NEAREST, FARTHEST))
    assert NEAREST < limit <= few


def test_a_domain_survives_its_card(domain):
    again = Domain.from_json(json.loads(json.dumps(domain.as_json())))
    assert again.limit == pytest.approx(domain.limit, abs=1e-4)
    np.testing.assert_allclose(again.exemplars, domain.exemplars, atol=1e-3)


@pytest.mark.parametrize(
    "values", [{}, {"limit": 1}, {"limit": 1, "exemplars": [[1, 2]]}, {"limit": "x", "exemplars": []}]
)
def test_a_damaged_card_is_refused(values):
    with pytest.raises(ValueError, match="domain"):
        Domain.from_json(values)

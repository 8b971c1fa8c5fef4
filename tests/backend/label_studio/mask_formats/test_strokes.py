from typing import Any

import numpy as np
import pytest

from backend.label_studio.mask_formats import strokes
from tests.backend.drawn_regions import box, stroke

NOTHING = box(0, 0, 0, 0)  # 200x100


def test_a_stroke_is_as_wide_as_it_is_told_with_round_ends() -> None:
    drawn = strokes.draw(NOTHING, [stroke("add", 25, 50, 75, 50)])
    assert drawn[41:59, 50:150].all() and not drawn[:39].any() and not drawn[61:].any()
    assert drawn[50, 41] and drawn[50, 158] and not drawn[50, 38] and not drawn[50, 161]
    assert not drawn[41, 42]  # round
    assert np.count_nonzero(drawn) == pytest.approx(20 * 100 + np.pi * 10**2, rel=0.05)


def test_strokes_come_one_after_the_other_and_the_mask_before_them_stays_as_it_is() -> None:
    mask = box(0, 0, 100, 100)
    lines = stroke("eraser", 0, 50, 100, 50), stroke("add", 10, 0, 10, 100)
    drawn = strokes.draw(mask, list(lines))
    assert drawn[50, 20] and not drawn[50, 60] and drawn[10, 60]
    assert not strokes.draw(mask, list(reversed(lines)))[50, 20]
    assert mask.all(axis=0)[:100].all()


def test_a_dot_is_a_disk() -> None:
    drawn = strokes.draw(NOTHING, [stroke("add", 50, 50, 50, 50)])
    assert np.count_nonzero(drawn) == pytest.approx(np.pi * 10**2, rel=0.1)
    assert not strokes.draw(NOTHING, [stroke("add")]).any()


@pytest.mark.parametrize(
    "nonsense",
    ["x", [3], [{}], [stroke("add", 1)], [stroke("add", 1, float("nan"))], [stroke("add", 1, 2, across=-1)]],
)
def test_nonsense_is_refused(nonsense: Any) -> None:
    with pytest.raises(ValueError, match="strokes are"):
        strokes.check(nonsense)


def test_more_than_anybody_paints_is_refused() -> None:
    zigzag = stroke("add", *([0, 0, 100, 100] * 50_000), across=100)
    with pytest.raises(ValueError, match="too many pixels"):
        strokes.draw(np.zeros((1000, 1000), bool), [zigzag])

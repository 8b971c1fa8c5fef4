"""Features: shapes, finiteness, and that the telling ones point the right way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fine_tune.quality.features import STEP_NAMES, WHOLE_NAMES, step_rows, whole_row
from fine_tune.quality.steps import Effect, Step
from tests.fine_tune.quality.simulated_steps import steps

share = st.floats(0, 1)
anything = st.builds(
    Step,
    seconds=st.floats(0, 1e6),
    x=st.floats(0, 5),
    y=st.floats(0, 5),
    positive=st.booleans(),
    clicks=st.integers(1, 500),
    undone=st.integers(0, 50),
    effect=st.builds(
        Effect,
        area=share,
        change=share,
        growth=st.floats(-1, 1),
        surprise=share,
        depth=st.floats(-1000, 1000),
        expected=share,
        undecided=st.floats(0, 1e6),
        weakest=share,
        parts=st.integers(0, 10_000),
        roughness=st.floats(0, 1000),
        sure=share,
        tenth=share,
        stability_score=share,
        solidity=share,
        around=share,
    ),
)


def value(made, name, **more):
    return whole_row(made, **more)[WHOLE_NAMES.index(name)]


@given(st.lists(anything, min_size=1, max_size=30))
def test_features_of_anything_are_finite(made):
    rows, whole = step_rows(made), whole_row(made)
    assert rows.shape == (len(made), len(STEP_NAMES))
    assert whole.shape == (len(WHOLE_NAMES),)
    assert np.isfinite(rows).all()
    assert np.isfinite(whole).all()


def test_no_steps_no_features():
    assert step_rows([]).shape == (0, len(STEP_NAMES))
    with pytest.raises(ValueError, match="without steps"):
        whole_row([])


def test_a_mask_that_still_moves_shows():
    assert value(steps(1, 0.3, 0.2), "last change") > value(steps(1, 0.3, 0.01), "last change")
    assert value(steps(1, 0.3, 0.01), "largest late change") == value(
        steps(1, 0.01, 0.3), "largest late change"
    )


def test_seconds_and_clicks_grow_with_the_work():
    assert value(steps(1, 1, seconds=5), "median seconds") > value(steps(1, 1, seconds=1), "median seconds")
    assert value(steps(1, 1, 1), "clicks") > value(steps(1), "clicks")


def test_edits_are_passed_on():
    assert value(steps(1), "edited", edited=0.25) == 0.25

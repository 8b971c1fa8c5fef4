"""Recipes are checked when they are made."""

import pytest

from fine_tune.training.recipe import Recipe


@pytest.mark.parametrize(
    ("options", "message"), [({}, "length"), ({"steps": 1, "sizes": (100,)}, "multiple of 32")]
)
def test_a_recipe_is_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**options)

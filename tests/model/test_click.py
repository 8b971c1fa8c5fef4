import pytest

from model.click import Click


@pytest.mark.parametrize(
    ("x", "y", "pixel"),
    [
        (0.0, 0.0, (0, 0)),
        (0.999, 1.0, (1, 0)),
        (19.5, 9.5, (9, 19)),
        (20.0, 10.0, (9, 19)),  # the edge itself belongs to the last pixel
        (-0.1, 300.0, (9, 0)),
    ],
)
def test_the_pixel_under_a_click_is_always_in_the_image(x: float, y: float, pixel: tuple[int, int]):
    assert Click(x, y).pixel(10, 20) == pixel


def test_clicks_are_positive_and_compare_by_value():
    assert Click(1.0, 2.0) == Click(1.0, 2.0, True) != Click(1.0, 2.0, False)

"""The automatic clickers on errors small enough to find the answer by hand."""

import cv2
import numpy as np
import pytest

from model.click import Click
from model.evaluation.clicker import next_click, noisy_click
from model.mask_ops import depth_of

NOTHING = np.zeros((7, 9), bool)


def mask(*rows: str) -> np.ndarray:
    """'#' is True."""
    return np.array([[c == "#" for c in row] for row in rows])


def test_first_click_is_the_deepest_pixel_of_the_object():
    truth = mask(
        ".........",
        ".#####...",
        ".#####...",
        ".#####...",
        ".#####...",
        ".#####...",
        ".........",
    )
    assert next_click(truth, NOTHING) == Click(3.5, 3.5, positive=True)


def test_too_much_is_clicked_negative():
    prediction = mask(*["........."] * 2, *["..####..."] * 3, *["........."] * 2)
    truth = prediction.copy()
    truth[2:5, 2:5] = False  # 3x3 too much, one column right
    assert next_click(truth, prediction) == Click(3.5, 3.5, positive=False)


def test_equal_depths_are_a_negative_click():
    truth = mask(*["........."] * 2, *[".###....."] * 3, *["........."] * 2)
    prediction = mask(*["........."] * 2, *[".....###."] * 3, *["........."] * 2)
    assert next_click(truth, prediction) == Click(6.5, 3.5, positive=False)


def test_among_equally_deep_pixels_the_first_in_row_major_order_wins():
    truth = NOTHING.copy()
    truth[4:7, 0:3] = True  # deepest at row 5, column 1
    truth[1:4, 5:8] = True  # deepest at row 2, column 6: further right, but higher up
    assert next_click(truth, NOTHING) == Click(6.5, 2.5)
    wide = NOTHING.copy()
    wide[2:5, 1:8] = True  # columns 2..6 of row 3 are equally deep
    assert next_click(wide, NOTHING) == Click(2.5, 3.5)


def test_the_border_of_the_image_is_an_edge():
    assert next_click(np.ones((5, 9), bool), np.zeros((5, 9), bool)) == Click(2.5, 2.5)
    corner = NOTHING.copy()
    corner[0:3, 0:3] = True
    assert next_click(corner, NOTHING) == Click(1.5, 1.5)


def test_clicked_pixels_are_not_clicked_again():
    truth = NOTHING.copy()
    truth[2:5, 1:8] = True
    first = next_click(truth, NOTHING)
    second = next_click(truth, NOTHING, [first])
    assert (first, second) == (Click(2.5, 3.5), Click(3.5, 3.5))


def test_a_clicked_pixel_does_not_make_its_neighbours_shallower():
    truth = NOTHING.copy()
    truth[1:6, 2:7] = True
    # depths of row 2: 1 2 2 2 1; the centre (row 3, column 4) has 3 and is taken
    assert next_click(truth, NOTHING, [Click(4.5, 3.5)]) == Click(3.5, 2.5)


def test_ignored_pixels_belong_to_no_error_and_cut_it():
    truth = NOTHING.copy()
    truth[0:7, 0:9] = True
    ignore = NOTHING.copy()
    ignore[:, 3] = True  # left: 3 wide, depth 2; right: 5 wide, depth 3
    assert next_click(truth, NOTHING, ignore=ignore) == Click(6.5, 2.5)
    assert next_click(truth, NOTHING, ignore=np.ones_like(truth)) is None


def test_nothing_left_to_correct_is_no_click():
    truth = NOTHING.copy()
    truth[3, 3] = True
    assert next_click(truth, truth) is None
    assert next_click(truth, NOTHING, [Click(3.2, 3.9)]) is None
    assert noisy_click(truth, truth, [], None, np.random.default_rng(0)) is None


@pytest.fixture
def disk():
    rows, columns = np.mgrid[0:120, 0:160]
    return np.hypot(rows - 60, columns - 80) < 40


def test_noisy_clicks_are_deterministic_and_spread(disk):
    empty = np.zeros_like(disk)

    def clicks(seed):
        rng = np.random.default_rng(seed)
        return [noisy_click(disk, empty, [], None, rng) for _ in range(30)]

    assert clicks(5) == clicks(5)
    assert clicks(5) != clicks(6)
    assert len(set(clicks(5))) > 20


def test_noisy_clicks_are_mostly_deep_sometimes_near_the_edge_never_wrong(disk):
    truth, prediction = disk.copy(), np.zeros_like(disk)
    truth[:, 80:], prediction[:, 100:] = False, disk[:, 100:]  # the missed half is the deeper error
    ignore = np.zeros_like(disk)
    ignore[:, 78:] = True
    rng = np.random.default_rng(0)
    depth = depth_of(truth & ~ignore)
    depths = []
    for _ in range(400):
        click = noisy_click(truth, prediction, [], ignore, rng)
        pixel = click.pixel(*truth.shape)
        assert click.positive
        assert truth[pixel]
        assert not ignore[pixel]
        depths.append(depth[pixel] / depth.max())
    shares = np.mean(np.array(depths) <= 0.3), np.mean(np.array(depths) > 0.5)
    assert 0.08 < shares[0] < 0.25
    assert 0.6 < shares[1] < 0.92


def test_a_noisy_click_on_a_single_pixel_finds_it():
    truth = NOTHING.copy()
    truth[6, 8] = True
    rng = np.random.default_rng(1)
    assert {noisy_click(truth, NOTHING, [], None, rng) for _ in range(20)} == {Click(8.5, 6.5)}


def literal(truth, prediction, clicked, ignore):
    """The rule as it is written down, step by step on whole images: pixel (row, column) and sign."""
    counted = ~ignore
    depths = []
    for error in (truth & ~prediction & counted, ~truth & prediction & counted):
        padded = np.pad(error.astype(np.uint8), 1)
        depth = cv2.distanceTransform(padded, cv2.DIST_L2, 0)[1:-1, 1:-1]
        # Squares of distances are whole, whatever the CPU makes of them.
        depths.append(np.sqrt(np.rint(depth**2)))
    free = np.ones(truth.shape)
    for click in clicked:
        free[int(click.y), int(click.x)] = 0
    depths = [depth * free for depth in depths]
    positive = bool(depths[0].max() > depths[1].max())
    chosen = depths[0 if positive else 1]
    rows, columns = np.where(chosen == chosen.max())
    return int(rows[0]), int(columns[0]), positive


def test_a_long_game_follows_the_rule_literally():
    rng = np.random.default_rng(11)

    def blobs(share):
        noise = cv2.GaussianBlur(rng.random((50, 70)).astype(np.float32), (0, 0), 5)
        return noise > np.quantile(noise, 1 - share)

    truth, ignore, clicked, signs = blobs(0.4), blobs(0.05), [], set()
    for _ in range(60):
        prediction = blobs(rng.uniform(0, 0.8))
        click = next_click(truth, prediction, clicked, ignore)
        assert (*click.pixel(*truth.shape), click.positive) == literal(truth, prediction, clicked, ignore)
        clicked.append(click)
        signs.add(click.positive)
    assert signs == {True, False}

import numpy as np

from backend.label_studio.mask_regions import accepted
from backend.operations.bench.click_requests import CLICKS, Picture, body, masks, photo


def test_the_photo_has_its_object_where_it_says() -> None:
    pixels, (x, y), (a, b) = photo(200, 100, seed=3)
    assert pixels.shape == (100, 200, 3)
    inside, outside = pixels[round(y), round(x)], pixels[round(y), round(x + 1.5 * a) % 200]
    assert inside.sum() > outside.sum()
    assert 0 < b < 50
    np.testing.assert_array_equal(pixels, photo(200, 100, seed=3)[0])


def test_saved_masks_are_regions_that_can_be_read() -> None:
    regions = accepted(list(masks(5, 120, 80)))
    assert len(regions) == 5
    assert all(region.mask().any() and region.mask().shape == (80, 120) for region in regions)


def test_tasks_are_clicked_at_places_a_little_apart() -> None:
    picture = Picture.make(200, 100, seed=1)
    one, same, another = (body(picture, "/a.jpg", 2, (), task) for task in (1, 1, 2))
    assert one == same
    places = [content["params"]["context"]["result"][1]["value"] for content in (one, another)]
    assert 0 < abs(places[0]["x"] - places[1]["x"]) < 5
    assert len(body(picture, "/a.jpg", len(CLICKS))["params"]["context"]["result"]) == len(CLICKS)

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.operations.bench import CLICKS, compare_rle, measure, photo
from tests.backend.running_app import ImageServer, settings_for

SDK = Path(__file__).parents[3] / ".venv-labelstudio" / "bin" / "python"


@pytest.fixture(scope="module")
def images() -> Iterator[ImageServer]:
    server = ImageServer()
    yield server
    server.close()


def test_every_click_is_measured_in_every_stage(images: ImageServer, tmp_path: Path) -> None:
    told: list[str] = []
    version, device, (result,) = measure(settings_for(tmp_path, images), [(160, 120)], 2, told.append)
    assert version.startswith("base-1-")
    assert device == "cpu (torch)"
    assert told == ["loading the model", "160x120"]
    for times, count in ((result.first, 2), (result.later, 2 * (len(CLICKS) - 1))):
        assert set(times) == {"image", "session", "predict", "clean", "encode", "http", "total"}
        assert {len(values) for values in times.values()} == {count}
        for index, total in enumerate(times["total"]):
            parts = sum(values[index] for name, values in times.items() if name != "total")
            assert parts == pytest.approx(total)
    assert {mask.shape for mask in result.masks} == {(120, 160)}


def test_the_photo_has_its_object_where_it_says() -> None:
    pixels, (x, y), (a, b) = photo(200, 100, seed=3)
    assert pixels.shape == (100, 200, 3)
    inside, outside = pixels[round(y), round(x)], pixels[round(y), round(x + 1.5 * a) % 200]
    assert inside.sum() > outside.sum()
    assert 0 < b < 50
    np.testing.assert_array_equal(pixels, photo(200, 100, seed=3)[0])


def test_the_encoders_are_compared(tmp_path: Path) -> None:
    if not SDK.exists():
        pytest.skip(f"missing: {SDK} with label_studio_sdk")
    ours, sdk = compare_rle([np.eye(50, dtype=bool)] * 3, str(SDK), tmp_path)
    assert len(ours) == len(sdk) == 3
    assert min(ours + sdk) > 0


def test_a_python_without_the_sdk_is_named(tmp_path: Path) -> None:
    for python in (sys.executable, str(tmp_path / "no-python")):
        with pytest.raises(RuntimeError, match=f"{python} cannot run label_studio_sdk"):
            compare_rle([np.eye(50, dtype=bool)], python, tmp_path)

from pathlib import Path

import pytest

from backend.operations.bench.click_requests import CLICKS
from backend.operations.bench.filling import Filling
from backend.operations.bench.latency import EMPTY, measure
from tests.backend.running_app import ImageServer, settings_for


def test_every_click_is_measured_in_every_stage_of_every_variant(images: ImageServer, tmp_path: Path) -> None:
    told: list[str] = []
    filling = Filling(redis_keys=50, jobs=3, ledger=20, saved_masks=7)
    measured = measure(settings_for(tmp_path, images), [(160, 120)], 2, filling, told.append)
    assert measured.version.startswith("base-1-")
    assert measured.device == "cpu (torch)"
    assert list(measured.sizes) == [EMPTY, "50 keys, 3 jobs, 20 records", "7 saved masks"]
    assert told[-1] == "160x120: image 2 of 2"
    for (result,) in measured.sizes.values():
        for times, count in ((result.first, 2), (result.later, 2 * (len(CLICKS) - 1))):
            assert set(times) == {"image", "session", "predict", "clean", "encode", "http", "total"}
            assert {len(values) for values in times.values()} == {count}
            for index, total in enumerate(times["total"]):
                parts = sum(values[index] for name, values in times.items() if name != "total")
                assert parts == pytest.approx(total)
        assert {mask.shape for mask in result.masks} == {(120, 160)}
    masks = [result.masks for (result,) in measured.sizes.values()]
    assert all((one == other).all() for one, other in zip(masks[0], masks[1], strict=True))

"""What the quality model reads in service is what it was trained on: annotations simulated, and clicked again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.review.click_log import ClickLog
from backend.review.object_history import group_by_object
from fine_tune.quality.annotators import Annotator, Kind
from fine_tune.quality.features import step_rows, whole_row
from fine_tune.quality.simulated_annotation import Subject, annotate
from fine_tune.quality.steps import Step
from tests.backend.predict_bodies import keypoint, predict
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, backend_of, picture, png, regions, running, settings_for
from tests.waiting import PATIENCE_S

# Clicks on, slips and takes clicks back, whatever a model of random weights answers.
RESTLESS = Kind(
    patience=(7, 7), tolerance=(1e-4, 2e-4), extra=(9, 9), slip=0.3, stray=0.5, undo=0.9, repair=0.0
)


@pytest.mark.parametrize(("width", "height"), [(200, 100), (1400, 1030)])
def test_the_service_records_the_steps_of_the_simulation(
    width: int, height: int, tmp_path: Path, images: ImageServer, redis_server: RedisServer
) -> None:
    made: list[list[Step]] = []
    with running(settings_for(tmp_path, images, redis_url=redis_server.url)) as app:
        service = backend_of(app)
        predictor = service.models.take(None, PATIENCE_S).predictor
        for seed in range(12):
            if seed >= 3 and _tells(made):
                break
            rng, image = np.random.default_rng(seed), picture(width, height, seed)
            truth = image[..., 0] > 128
            subject = Subject(image, truth, np.zeros_like(truth), str(seed))
            made.append(annotate(Annotator.draw(RESTLESS, rng), subject, predictor, rng).steps)
            name = f"/data/upload/3/{seed}.png"
            images.answers[name] = (200, png(image))
            for shown in _shown(made[-1], width, height):
                assert regions(app.test_client(), predict(*shown, id=seed, data={"image": name}))
        service.redis.flush()
        recorded = [history.steps() for history in group_by_object(ClickLog(service.redis, 90).read(3))]
    assert _tells(made)
    assert len(recorded) == len(made)
    for simulated, seen in zip(made, recorded, strict=True):
        _compare(simulated, seen)


def _tells(made: list[list[Step]]) -> bool:
    """Whether clicks of both signs were made, and some taken back."""
    steps = [step for one in made for step in one]
    return any(step.undone for step in steps) and any(not step.positive for step in steps)


def _shown(steps: list[Step], width: int, height: int) -> Iterator[list[dict[str, Any]]]:
    """The keypoints in the editor at every step; an undone click is gone at the next."""
    side, shown = float(np.sqrt(width * height)), list[dict[str, Any]]()
    for number, step in enumerate(steps):
        del shown[len(shown) - step.undone :]
        point = keypoint(
            f"k{number}", 100 * step.x * side / width, 100 * step.y * side / height, step.positive
        )
        shown.append({**point, "original_width": width, "original_height": height})
        yield list(shown)


def _compare(simulated: list[Step], seen: list[Step]) -> None:
    assert len(seen) == len(simulated)
    # Nobody waits for simulated pauses here: they are all that may differ, but for digits that events leave out.
    seen = [replace(step, seconds=other.seconds) for step, other in zip(seen, simulated, strict=True)]
    for step, other in zip(seen, simulated, strict=True):
        assert _flat(step) == pytest.approx(_flat(other), abs=2e-5)
    assert step_rows(seen) == pytest.approx(step_rows(simulated), abs=1e-3)
    assert whole_row(seen) == pytest.approx(whole_row(simulated), abs=1e-3)


def _flat(step: Step) -> dict[str, Any]:
    values = asdict(step)
    return {**values.pop("effect"), **values}

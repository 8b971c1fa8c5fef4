"""Review first where it hurts: rates the annotations of a project and shows the result in Label Studio.

Reading is all that happens without `publish`, which writes a number into tasks' data and a tab of the Data Manager;
annotations are never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backend.label_studio.client import LabelStudio
from backend.review.click_log import ClickLog
from backend.review.ranking import Ranking, rank, reviewed
from fine_tune.quality.calibration import Calibration, fit
from fine_tune.quality.network import QualityModel

COLUMN = "quality_iou"  # of task data
TAB = "To review"
SCORES = (
    "clickmask:quality:"  # Redis hash of a published project: "<annotation>/<region>" -> task, annotator, iou
)


class ProjectReview:
    """The review of one project.

    Args:
        client: the Label Studio it is in.
        tracer: where its events are.
        home: `CLICKMASK_HOME`, for the calibration.
    """

    def __init__(self, client: LabelStudio, tracer: ClickLog, home: Path, project: int) -> None:
        self._client, self._tracer, self.project = client, tracer, project
        self._file = home / "quality" / f"project-{project}.json"
        self._tasks: list[dict[str, Any]] = []
        self._model = QualityModel.load()

    def rank(self, task: int | None = None) -> Ranking:
        """Rate all annotations of the project, or of one task.

        Raises:
            LabelStudioError, redis.RedisError: one of the two cannot be read.
            ValueError: the project's calibration is damaged.
        """
        if task is None:
            self._tasks = self._client.annotated_tasks(self.project)
        else:
            self._tasks = [self._client.task(task)]
        return self._rank(self._calibration(), task)

    def calibrate(self) -> tuple[Calibration, Ranking]:
        """Fit the predictions to what reviews have told, keep that, and rank again.

        Raises:
            ValueError: too few objects were reviewed.
        """
        self._tasks = self._client.annotated_tasks(self.project)
        known = reviewed(self._tasks, self._rank(Calibration()))
        calibration = fit([entry.quality for entry, _ in known], [iou for _, iou in known])
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(asdict(calibration)))
        part.replace(self._file)
        return calibration, self._rank(calibration)

    def data(self, task: int) -> dict[str, Any]:
        """Data of a task that was ranked."""
        return next(entry["data"] for entry in self._tasks if int(entry["id"]) == task)

    def publish(self, ranking: Ranking, redis: Any) -> int:
        """Show a ranking in Label Studio and on the status page; returns how many tasks changed.

        Tasks that were ranked but have nothing rated lose their number.
        """
        numbers, changed = ranking.by_task(), 0
        for task in self._tasks:
            number = int(task["id"])
            iou = round(numbers[number], 3) if number in numbers else None
            if task["data"].get(COLUMN) != iou:
                data = self._client.task(number)["data"]  # as it is now: the whole of it is replaced
                rest = {key: value for key, value in data.items() if key != COLUMN}
                self._client.update_task(number, rest if iou is None else {**rest, COLUMN: iou})
                changed += 1
        _remember(redis, self.project, ranking, [int(entry["id"]) for entry in self._tasks])
        if all(view.get("data", {}).get("title") != TAB for view in self._client.views(self.project)):
            self._client.save_view(self.project, tab())  # made once: people may change it
        return changed

    def _rank(self, calibration: Calibration, task: int | None = None) -> Ranking:
        return rank(self._tasks, self._tracer.read(self.project, task), self._model, calibration)

    def _calibration(self) -> Calibration:
        try:
            return Calibration(**json.loads(self._file.read_text()))
        except FileNotFoundError:
            return Calibration()
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self._file} is damaged ({error}): delete it, or calibrate again") from error


def tab() -> dict[str, Any]:
    """A tab of the Data Manager: the tasks with a number, lowest first."""
    column = f"tasks:data.{COLUMN}"
    rated = {"filter": f"filter:{column}", "operator": "greater_or_equal", "type": "Number", "value": 0}
    return {
        "title": TAB,
        "type": "list",
        "target": "tasks",
        "ordering": [column],
        "filters": {"conjunction": "and", "items": [rated]},
        "columnsDisplayType": {column: "Number"},  # without it numbers are ordered as text
    }


def published(redis: Any, project: int) -> bool:
    """Tell whether a project's tasks carry the number, and are to be kept up to date."""
    return bool(redis.exists(f"{SCORES}{project}"))


def tasks_of(redis: Any, project: int, annotations: Iterable[int]) -> set[int]:
    """The tasks that published annotations belong to."""
    wanted = {str(number) for number in annotations}
    stored = redis.hgetall(f"{SCORES}{project}").items()
    return {int(json.loads(text)["task"]) for field, text in stored if field.decode().split("/")[0] in wanted}


def distribution(redis: Any, project: int) -> dict[str, list[float]]:
    """Predicted IoUs of a published project's objects by annotator; for the status page."""
    found: dict[str, list[float]] = {}
    for text in redis.hvals(f"{SCORES}{project}"):
        entry = json.loads(text)
        if entry["iou"] is not None:
            found.setdefault(str(entry["annotator"]), []).append(float(entry["iou"]))
    return found


def _remember(redis: Any, project: int, ranking: Ranking, tasks: list[int]) -> None:
    """Replace what is kept of these tasks; a mark stays where nothing is rated, so that updates go on."""
    key, gone = f"{SCORES}{project}", set(tasks)
    old = [field for field, text in redis.hgetall(key).items() if json.loads(text)["task"] in gone]
    fresh = {
        f"{entry.annotation}/{entry.joined.accepted.id}": json.dumps(
            {"task": entry.task, "annotator": entry.annotator, "iou": round(entry.quality.iou, 3)}
        )
        for entry in ranking.rated
    }
    pipe = redis.pipeline()
    if old:
        pipe.hdel(key, *old)
    pipe.hset(key, mapping={"published": json.dumps({"task": None, "annotator": "", "iou": None}), **fresh})
    pipe.execute()

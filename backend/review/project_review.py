"""Ranks the annotations of a project by predicted quality, and publishes the ranking in Label Studio.

Ranking only reads. `RankedProject.publish` writes a number into tasks' data and a tab of the Data Manager;
annotations are never changed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.task_states import TaskStates, annotated
from backend.redis_store import QUALITY, readable
from backend.review.click_log import ClickLog
from backend.review.ranking import Ranking, rank, reviewed
from backend.review.task_column import TaskColumn
from fine_tune.quality.calibration import Calibration, fit
from fine_tune.quality.network import WEIGHTS, QualityModel
from model.errors import ClickmaskError

logger = logging.getLogger(__name__)

COLUMN = "quality_iou"  # of task data
TAB = "To review"
MODEL = "model"  # what a calibration was fitted to
_NUMBERS = TaskColumn(COLUMN, TAB)


class ReviewError(ClickmaskError, ValueError):
    """A project cannot be ranked; the message says what is missing or damaged, and what to do."""


class ProjectReview:
    """Reviews one project.

    Args:
        client: the Label Studio it is in.
        log: the click log that its events are in.
        home: `CLICKMASK_HOME`, for the calibration.
    """

    def __init__(self, client: LabelStudio, log: ClickLog, home: Path, project: int) -> None:
        self._client, self._log, self._project = client, log, project
        self._file = home / "quality" / f"project-{project}.json"
        self._model = QualityModel.load()

    def rank(self, tasks: Collection[int] | None = None) -> RankedProject:
        """Rank all annotations of the project, or of some tasks; those that are gone are left out.

        Raises:
            LabelStudioError, redis.RedisError: one of the two cannot be read.
            ReviewError: the project's calibration is damaged.
        """
        if tasks is None:
            return self._ranked(self._exported(), self._calibration())
        found = [record for task in tasks if (record := self._task(task)) is not None]
        return self._ranked(found, self._calibration(), tasks)

    def _exported(self) -> Iterator[dict[str, Any]]:
        """Yield all annotated tasks, with the accounts of annotators, of which an export has the numbers alone.

        The click log and single tasks have their e-mails: else a person would go by two names.
        """
        accounts = self._accounts()
        for task in annotated(self._client, self._project):
            for annotation in task["annotations"]:
                if isinstance(number := annotation.get("completed_by"), int):
                    annotation["completed_by"] = accounts.get(number, number)
            yield task

    def _accounts(self) -> dict[Any, dict[str, Any]]:
        try:
            return {user.get("id"): user for user in self._client.users()}
        except LabelStudioError as error:
            logger.info("annotators are named by number where nothing tells more: %s", error)
            return {}

    def _task(self, task: int) -> dict[str, Any] | None:
        try:
            return self._client.task(task)
        except LabelStudioError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    def calibrate(self) -> RankedProject:
        """Fit the predictions to what reviews have told, keep that, and rank again.

        Raises:
            LabelStudioError, redis.RedisError: as for `rank`.
            ReviewError: too few objects were reviewed.
        """
        plain = self._ranked(self._exported(), Calibration())
        # Exported again rather than kept, as all masks of a project may be gigabytes.
        told = reviewed(self._exported(), plain.ranking)
        known = [(entry, iou) for entry, iou in told if entry.matched.history]
        try:
            calibration = fit([entry.quality for entry, _ in known], [iou for _, iou in known])
        except ValueError as error:
            raise ReviewError(str(error)) from error
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps({**asdict(calibration), MODEL: _digest()}))
        part.replace(self._file)
        return replace(plain, ranking=plain.ranking.calibrated(calibration), calibration=calibration)

    def _ranked(
        self,
        tasks: Iterable[dict[str, Any]],
        calibration: Calibration,
        only: Collection[int] | None = None,
    ) -> RankedProject:
        kept = list[dict[str, Any]]()

        def looked_at() -> Iterator[dict[str, Any]]:
            for task in tasks:
                kept.append({"id": task["id"], "data": task["data"]})  # without its masks
                yield task

        ranking = rank(looked_at(), self._log.read(self._project, only), self._model).calibrated(calibration)
        return RankedProject(self._client, self._project, kept, ranking, calibration, whole=only is None)

    def _calibration(self) -> Calibration:
        try:
            kept = json.loads(self._file.read_text())
            if kept.pop(MODEL, _digest()) != _digest():  # earlier releases do not tell
                logger.warning(
                    "%s is of an earlier quality model, and is not used: calibrate again", self._file
                )
                return Calibration()
            return Calibration(**kept)
        except FileNotFoundError:
            return Calibration()
        except (ValueError, TypeError, AttributeError) as error:
            raise ReviewError(f"{self._file} is damaged ({error}): delete it, or calibrate again") from error


@cache
def _digest() -> str:
    """Name the shipped quality model by eight hex digits."""
    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:8]


@dataclass(frozen=True)
class RankedProject:
    """Holds the tasks of a project, or some of them, with their ranking.

    Attributes:
        project: Label Studio's number.
        tasks: id and data of each.
        ranking: of their annotations.
        calibration: that the ranking was made with.
        whole: whether these are all tasks that have an annotation.
    """

    _client: LabelStudio
    project: int
    tasks: Sequence[dict[str, Any]]
    ranking: Ranking
    calibration: Calibration
    whole: bool = True

    def data(self, task: int) -> dict[str, Any]:
        """Return the data of a task."""
        return next(entry["data"] for entry in self.tasks if int(entry["id"]) == task)

    def publish(self, redis: Any) -> int:
        """Show the ranking in Label Studio and on the status page; return how many tasks changed.

        Tasks that have nothing rated lose their number, also those whose annotations went without an event.

        Raises:
            LabelStudioError, redis.RedisError: one of the two cannot be written.
        """
        numbers, changed = self.ranking.by_task(), 0
        states = TaskStates(redis, self.project)  # else every number would have its task compared again
        for task in self.tasks:
            number = int(task["id"])
            iou = round(numbers[number], 3) if number in numbers else None
            if task["data"].get(COLUMN) != iou:  # which spares asking for tasks that have it
                changed += _NUMBERS.write(self._client, number, iou, states)
        known = {int(entry["id"]) for entry in self.tasks}
        left = _published_tasks(redis, self.project) - known if self.whole else set[int]()
        for number in left:
            try:
                changed += _NUMBERS.write(self._client, number, None, states)
            except LabelStudioError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
        _remember(redis, self.project, self.ranking, known | left)
        _NUMBERS.show(self._client, self.project)
        return changed


def published(redis: Any, project: int) -> bool:
    """Tell whether a project's tasks carry the number, and are to be kept up to date."""
    return bool(redis.exists(f"{QUALITY}{project}"))


def tasks_of(redis: Any, project: int, annotations: Iterable[int]) -> set[int]:
    """Return the tasks that published annotations belong to."""
    wanted = {str(number).encode() for number in annotations}
    kept = _kept(redis, project).items()
    return {int(entry["task"]) for field, entry in kept if field.split(b"/")[0] in wanted}


def _published_tasks(redis: Any, project: int) -> set[int]:
    return {int(entry["task"]) for entry in _kept(redis, project).values() if entry["task"] is not None}


def forget_tasks(redis: Any, project: int, tasks: set[int]) -> None:
    """Forget what was published of tasks that are gone."""
    gone = [field for field, entry in _kept(redis, project).items() if entry["task"] in tasks]
    if gone:
        redis.hdel(f"{QUALITY}{project}", *gone)


def distribution(redis: Any, project: int) -> dict[str, list[float]]:
    """Return the predicted IoUs (0..1) of a published project's objects by annotator; for the status page."""
    found: dict[str, list[float]] = {}
    for entry in _kept(redis, project).values():
        if entry["iou"] is not None:
            found.setdefault(str(entry["annotator"]), []).append(float(entry["iou"]))
    return found


def _kept(redis: Any, project: int) -> dict[bytes, dict[str, Any]]:
    """Read what is published of a project, by field; what is damaged is left out, with a line in the log."""
    stored = redis.hgetall(f"{QUALITY}{project}").items()
    return {field: entry for field, text in stored for entry in readable([text], _parse)}


def _parse(text: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(text)
    iou = None if entry["iou"] is None else float(entry["iou"])
    return {"task": entry["task"], "annotator": entry["annotator"], "iou": iou}


def _remember(redis: Any, project: int, ranking: Ranking, tasks: set[int]) -> None:
    """Replace what is kept of these tasks; a mark stays where nothing is rated, so that updates go on."""
    key = f"{QUALITY}{project}"
    old = [field for field, entry in _kept(redis, project).items() if entry["task"] in tasks]
    fresh = {
        f"{entry.annotation}/{entry.matched.accepted.id}": json.dumps(
            {"task": entry.task, "annotator": entry.annotator, "iou": round(entry.quality.iou, 3)}
        )
        for entry in ranking.rated
    }
    pipe = redis.pipeline()
    if old:
        pipe.hdel(key, *old)
    pipe.hset(key, mapping={"published": json.dumps({"task": None, "annotator": "", "iou": None}), **fresh})
    pipe.execute()

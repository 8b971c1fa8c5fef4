"""What an RQ worker runs: one fine-tuning job of a project, in a fresh process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
from rq import get_current_job
from rq.job import Job

from backend.annotated import choose
from backend.images import ImageError, ImageStore
from backend.label_config import LabelConfig, LabelConfigError
from backend.labelstudio import LabelStudio, LabelStudioError
from backend.regions import AcceptedObject, accepted, objects
from backend.settings import Settings
from fine_tune import general
from fine_tune.jobs import Cancelled, Setup, fine_tune
from fine_tune.ledger import Ledger
from fine_tune.outcome import Outcome, remember
from fine_tune.samples import Example, SourceError
from fine_tune.trigger import Policy, Trigger
from fine_tune.tuning import Effort
from fine_tune.turn import Taken, turn
from model.registry import Registry

logger = logging.getLogger(__name__)

REPORT_S = 1.0
AGAIN_S = 15.0


def policy(settings: Settings) -> Policy:
    """When jobs begin, as the settings say."""
    return Policy(settings.accept, settings.train_after, settings.train_pause_s, settings.train_timeout_s)


def run(project: int, force: bool = False) -> dict[str, Any] | None:
    """Fine-tune a project; called by RQ, which keeps what is returned (`Outcome.as_json`).

    None means that another worker has the project's turn, and the job waits for it.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings, job = Settings.from_env(), get_current_job()
    assert job is not None, "called by RQ"
    client = job.connection
    trigger = Trigger(client, policy(settings))
    try:
        with turn(client, project):
            outcome = _run(project, settings, job, trigger, force)
    except Taken:
        trigger.request(project, "waits for its turn", AGAIN_S, force)
        return None
    remember(client, project, outcome)
    trigger.mark_end(project)
    logger.info("project %d: %s: %s", project, outcome.status, outcome.reason)
    return outcome.as_json()


def _run(project: int, settings: Settings, job: Job, trigger: Trigger, force: bool) -> Outcome:
    reporter = Reporter(job, trigger.cancelled)
    source = ProjectSource(project, settings)
    try:
        return fine_tune(project, source, setup(settings, job.connection), reporter, force)
    except Cancelled:
        return Outcome("cancelled", "somebody cancelled it")


def setup(settings: Settings, client: Any) -> Setup:
    """The parts of a job, as the settings say.

    Raises:
        ValueError: the replay bundle or the general set cannot be read.
    """
    from model.datasets import read_folder

    replay = None
    if settings.replay is not None:
        from fine_tune.bundle import read
        from fine_tune.objects import ObjectSampler, augment

        sampler = ObjectSampler(read(settings.replay))
        replay = lambda rng: augment(sampler.draw(rng), rng)  # noqa: E731 - a scene source
    chosen = settings.general_set
    return Setup(
        registry=Registry(settings.home),
        ledger=Ledger(client),
        accept=settings.accept,
        effort=Effort(settings.train_minutes, settings.train_steps or None),
        keep=settings.keep_versions,
        device=settings.device,
        threads=settings.threads,
        replay=replay,
        general=general.samples() if chosen is None else read_folder(Path(chosen), max_objects=40),
    )


class Reporter:
    """Puts progress into the job's meta, not too often, and ends the job when somebody asked for that.

    A Redis that does not answer does not end the training.
    """

    def __init__(self, job: Job, cancelled: Callable[[str], bool]) -> None:
        self._job, self._cancelled = job, cancelled
        self._phase, self._next = "", 0.0

    def __call__(self, phase: str, share: float, **facts: Any) -> None:
        """Note where the job stands; raises `Cancelled`."""
        now = time.monotonic()
        if phase == self._phase and now < self._next:
            return
        self._phase, self._next = phase, now + REPORT_S
        self._job.meta.update({"step": None, "loss": None, "eta_s": None, **facts})
        self._job.meta.update(phase=phase, share=round(share, 3), at=time.time())
        try:
            self._job.save_meta()
            if self._cancelled(self._job.id):
                raise Cancelled(self._job.id)
        except redis.RedisError as error:
            logger.warning("progress is not shown: %s", error)


class ProjectSource:
    """A Label Studio project as a `fine_tune.samples.Source`."""

    def __init__(self, project: int, settings: Settings) -> None:
        self._project, self._client = project, LabelStudio(settings)
        self._images = ImageStore(settings, self._client)
        self._tasks: list[dict[str, Any]] | None = None

    def annotations(self) -> list[Mapping[str, Any]]:
        """See `Source`."""
        try:
            self._tasks = self._client.annotated_tasks(self._project)
        except LabelStudioError as error:
            raise SourceError(str(error)) from error
        return [
            {**annotation, "task": task["id"]} for task in self._tasks for annotation in task["annotations"]
        ]

    def examples(self, chosen: set[int], on_problem: Callable[[str], None]) -> Iterator[Example]:
        """See `Source`."""
        try:
            config = LabelConfig.parse(self._client.project(self._project)["label_config"])
        except (LabelStudioError, LabelConfigError) as error:
            raise SourceError(str(error)) from error
        for task in self._tasks or ():
            annotation = choose(a for a in task["annotations"] if a["id"] in chosen)
            by_image: dict[tuple[str, int | None], list[AcceptedObject]] = {}
            for item in objects(accepted(annotation.get("result") or ())):
                region = item.regions[0]
                by_image.setdefault((region.to_name, region.item_index), []).append(item)
            for (name, index), items in by_image.items():
                try:
                    url = config.image(name).url(task["data"], index)
                    picture = self._images.get(url, task["id"])
                    masks = [item.mask() for item in items]
                    if any(mask.shape != picture.pixels.shape[:2] for mask in masks):
                        raise ValueError("the masks have another size than the image has now")
                    yield Example(picture.digest, picture.pixels, masks)
                except (ImageError, LabelConfigError, ValueError) as error:
                    on_problem(f"task {task['id']}: {error}")

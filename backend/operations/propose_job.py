"""Writes proposals into Label Studio for the tasks of a project that nobody has annotated, as an RQ job or at once.

What is done is seen in Label Studio itself: a task with a prediction of the version that is served is passed over, so
that a job which was cut short goes on where it was. Predictions of earlier versions are replaced; those of other
sources, and annotated tasks, are left alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rq import Retry
from rq.job import Job

from backend.clicks.proposer import Predicted, TaskProposer
from backend.images.store import ImageStore
from backend.jobs.job_process import Reporter, begin, let_clicks_go_first, telling_why
from backend.jobs.policy import policy
from backend.label_studio.client import UNLABELLED, LabelStudio, Record
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.label_studio.predict_request import Task
from backend.serving.loader import LoadedModel, load
from backend.settings import Settings
from fine_tune.project import keys
from fine_tune.project.job import Cancelled
from fine_tune.project.phases import Report
from fine_tune.project.scheduler import WAITING, Scheduler
from model.errors import ClickmaskError
from model.proposals.trained import CARD_KEY
from model.versions.checkpoint import read_card
from model.versions.registry import Registry

logger = logging.getLogger(__name__)

TASK = "backend.operations.propose_job.run"  # by name: it is imported where it runs
PHASE = "proposing"
BATCH = 10  # tasks whose predictions are written with one request
OURS = re.compile(r"(?:base|project-[0-9]+)-[0-9]+-[0-9a-f]{8}")  # names of versions
KEPT_S = 30 * 86400  # how long Redis knows a job that is over


class NoProposals(ClickmaskError, RuntimeError):
    """The project's model proposes nothing; the message says why."""


@dataclass
class Proposed:
    """What became of the tasks: their number by what was done, the objects proposed on them, and the first error.

    Attributes:
        failed: nothing could be proposed.
        partial: something of what is proposed has no place in the labeling config, or an image could not be had.
    """

    version: str
    written: int = 0
    empty: int = 0
    failed: int = 0
    partial: int = 0
    known: int = 0
    objects: int = 0
    trouble: str = ""

    @property
    def sentence(self) -> str:
        """Say it to people."""
        failed = f"; {self.failed} failed" if self.failed else ""
        partial = f"; {self.partial} not in full" if self.partial else ""
        first = f", first {self.trouble}" if self.trouble else ""
        where = f"on {self.written} tasks by {self.version}; nothing on {self.empty}{failed}{partial}{first}"
        anew = "delete their predictions in Label Studio to have them made anew"
        known = f"; {self.known} had theirs already: {anew}" if self.known else ""
        return f"{self.objects} objects proposed {where}{known}"


def enqueue(client: Any, project: int, limit: int | None, settings: Settings) -> Job:
    """Return the project's job that waits or runs, enqueueing one where there is none.

    One that waits takes this limit; that it was cancelled before does not count any more.

    Args:
        client: a `redis.Redis` client. Its errors pass through.
        limit: as for `propose`; a job that is tried again counts anew.
    """
    identity, scheduler = f"propose-{project}", Scheduler(client)
    client.delete(keys.cancelled(identity))  # of the job that had this id before, or that goes on now
    known = scheduler.job(identity)
    if known is not None and (status := known.get_status()) in (*WAITING, "started"):
        if status != "started":
            known.args = (*known.args[:1], limit)  # RQ wants them read before they are set
            known.save(include_meta=False)
        return known
    return scheduler.queue.enqueue(
        TASK,
        project,
        limit,
        job_id=identity,
        job_timeout=settings.train_timeout_s,
        result_ttl=KEPT_S,
        failure_ttl=KEPT_S,
        retry=Retry(max=2, interval=[10, 60]),
        description=f"propose objects in project {project}",
        meta={"project": project, "why": "proposals", "phase": "waiting"},
    )


def run(project: int, limit: int | None) -> dict[str, Any]:
    """Propose; called by RQ, which keeps what is returned: status and reason."""
    let_clicks_go_first()
    settings, job = begin()
    scheduler = Scheduler(job.connection, policy(settings))
    with telling_why(job):
        try:
            proposed = propose(project, settings, Reporter(job, scheduler.cancelled), limit)
        except Cancelled:
            return {"status": "cancelled", "reason": "somebody cancelled it; what is written stays"}
        except NoProposals as error:  # trying again does not help
            return {"status": "refused", "reason": str(error)}
    return {"status": "proposed", "reason": proposed.sentence}


def propose(project: int, settings: Settings, report: Report, limit: int | None = None) -> Proposed:
    """Write the proposals of the served version for tasks that nobody has annotated.

    Args:
        report: called with phase and share (0..1) after every task; what it raises ends the work.
        limit: tasks that get proposals now, at most; None for all. Those that have them already, or get none, do not
            count: else a project that begins with such tasks would never get any further.

    Raises:
        NoProposals: the served version offers none.
        LabelStudioError: Label Studio does not answer; what is written stays.
    """
    model = served(project, settings)
    client = LabelStudio(settings)
    images = ImageStore(settings, client, gives_up=True)
    proposer, xml = TaskProposer(settings, images), client.project(project)["label_config"]
    total = client.page(project, {"filters": {"conjunction": "and", "items": UNLABELLED}}, size=1)[1]
    most = limit or 1 << 31
    done, ready, filled = Proposed(model.version), list[tuple[Record, Record | None]](), 0
    for number, task in enumerate(open_tasks(client, project, fields="all")):
        step = filled + 1
        steps = max(min(total - (number - filled), most), step)  # without those that came to nothing
        report(PHASE, step / steps, step=step, steps=steps)
        if any(known.get("model_version") == model.version for known in task["predictions"]):
            _remove_earlier(client, task, model.version)  # a job was cut short before it came to that
            done.known += 1
            continue
        try:
            config = LabelConfig.parse(xml, task["data"])
            found = proposer.prediction(config, Task(task["id"], task["data"]), model)
        except LabelConfigError as error:
            found = Predicted(lacking=error)
        if found.lacking is not None:
            logger.warning("task %d: proposals are missing: %s", task["id"], found.lacking)
            done.trouble = done.trouble or f"task {task['id']}: {found.lacking}"
            done.failed += found.record is None
            done.partial += found.record is not None
            if found.record is None:
                continue
        ready.append((task, found.record))
        filled += found.record is not None
        if filled == most:
            break
        if len(ready) == BATCH:
            _write(client, project, ready, done)
            ready = []
    _write(client, project, ready, done)
    return done


def served(project: int, settings: Settings) -> LoadedModel:
    """Load the version that serves a project.

    Raises:
        NoProposals: it offers no proposals.
    """
    registry, line = Registry(settings.home, settings.registry), f"project-{project}"
    version = registry.current(line)
    if version is None and (made := registry.names(line)):
        raise NoProposals(
            f"the base model serves project {project}, and proposes nothing: the status page says why {made[-1]} was "
            f"kept back, unless it was rolled back; `clickmask models promote {made[-1]}` serves it"
        )
    if version is None:
        raise NoProposals(
            f"project {project} has no model of its own yet: annotate some images and run `clickmask fine-tune "
            f"{project}`"
        )
    facts = read_card(version.path).get(CARD_KEY) or {}
    if not facts.get("offered"):
        reason = (
            facts.get("reason") or "no fine-tuning of it has learned any; run `clickmask fine-tune` for that"
        )
        raise NoProposals(f"{version.name} offers no proposals: {reason}")
    if not settings.proposals:
        raise NoProposals("CLICKMASK_PROPOSALS is 0: set it to the most objects to propose on a task")
    model = load(version, settings)
    if model.proposer is None:
        raise NoProposals(f"the head for proposals of {version.name} cannot be loaded; the log says why")
    return model


def open_tasks(client: LabelStudio, project: int, fields: str = "task_only") -> Iterator[Record]:
    """Yield the tasks without an annotation, a page at once; those that are annotated meanwhile may be among them.

    Args:
        fields: "all" for predictions, too, which may be megabytes a task.
    """
    page = client.unlabelled_tasks(project, fields=fields)
    while page:
        yield from page
        page = client.unlabelled_tasks(project, page[-1]["id"], fields=fields)


def _write(
    client: LabelStudio, project: int, ready: list[tuple[Record, Record | None]], done: Proposed
) -> None:
    """Write predictions, and then remove what earlier versions predicted for these tasks."""
    full = [{"task": task["id"], **found} for task, found in ready if found is not None]
    if full:
        client.import_predictions(project, full)
    for task, found in ready:
        _remove_earlier(client, task, done.version)
        done.written += found is not None
        done.empty += found is None
        done.objects += len({region["id"] for region in found["result"]}) if found else 0


def _remove_earlier(client: LabelStudio, task: Record, version: str) -> None:
    """Remove what other versions of ours predicted for a task."""
    for known in task["predictions"]:
        name = str(known.get("model_version"))
        if name != version and OURS.fullmatch(name):
            client.delete_prediction(known["id"])

"""Proposals for a whole project: what is written, what is replaced, what is left alone, and going on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rq import SimpleWorker
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from backend.clicks.proposer import Predicted, TaskProposer
from backend.jobs.status import row
from backend.label_studio.client import LabelStudio
from backend.label_studio.label_config import LabelConfig
from backend.label_studio.predict_request import Task
from backend.operations import propose_job
from backend.operations.propose_job import NoProposals, enqueue, propose, served
from backend.serving.loader import LoadedModel
from fine_tune.project.scheduler import QUEUE, Scheduler
from model.versions.registry import PACKAGED, Registry
from tests.backend.http_server import answers, send_json
from tests.backend.proposing_studio import CONFIG, DiscStudio
from tests.backend.redis_server import RedisServer
from tests.fine_tune.proposals.disc_proposer import add_proposing


def ignored(phase: str, share: float, **facts: Any) -> None:
    assert 0 <= share <= 1


@pytest.fixture
def studio() -> Iterator[DiscStudio]:
    made = DiscStudio(range(100, 104))
    yield made
    made.close()


def test_open_tasks_get_proposals_and_others_are_left_alone(studio: DiscStudio, tmp_path: Path) -> None:
    version, settings = add_proposing(Registry(tmp_path)).name, studio.settings(tmp_path)
    studio.tasks[101]["annotations"] = 1
    studio.predict(101, "base-1-00000000")
    for known in ("project-3-1-00000000", "somebody else"):
        studio.predict(102, known)
    done = propose(3, settings, ignored)
    assert (done.written, done.empty, done.failed) == (3, 0, 0) and done.objects >= 12
    assert studio.versions(100) == studio.versions(103) == [version]
    assert studio.versions(101) == ["base-1-00000000"]
    assert sorted(studio.versions(102)) == sorted(["somebody else", version])
    (prediction,) = studio.tasks[100]["predictions"]
    regions = [region for region in prediction["result"] if region["type"] == "brushlabels"]
    assert all(region["value"]["brushlabels"] == ["Disc"] for region in regions)
    assert all(region["meta"]["proposed"] and region["meta"]["clicks"] == 0 for region in regions)
    assert 0 < prediction["score"] < 1

    before = len(studio.writes())
    done = propose(3, settings, ignored)
    assert (done.written, done.known) == (0, 3)
    assert "3 had theirs already: delete their predictions in Label Studio" in done.sentence
    assert len(studio.writes()) == before  # nothing is left to do


def test_a_task_that_was_skipped_is_left_alone_and_not_waited_for(studio: DiscStudio, tmp_path: Path) -> None:
    version, settings = add_proposing(Registry(tmp_path)).name, studio.settings(tmp_path)
    studio.tasks[100]["skipped"] = 1
    steps: list[int] = []
    propose(3, settings, lambda phase, share, **facts: steps.append(facts["steps"]))
    assert studio.versions(100) == [] and studio.versions(101) == [version]
    assert steps == [3, 3, 3]


def test_what_earlier_versions_predicted_is_removed_after_a_job_was_killed(
    studio: DiscStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, settings = add_proposing(Registry(tmp_path)).name, studio.settings(tmp_path)
    for known in ("project-3-1-00000000", "base-1-00000000", "somebody else"):
        studio.predict(100, known)

    def die(self: LabelStudio, prediction: int) -> None:
        raise SystemExit

    with monkeypatch.context() as killed, pytest.raises(SystemExit):
        killed.setattr(LabelStudio, "delete_prediction", die)
        propose(3, settings, ignored)
    assert len(studio.versions(100)) == 4
    assert propose(3, settings, ignored).written == 0
    assert studio.versions(100) == ["somebody else", version]


def test_an_image_that_is_gone_costs_only_its_own_task(studio: DiscStudio, tmp_path: Path) -> None:
    add_proposing(Registry(tmp_path))
    del studio.web.routes["/data/upload/3/100.png"]
    done = propose(3, studio.settings(tmp_path), ignored)
    assert (done.written, done.failed) == (3, 1)
    assert "; 1 failed, first task 100: " in done.sentence and "100.png" in done.sentence


def test_what_is_missing_on_a_task_is_told(studio: DiscStudio, tmp_path: Path) -> None:
    """An image of several that is gone, and a label that the labeling config has no more."""
    add_proposing(Registry(tmp_path))
    paths = [f"/data/upload/3/{name}.png" for name in ("no", 101)]
    studio.tasks[100]["data"] = studio.tasks[101]["data"] = {"images": paths}
    xml = [CONFIG.replace('value="$image"', 'valueList="$images"')]
    studio.web.routes["/api/projects/3/"] = lambda h: send_json(h, {"id": 3, "label_config": xml[0]})
    done = propose(3, studio.settings(tmp_path), ignored, limit=1)
    assert (done.written, done.failed, done.partial) == (1, 0, 1)
    assert "; 1 not in full, first task 100: " in done.sentence and "no.png" in done.sentence
    xml[0] = CONFIG.replace("Disc", "Cat")
    done = propose(3, studio.settings(tmp_path), ignored)
    assert (done.written, done.failed) == (0, 2)
    assert "first task 102: label 'Disc' is not in <BrushLabels" in done.sentence


def test_a_config_that_cannot_be_read_is_no_unreadable_image(studio: DiscStudio, tmp_path: Path) -> None:
    add_proposing(Registry(tmp_path))
    routes = studio.web.routes
    routes["/api/projects/3/"] = lambda h: send_json(h, {"id": 3, "label_config": "<View><Image"})
    done = propose(3, studio.settings(tmp_path), ignored)
    assert (done.written, done.failed) == (0, 4)
    assert "; 4 failed, first task 100: " in done.sentence and "XML" in done.sentence


def test_a_limit_goes_on_with_tasks_that_have_no_proposals_yet(
    studio: DiscStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propose_job, "BATCH", 2)
    version, settings = add_proposing(Registry(tmp_path)).name, studio.settings(tmp_path)
    del studio.web.routes["/data/upload/3/100.png"]  # it would take the place of another one each time
    studio.predict(101, version)
    places: list[tuple[float, int, int]] = []

    def report(phase: str, share: float, **facts: Any) -> None:
        places.append((share, facts["step"], facts["steps"]))

    assert propose(3, settings, report, limit=1).written == 1
    assert [len(studio.versions(number)) for number in studio.tasks] == [0, 1, 1, 0]
    assert places == [(1, 1, 1)] * 3
    places.clear()
    assert propose(3, settings, report).written == 1
    assert [len(studio.versions(number)) for number in studio.tasks] == [0, 1, 1, 1]
    assert places == [(1 / 4, 1, 4), (1 / 3, 1, 3), (1 / 2, 1, 2), (1, 1, 1)]
    assert propose(3, settings, ignored, limit=1).written == 0


def test_tasks_on_which_nothing_is_found_do_not_use_the_limit_up(
    studio: DiscStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_proposing(Registry(tmp_path))
    prediction = TaskProposer.prediction

    def nothing_at_first(self: TaskProposer, config: LabelConfig, task: Task, model: LoadedModel) -> Any:
        return Predicted() if task.id in (100, 101) else prediction(self, config, task, model)

    monkeypatch.setattr(TaskProposer, "prediction", nothing_at_first)
    done = propose(3, studio.settings(tmp_path), ignored, limit=1)
    assert (done.written, done.empty) == (1, 2)
    assert studio.versions(102) and not studio.versions(103)


def test_why_nothing_is_proposed(studio: DiscStudio, tmp_path: Path) -> None:
    settings, registry = studio.settings(tmp_path), Registry(tmp_path)
    with pytest.raises(NoProposals, match="no model of its own yet"):
        served(3, settings)
    imported = registry.adopt("project-3", PACKAGED)  # as a job leaves what was kept back
    with pytest.raises(NoProposals, match=f"base model serves project 3.* models promote {imported.name}`"):
        served(3, settings)
    registry.promote(imported)
    with pytest.raises(NoProposals, match=f"{imported.name} offers no proposals: no fine-tuning of it"):
        served(3, settings)
    add_proposing(registry, offered=False, reason="they cost more than they save")
    with pytest.raises(NoProposals, match="they cost more than they save"):
        served(3, settings)
    add_proposing(registry)
    with pytest.raises(NoProposals, match="CLICKMASK_PROPOSALS is 0"):
        served(3, studio.settings(tmp_path, proposals=0))
    add_proposing(registry, labels=["A", "B"])
    with pytest.raises(NoProposals, match="cannot be loaded"):
        served(3, settings)


@pytest.fixture
def gave_way(studio: DiscStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Have this process be a worker; what is returned says how often it gave way, without becoming nice."""
    add_proposing(Registry(tmp_path))
    for name, value in studio.variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    times: list[bool] = []
    monkeypatch.setattr(propose_job, "let_clicks_go_first", lambda: times.append(True))
    monkeypatch.setattr(SimpleWorker, "_install_signal_handlers", lambda worker: None)  # which would stay
    return times


def work(client: Any) -> None:
    SimpleWorker([QUEUE], connection=client, serializer=JSONSerializer).work(burst=True)


def test_a_worker_does_it_once(
    studio: DiscStudio, tmp_path: Path, redis_server: RedisServer, gave_way: list[bool]
) -> None:
    client = redis_server.client()
    job = enqueue(client, 3, None, studio.settings(tmp_path))
    assert enqueue(client, 3, 1, studio.settings(tmp_path)).id == job.id  # the limit of who asked last
    assert [known.id for known in Scheduler(client).jobs()] == [job.id]
    work(client)
    assert gave_way
    job.refresh()
    values = row(job)
    assert values["status"] == "finished" and "objects proposed on 1 tasks" in values["result"]
    assert values["phase"] == "proposing" and values["share"] == 1


def test_a_job_that_is_tried_again_says_why(
    studio: DiscStudio, tmp_path: Path, redis_server: RedisServer, gave_way: list[bool]
) -> None:
    client = redis_server.client()
    job = enqueue(client, 3, None, studio.settings(tmp_path))
    studio.web.routes["/api/tasks"] = answers(500, b"")
    work(client)
    job.refresh()
    assert (
        "is tried again" in row(job)["result"] and "Label Studio failed at /api/tasks" in row(job)["result"]
    )


def test_a_job_that_was_cancelled_does_not_end_the_next_one(
    studio: DiscStudio, tmp_path: Path, redis_server: RedisServer, gave_way: list[bool]
) -> None:
    client, settings = redis_server.client(), studio.settings(tmp_path)
    scheduler = Scheduler(client)
    scheduler.cancel(enqueue(client, 3, None, settings).id)
    job = enqueue(client, 3, None, settings)
    work(client)
    job.refresh()
    assert "proposed on 4 tasks" in row(job)["result"]


def test_a_job_that_is_asked_for_again_before_it_has_ended_goes_on(
    studio: DiscStudio, tmp_path: Path, redis_server: RedisServer
) -> None:
    client, settings = redis_server.client(), studio.settings(tmp_path)
    scheduler, job = Scheduler(client), enqueue(client, 3, None, settings)
    job.set_status(JobStatus.STARTED)
    assert scheduler.cancel(job.id) == "cancelling"
    assert enqueue(client, 3, None, settings).id == job.id
    assert not scheduler.cancelled(job.id)

"""Two replicas of the backend on one registry, one of them slow to reload."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from backend import assembly
from backend.serving.loader import LoadedModel, Loader
from backend.settings import Settings
from model.versions.registry import Registry, Version
from tests import waiting
from tests.backend.predict_bodies import keypoint, predict
from tests.backend.published_models import add
from tests.backend.running_app import ImageServer, running, settings_for
from tests.s3_server import ObjectStore
from tests.waiting import PATIENCE_S

Answer = tuple[str, list[int]]  # the version that is named, and the mask
BODY = predict(keypoint("k1", 30, 40))


class Replicas:
    """`quick` loads at once, `late` waits for the gate before it reads a version; both load with the real loader."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.registry = Registry(settings.home)
        self.gate, self.begun = threading.Event(), threading.Event()
        self.gate.set()
        late = dataclasses.replace(settings)

        def loader(settings: Settings) -> Callable[[Version], LoadedModel]:
            real = Loader(settings)

            def delayed(version: Version) -> LoadedModel:
                if settings is late:
                    self.begun.set()
                    self.gate.wait(PATIENCE_S)
                return real(version)

            return delayed

        monkeypatch.setattr(assembly, "Loader", loader)
        self._quick, self._late = running(settings), running(late)

    def __enter__(self) -> tuple[Flask, Flask]:
        return self._quick.__enter__(), self._late.__enter__()

    def __exit__(self, *exc: Any) -> None:
        self.gate.set()
        self._late.__exit__(*exc)
        self._quick.__exit__(*exc)


@pytest.fixture
def replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicas]:
    images = ImageServer()
    yield Replicas(settings_for(tmp_path, images), monkeypatch)
    images.close()


def ask(app: Flask) -> Answer:
    """Click; the regions must name the version that the whole answer names."""
    answer = app.test_client().post("/predict", json=BODY)
    assert answer.status_code == 200, answer.text
    (found,) = answer.json["results"]
    (region,) = found["result"]
    assert region["meta"]["model_version"] == found["model_version"]
    return found["model_version"], region["value"]["rle"]


def named(app: Flask) -> str:
    """The version that Label Studio is told at /setup."""
    return app.test_client().post("/setup", json={"project": "3.1"}).json["model_version"]


def until(app: Flask, condition: Callable[[Answer], bool]) -> list[Answer]:
    """Click until the condition holds for the answer; returns all answers."""
    answers: list[Answer] = []

    def fits() -> bool:
        answers.append(ask(app))
        return condition(answers[-1])

    waiting.until("the answer", fits)
    return answers


@pytest.mark.parametrize("line", ["base", "project-3"])
def test_a_slow_replica_answers_with_the_old_version_until_the_new_one_is_whole(
    replicas: Replicas, line: str
) -> None:
    with replicas as (quick, late):
        old = ask(quick)
        assert ask(late) == old
        replicas.gate.clear()
        replicas.begun.clear()
        new = add(replicas.registry, line, seed=1)
        on_the_way = until(quick, lambda answer: answer[0] == new.name)
        fresh = on_the_way[-1]
        assert fresh[1] != old[1]
        assert all(answer in (old, fresh) for answer in on_the_way)
        kept = until(late, lambda _: replicas.begun.is_set())
        kept += [ask(late) for _ in range(3)]
        assert kept == [old] * len(kept), "it loads, and the old version answers as before"
        assert (named(quick), named(late)) == (new.name, old[0])
        replicas.gate.set()
        on_the_way = until(late, lambda answer: answer[0] == new.name)
        assert all(answer in (old, fresh) for answer in on_the_way)
        assert named(late) == named(quick) == new.name


def test_the_way_back_to_base_loses_no_click(replicas: Replicas) -> None:
    own = add(replicas.registry, "project-3", seed=1)
    base = replicas.registry.current("base")
    assert base is not None
    with replicas as (quick, late):
        for app in (quick, late):
            until(app, lambda answer: answer[0] == own.name)
        replicas.registry.rollback("project-3")
        for app in (quick, late):
            versions = {version for version, _ in until(app, lambda answer: answer[0] == base.name)}
            assert versions <= {own.name, base.name}


def test_machines_without_a_common_disk_share_an_object_store(
    tmp_path: Path, object_store: ObjectStore
) -> None:
    images, third = ImageServer(), Registry(tmp_path / "third", object_store.url)
    base = add(third)
    one, other = (
        settings_for(tmp_path / name, images, registry=object_store.url) for name in ("one", "other")
    )
    try:
        with running(one) as first, running(other) as second:
            assert ask(first) == ask(second)
            assert named(first) == base.name
            own = add(third, "project-3", seed=1)
            answers = [until(app, lambda answer: answer[0] == own.name)[-1] for app in (first, second)]
            assert answers[0] == answers[1]
            assert first.test_client().get("/versions").json == {"versions": [base.name, own.name]}
            third.rollback("project-3")
            for app in (first, second):
                until(app, lambda answer: answer[0] == base.name)
            object_store.stop()
            assert ask(first) == ask(second), "what is loaded answers without the store"
            assert second.test_client().get("/versions").json == {"versions": [base.name, own.name]}
        with running(one) as restarted:
            assert named(restarted) == base.name, "and what was copied starts without it"
    finally:
        images.close()

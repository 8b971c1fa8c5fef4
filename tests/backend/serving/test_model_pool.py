import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from backend.serving.loader import LoadedModel, load
from backend.serving.model_pool import ModelPool, NotReady
from backend.settings import Settings
from model.click import Click
from model.versions.checkpoint import CheckpointError
from model.versions.registry import Registry, Version
from tests.backend.published_models import add
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def start(registry: Registry) -> Iterator[Callable[..., ModelPool]]:
    started: list[ModelPool] = []
    settings = Settings(home=registry.root.parent, device="cpu", threads=1)

    def run(
        loader: Callable[[Version], LoadedModel] = lambda v: load(v, settings), limit: int = 3
    ) -> ModelPool:
        serving = ModelPool(registry, loader, limit)
        serving.start()
        started.append(serving)
        return serving

    yield run
    for serving in started:
        serving.stop()


def until_its_own_model_answers(serving: ModelPool, project: int) -> None:
    until("the version", lambda: serving.take(project, PATIENCE_S).version.startswith(f"project-{project}-"))


def test_the_base_model_serves_every_project(registry: Registry, start: Callable[..., ModelPool]) -> None:
    version = add(registry)
    serving = start()
    served = serving.take(7, PATIENCE_S)
    assert served.version == version.name == serving.version_of(7) == serving.version_of(None)
    values = served.predictor.predict(np.zeros((50, 40, 3), np.uint8), [Click(20, 20)])
    assert values.shape == (50, 40)
    assert "base" not in serving.problems()


def test_the_version_is_known_while_the_model_loads(
    registry: Registry, start: Callable[..., ModelPool]
) -> None:
    version, release = add(registry), threading.Event()

    def slow(version: Version) -> LoadedModel:
        release.wait(60)
        return LoadedModel(version.name, "test", None)  # type: ignore[arg-type]

    serving = start(slow)
    assert serving.version_of(7) == version.name
    with pytest.raises(NotReady, match="loading"):
        serving.take(7, 0.05)
    release.set()
    assert serving.take(7, PATIENCE_S).version == version.name


def test_a_projects_own_line_comes_before_base(registry: Registry, start: Callable[..., ModelPool]) -> None:
    base, own = add(registry), add(registry, "project-7", seed=1)
    add(registry, "project-8", seed=2, promote=False)
    serving = start()
    until("the version", lambda: serving.take(7, PATIENCE_S).version == own.name)
    assert serving.take(8, PATIENCE_S).version == base.name
    assert sorted(serving.loaded()) == ["base", "project-7"]


def test_base_answers_until_a_projects_own_model_is_loaded(
    registry: Registry, start: Callable[..., ModelPool]
) -> None:
    base, own, release = add(registry), add(registry, "project-7", seed=1), threading.Event()

    def slow(version: Version) -> LoadedModel:
        if version.name == own.name:
            release.wait(60)
        return LoadedModel(version.name, "test", None)  # type: ignore[arg-type]

    serving = start(slow)
    assert serving.take(7, PATIENCE_S).version == base.name
    assert serving.version_of(7) == own.name  # whose name is not to change with every start
    release.set()
    until("the version", lambda: serving.take(7, PATIENCE_S).version == own.name)


def test_a_promotion_is_picked_up_and_the_old_model_stays_usable(
    registry: Registry, start: Callable[..., ModelPool]
) -> None:
    first = add(registry)
    serving = start()
    old = serving.take(None, PATIENCE_S)
    second = add(registry, seed=1)
    until("the version", lambda: serving.take(None, 1).version == second.name)
    image = np.zeros((50, 40, 3), np.uint8)
    assert old.version == first.name
    assert old.predictor.predict(image, [Click(20, 20)]).shape == (50, 40)
    registry.rollback("base")
    until("the version", lambda: serving.take(None, 1).version == first.name)


def test_a_corrupt_version_does_not_replace_a_good_one(
    registry: Registry, start: Callable[..., ModelPool]
) -> None:
    good = add(registry)
    serving = start()
    serving.take(None, PATIENCE_S)
    bad = add(registry, seed=1, promote=False)
    (bad.path / "model.safetensors").write_bytes(b"nonsense")
    registry.promote(bad)
    until("the problem", lambda: bad.name in serving.problems().get("base", ""))
    assert serving.take(None, 1).version == good.name == serving.version_of(None)
    third = add(registry, seed=2)
    until("the version", lambda: serving.take(None, 1).version == third.name)
    until("no problem", lambda: not serving.problems())


def test_a_cold_start_with_a_corrupt_version_takes_an_earlier_one(
    registry: Registry, start: Callable[..., ModelPool]
) -> None:
    good, bad = add(registry), add(registry, seed=1)
    (bad.path / "model.safetensors").write_bytes(b"nonsense")
    serving = start()
    assert serving.take(None, PATIENCE_S).version == good.name
    # It is told after the earlier one is served.
    until("the problem", lambda: bad.name in serving.problems().get("base", ""))


def test_a_project_whose_model_is_corrupt_is_served_by_base(
    registry: Registry, start: Callable[..., ModelPool]
) -> None:
    base, bad = add(registry), add(registry, "project-7", seed=1)
    (bad.path / "model.safetensors").write_bytes(b"nonsense")
    serving = start()
    assert serving.take(7, PATIENCE_S).version == base.name
    until("the problem", lambda: bad.name in serving.problems().get("project-7", ""))
    assert serving.version_of(7) == base.name


def test_what_a_disk_or_a_device_failed_for_is_tried_again_after_growing_pauses(
    registry: Registry, start: Callable[..., ModelPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.serving.model_pool.POLL_S", 0.05)
    version, tried, seen = add(registry), list[float](), threading.Event()

    def failing(version: Version) -> LoadedModel:
        tried.append(time.monotonic())
        if len(tried) < 5:
            raise OSError("Input/output error")
        assert seen.wait(60)
        return LoadedModel(version.name, "test", None)  # type: ignore[arg-type]

    serving = start(failing)
    until("the problem", lambda: "Input/output error" in serving.problems().get("base", ""))
    seen.set()
    until("no problem", lambda: not serving.problems())
    assert serving.take(None, PATIENCE_S).version == version.name
    pauses = [after - before for before, after in pairwise(tried)]
    assert all(pause >= 0.05 * 2**number for number, pause in enumerate(pauses))


def test_damaged_files_are_not_read_again(
    registry: Registry, start: Callable[..., ModelPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.serving.model_pool.POLL_S", 0.01)
    add(registry)
    tried, looked, refresh = [], [], registry.refresh
    monkeypatch.setattr(registry, "refresh", lambda line: looked.append(line) or refresh(line))

    def refusing(version: Version) -> LoadedModel:
        tried.append(version.name)
        raise CheckpointError("damaged")

    serving = start(refusing)
    until("the problem", lambda: "damaged" in serving.problems().get("base", ""))
    before = len(looked)
    until("further looks", lambda: len(looked) > before + 3)
    assert len(tried) == 1


def test_a_version_that_was_mended_is_loaded(registry: Registry, start: Callable[..., ModelPool]) -> None:
    bad = add(registry)
    file = bad.path / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(b"nonsense")
    serving = start()
    until("the problem", lambda: "sha256" in serving.problems().get("base", ""))
    file.write_bytes(whole)
    until("no problem", lambda: not serving.problems())
    assert serving.take(None, PATIENCE_S).version == bad.name


def test_what_the_registry_is_asked_does_not_grow_with_the_projects(
    registry: Registry, start: Callable[..., ModelPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.serving.model_pool.POLL_S", 0.05)
    monkeypatch.setattr("backend.serving.recent_lines.MOST", 50)
    add(registry)
    asked: list[str] = []
    refresh = registry.refresh
    monkeypatch.setattr(registry, "refresh", lambda line: asked.append(line) or refresh(line))
    serving = start()
    serving.take(None, PATIENCE_S)
    for project in range(200):
        serving.version_of(project)
    asked.clear()  # one more of the lines that made room may have its turn yet
    kept = {"base", *(f"project-{project}" for project in range(150, 200))}
    until("a turn of each line that is kept", lambda: kept <= set(asked))
    rounds = "".join("|" if line == "base" else "x" for line in list(asked)).split("|")
    assert max(map(len, rounds)) <= 4
    own = add(registry, "project-199", seed=1)
    until("the version", lambda: serving.take(199, PATIENCE_S).version == own.name)


def test_a_pointer_that_cannot_be_read_is_the_last_one_that_could(
    registry: Registry, start: Callable[..., ModelPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.serving.model_pool.POLL_S", 0.0)
    add(registry)
    own = add(registry, "project-7", seed=1)
    serving = start()
    until("the version", lambda: serving.take(7, PATIENCE_S).version == own.name)
    monkeypatch.setattr(registry, "current", lambda line: (_ for _ in ()).throw(OSError("gone")))
    assert serving.version_of(7) == own.name
    assert serving.take(7, 1).version == own.name


def test_nothing_but_corrupt_weights_says_so(registry: Registry, start: Callable[..., ModelPool]) -> None:
    bad = add(registry)
    (bad.path / "model.safetensors").write_bytes(b"nonsense")
    serving = start()
    until("the problem", lambda: "cannot be loaded" in serving.problems().get("base", ""))
    with pytest.raises(NotReady, match="sha256"):
        serving.take(None, 0.05)


def test_only_so_many_models_stay_loaded_and_base_always_does(
    registry: Registry, start: Callable[..., ModelPool]
) -> None:
    add(registry)
    for project in (1, 2, 3):
        add(registry, f"project-{project}", seed=project)
    changes: list[tuple[str, bool]] = []
    settings = Settings(home=registry.root.parent, device="cpu", threads=1)
    serving = ModelPool(
        registry, lambda v: load(v, settings), 2, lambda version, _, loaded: changes.append((version, loaded))
    )
    serving.start()
    for project in (1, 2, 3):
        until_its_own_model_answers(serving, project)
    assert sorted(serving.loaded()) == ["base", "project-3"]
    assert sum(1 if loaded else -1 for _, loaded in changes) == 2
    assert serving.take(1, PATIENCE_S).version.startswith("project-1-")  # it comes back when it is asked for
    serving.stop()

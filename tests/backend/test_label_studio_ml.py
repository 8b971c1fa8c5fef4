"""The adapter inside the real framework, label-studio-ml 1.0.9, in a process of its own.

The framework pins packages of 2021, so it is installed without its dependencies into a folder (`FOLDER`) that only
this test looks into.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from backend.jobs.object_clicks import tallies
from fine_tune.project.ledger import Ledger
from tests.backend import recordings
from tests.backend.predict_bodies import CONFIG, keypoint, predict
from tests.backend.redis_server import RedisServer
from tests.backend.running_app import ImageServer, regions, running, settings_for
from tests.waiting import until

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-lsml"
INSTALL = (
    "pip install --no-deps --target .venv-lsml label-studio-ml==1.0.9 label-studio-tools==0.0.4 "
    "colorama attrs lxml appdirs"
)

# Calls of the framework's own server, as Label Studio makes them; then the calling conventions of 2.x.
SERVER = """
import json, sys
from label_studio_ml.api import init_app
from backend.label_studio_ml import ClickMask, shared_backend

client = init_app(ClickMask, model_dir=sys.argv[1], redis_host="127.0.0.1", redis_port=1).test_client()
shared_backend().models.take(None, 500)
for line in sys.stdin:
    route, body = json.loads(line)
    if route == "2.x predict":
        model = ClickMask(label_config=body["label_config"])
        answer = model.predict(body["tasks"], context=body["params"]["context"])
        print("answer", json.dumps([200, {"results": answer}]))
    elif route == "fit":
        model = ClickMask()
        print("answer", json.dumps([200, [model.process_event(body["action"], body, "1", {}),
                                           model.fit(body["action"], body)]]))
    else:
        answer = client.post(route, json=body)
        print("answer", json.dumps([answer.status_code, answer.json]))
shared_backend().close()
"""


def framework(home: Path, images: ImageServer, redis_url: str, calls: list[tuple[str, Any]]) -> list[Any]:
    """Run calls through the framework and return status and body of each answer."""
    if not (FOLDER / "label_studio_ml").is_dir():
        pytest.skip(f"missing: {FOLDER}; make it with: {INSTALL}")
    environment = {
        **os.environ,
        **settings_for(home, images, redis_url=redis_url).to_env(),
        "PYTHONPATH": f"{ROOT}:{FOLDER}",
        "OMP_NUM_THREADS": "1",
    }
    (home / "framework").mkdir(exist_ok=True)
    process = subprocess.run(
        [sys.executable, "-c", SERVER, str(home / "framework")],
        input="\n".join(json.dumps(call) for call in calls),
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    return [json.loads(line.removeprefix("answer ")) for line in lines if line.startswith("answer ")]


def test_the_framework_gives_the_answers_of_our_own_server(
    images: ImageServer, tmp_path: Path, redis_server: RedisServer
) -> None:
    setup = ("/setup", {"project": "3.1", "schema": CONFIG, "hostname": "", "access_token": ""})
    one = predict(keypoint("k1", 30, 40))
    two = predict(keypoint("k1", 30, 40), keypoint("k2", 60, 70, positive=False))
    opened = {**predict(), "params": {"context": None}}
    broken = predict({"type": "keypointlabels"})
    calls = [("/predict", body) for body in (one, two, opened, broken)]
    answers = framework(tmp_path, images, redis_server.url, [setup, *calls, ("2.x predict", two)])
    with running(settings_for(tmp_path, images)) as app:
        expected = [regions(app.test_client(), body) for body in (one, two)]
    assert [status for status, _ in answers] == [200] * 6
    results = [body["results"] for _, body in answers[1:]]
    assert [answer[0]["result"] for answer in results[:2]] == expected
    assert results[2] == [[]]
    assert results[3][0]["result"] == []
    assert results[4] == results[1]


def test_the_documented_project_is_made_and_started_by_the_framework(
    images: ImageServer, tmp_path: Path
) -> None:
    if not (FOLDER / "label_studio_ml").is_dir():
        pytest.skip(f"missing: {FOLDER}; make it with: {INSTALL}")
    settings = settings_for(tmp_path / "home", images)
    environment = {
        **os.environ,
        **settings.to_env(),
        "PYTHONPATH": f"{ROOT}:{FOLDER}",
        "OMP_NUM_THREADS": "1",
    }
    (tmp_path / "clickmask_model.py").write_text("from backend.label_studio_ml import ClickMask\n")
    init = ["-m", "label_studio_ml.server", "init", "served", "--script", "clickmask_model.py:ClickMask"]
    subprocess.run([sys.executable, *init], cwd=tmp_path, env=environment, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = subprocess.Popen(
        [sys.executable, "served/_wsgi.py", "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert _answer(started, f"http://127.0.0.1:{port}/health")["status"] == "UP"
    finally:
        started.kill()
        started.wait()


def _answer(process: subprocess.Popen[bytes], url: str) -> Any:
    def answer() -> Any:
        assert process.poll() is None, "the framework's server has ended"
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(url, timeout=60).json()

    return until("an answer of the framework's server", answer)


def test_recorded_predictions(images: ImageServer, tmp_path: Path) -> None:
    names = ("20", "21", "22", "11", "32")
    bodies = [recordings.body(name) for name in names]
    images.size = (640, 480)
    setup = ("/setup", {"project": "3.1", "schema": bodies[0]["label_config"]})
    answers = framework(tmp_path, images, "", [setup, *(("/predict", body) for body in bodies)])
    images.size = (200, 100)
    masks = [body["results"][0]["result"] for _, body in answers[1:4]]
    assert all(len(mask) == 1 and mask[0]["type"] == "brushlabels" for mask in masks)
    assert answers[4][1]["results"] == [[]]
    assert answers[5][1]["results"][0]["result"] == []


def test_annotations_are_recorded(images: ImageServer, tmp_path: Path, redis_server: RedisServer) -> None:
    created = recordings.body("27")
    project, annotation = created["project"], created["annotation"]
    annotation["result"][0]["meta"] = {"model_version": "base-1-0a", "prompts": ["k1", "k2"], "clicks": 2}
    copied = {"action": "ANNOTATIONS_CREATED", "project": project, "annotation": [{**annotation, "id": 999}]}
    removed = {"action": "TASKS_DELETED", "project": project, "tasks": [{"id": annotation["task"]}]}
    answers = framework(tmp_path, images, redis_server.url, [("fit", created), ("fit", copied)])
    assert answers == [[200, [{"recorded": 1}, {"recorded": 0}]]] * 2
    ledger = Ledger(redis_server.client())
    assert sorted(ledger.annotations(project["id"])) == sorted([annotation["id"], 999])
    counted = tallies(redis_server.client(), project["id"], [annotation["id"]])
    assert counted == [{"base-1-0a": (1, 2)}], "as the status page counts the clicks that were saved"
    framework(tmp_path, images, redis_server.url, [("fit", removed)])
    assert ledger.annotations(project["id"]) == {}

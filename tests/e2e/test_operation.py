"""What an operator does with a real Label Studio: connect, diagnose, protect, and run the demo."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import psutil
import pytest
import requests

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.connect import SECRET_HEADER, connect, find_webhook
from backend.operations.demo_project import PHOTOS, TITLE
from backend.operations.supervisor import free_port
from fine_tune.project.ledger import Ledger
from tests import commands
from tests.e2e.conftest import LABEL_STUDIO, Backend, Workplace, new_studio
from tests.e2e.photos import jpeg, two_bodies
from tests.label_studio_calls import create_annotation, import_tasks
from tests.live_processes import alive
from tests.waiting import PATIENCE_S, until


@pytest.fixture(scope="module")
def photo() -> bytes:
    return jpeg(two_bodies()[0])


def test_connecting_twice_changes_nothing_and_a_moved_backend_is_followed(workplace: Workplace, photo):
    project, _ = workplace.project(photo)
    labels = ("--labels", "Cat,Dog", "--output", "both")
    done = commands.run(workplace.backend.environment, "connect", project, *labels)
    assert done.returncode == 0, done.stderr
    (row,) = workplace.client.ml_backends(project)
    assert row["is_interactive"]
    assert not workplace.client.project(project)["show_collab_predictions"]
    moved = workplace.backend.url.replace("127.0.0.1", "localhost")
    again = connect(workplace.client, project, moved, workplace.backend.settings)
    assert (again.backend, again.created) == (row["id"], False)
    assert [hook["url"] for hook in workplace.client.webhooks(project)] == [f"{moved}/webhook"]


def test_a_backend_that_is_not_there_is_explained_and_not_connected(workplace: Workplace):
    project = workplace.client.create_project(title="e2e")["id"]
    nobody = f"http://127.0.0.1:{free_port()}"
    done = commands.run(workplace.backend.environment, "connect", project, "--url", nobody)
    assert done.returncode == 1
    assert "Label Studio cannot reach the backend" in done.stderr
    assert workplace.client.ml_backends(project) == []


def test_the_doctor_finds_all_well_and_what_is_not(workplace: Workplace, photo):
    project, _ = workplace.project(photo)
    done = commands.run(workplace.backend.environment, "doctor", project, "--json")
    findings = json.loads(done.stdout)
    installation, studio = ["model", "redis", "backend"], ["label studio", "token"]
    subjects = [*installation, *studio, "label config", "connection", "webhook", "image"]
    found = {f["subject"]: f["level"] for f in findings if f["subject"] != "worker"}
    assert found == dict.fromkeys(subjects, "OK")
    assert done.returncode == 0
    workplace.client.update_project(
        project,
        label_config='<View><Image name="image" value="$image"/><KeyPointLabels name="kp" toName="image">'
        '<Label value="Cat"/></KeyPointLabels></View>',
        show_collab_predictions=True,
    )
    (row,) = workplace.client.ml_backends(project)
    workplace.client.delete_ml_backend(row["id"])
    done = commands.run(workplace.backend.environment, "doctor", project)
    assert done.returncode == 1
    assert re.search("FAIL +label config +.*BrushLabels", done.stdout)
    assert re.search("WARN +prelabeling", done.stdout)
    assert re.search("FAIL +connection +.*clickmask connect", done.stdout)


def test_with_a_password_events_come_with_the_secret_and_no_others(workplace: Workplace, photo, tmp_path):
    protection = {
        "BASIC_AUTH_USER": "studio",
        "BASIC_AUTH_PASS": "open sesame",
        "CLICKMASK_WEBHOOK_SECRET": "hush",
    }
    backend = Backend(tmp_path, {**workplace.backend.environment, **protection})
    backend.start()
    try:
        project = workplace.client.create_project(title="protected", label_config="<View></View>")["id"]
        with pytest.raises(LabelStudioError, match="wants a password"):
            connect(workplace.client, project, backend.url, workplace.backend.settings)
        connect(workplace.client, project, backend.url, backend.settings)
        hook = find_webhook(workplace.client, project, backend.url)
        assert hook is not None
        assert hook["headers"] == {SECRET_HEADER: "hush"}
        import_tasks(workplace.client, project, [{"image": "https://example.com/a.png"}])
        (task,) = workplace.client.tasks(project)
        annotation = create_annotation(workplace.client, task["id"], [])
        ledger = Ledger(workplace.redis)
        until("the event", lambda: annotation["id"] in ledger.annotations(project))
        body = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "project": {"id": project}}
        assert requests.post(f"{backend.url}/webhook", json=body, timeout=60).status_code == 401
        assert "hush" not in backend.log.read_text()
    finally:
        backend.stop()


def test_a_half_open_label_studio_refuses_and_keeps_nothing(workplace: Workplace, tmp_path):
    switches = {"LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "true"}  # half open: the row is made, then refused
    with new_studio(tmp_path / "studio", switches) as studio:
        studio.start()
        environment = {
            **workplace.backend.environment,
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": studio.token,
        }
        client = LabelStudio(type(workplace.backend.settings).from_env(environment))
        project = client.create_project(title="refused")["id"]
        done = commands.run(environment, "connect", project)
        assert done.returncode == 1
        for switch in ("LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false", "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false"):
            assert switch in done.stderr
        assert client.ml_backends(project) == []


def test_the_demo_is_ready_to_click_and_leaves_nothing_running(workplace: Workplace, tmp_path: Path):
    new_studio(tmp_path / "demo/label-studio")  # as after a first start
    taken, log = str(workplace.backend.port), tmp_path / "out"  # somebody else's port
    environment = {"CLICKMASK_HOME": str(tmp_path), "CLICKMASK_PORT": taken, "OMP_NUM_THREADS": "1"}
    process = commands.start(environment, log, "demo", "--label-studio", LABEL_STUDIO, "--port", taken)

    def greeted() -> bool:
        assert process.poll() is None, log.read_text()
        return "Ctrl-C stops everything" in log.read_text()

    try:
        until("the demo", greeted, logs=log.read_text)
        said = log.read_text()
        found = re.search(r"(http://127\.0\.0\.1:\d+)/projects/(\d+)/data", said)
        assert found is not None
        token = (tmp_path / "demo/label-studio/token").read_text()
        settings = type(workplace.backend.settings)(label_studio_url=found[1], label_studio_api_key=token)
        client, project = LabelStudio(settings), int(found[2])
        assert client.project(project)["title"] == TITLE
        assert len(list(client.tasks(project))) == len(PHOTOS) >= 6
        (row,) = client.ml_backends(project)
        assert (row["state"], row["is_interactive"]) == ("CO", True)
        assert not client.project(project)["show_collab_predictions"]
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert alive(family) == []
    finally:
        process.terminate()
        process.wait(PATIENCE_S)

"""What an operator does with a real Label Studio: connect, diagnose, protect, and run the demo."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.connect import SECRET_HEADER, connect, find_webhook
from backend.operations.demo_project import PHOTOS, TITLE
from backend.operations.supervisor import free_port
from fine_tune.project.ledger import Ledger
from tests.e2e.conftest import LABEL_STUDIO, ROOT, Backend, Workplace, new_studio
from tests.e2e.photos import jpeg, two_bodies
from tests.label_studio_calls import create_annotation, import_tasks
from tests.live_processes import alive


@pytest.fixture(scope="module")
def photo() -> bytes:
    return jpeg(two_bodies()[0])


def clickmask(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend.cli", *arguments]
    environment = {**environment, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)


def test_connecting_twice_changes_nothing_and_a_moved_backend_is_followed(workplace: Workplace, photo):
    project, _ = workplace.project(photo)
    done = clickmask(
        workplace.backend.environment, "connect", str(project), "--labels", "Cat,Dog", "--output", "both"
    )
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
    done = clickmask(
        workplace.backend.environment, "connect", str(project), "--url", f"http://127.0.0.1:{free_port()}"
    )
    assert done.returncode == 1
    assert "Label Studio cannot reach the backend" in done.stderr
    assert workplace.client.ml_backends(project) == []


def test_the_doctor_finds_all_well_and_what_is_not(workplace: Workplace, photo):
    project, _ = workplace.project(photo)
    done = clickmask(workplace.backend.environment, "doctor", str(project), "--json")
    findings = json.loads(done.stdout)
    assert {f["subject"]: f["level"] for f in findings if f["subject"] != "worker"} == dict.fromkeys(
        [
            "model",
            "redis",
            "backend",
            "label studio",
            "token",
            "label config",
            "connection",
            "webhook",
            "image",
        ],
        "OK",
    )
    assert done.returncode == 0
    workplace.client.update_project(
        project,
        label_config='<View><Image name="image" value="$image"/><KeyPointLabels name="kp" toName="image">'
        '<Label value="Cat"/></KeyPointLabels></View>',
        show_collab_predictions=True,
    )
    (row,) = workplace.client.ml_backends(project)
    workplace.client.delete_ml_backend(row["id"])
    done = clickmask(workplace.backend.environment, "doctor", str(project))
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
        ledger, limit = Ledger(workplace.redis), time.monotonic() + 20
        while annotation["id"] not in ledger.annotations(project) and time.monotonic() < limit:
            time.sleep(0.1)
        assert annotation["id"] in ledger.annotations(project)
        body = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "project": {"id": project}}
        assert requests.post(f"{backend.url}/webhook", json=body, timeout=5).status_code == 401
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
        done = clickmask(environment, "connect", str(project))
        assert done.returncode == 1
        for switch in ("LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false", "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false"):
            assert switch in done.stderr
        assert client.ml_backends(project) == []


def test_the_demo_is_ready_to_click_and_leaves_nothing_running(workplace: Workplace, tmp_path: Path):
    new_studio(tmp_path / "demo/label-studio")  # as after a first start
    environment = {
        **os.environ,
        "CLICKMASK_HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    taken = workplace.backend.port  # somebody else's
    command = [
        sys.executable,
        "-m",
        "backend.cli",
        "demo",
        "--label-studio",
        str(LABEL_STUDIO),
        "--port",
        str(taken),
    ]
    log = tmp_path / "out"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, env={**environment, "CLICKMASK_PORT": str(taken)}, stdout=out, stderr=out, text=True
        )
    try:
        limit = time.monotonic() + 240
        while "Ctrl-C stops everything" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.3)
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
        assert process.wait(90) == 0
        assert alive(family) == []
    finally:
        process.terminate()
        process.wait(90)

"""The images and the compose file, really built and run: `make containers`.

The tests build on each other, from the build to the end. They are not part of the suite, since they take minutes and,
on a machine without a Docker engine, root.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.label_studio.client import LabelStudio
from backend.settings import Settings
from fine_tune.project.phases import CHOOSE, JUDGE, TRAIN
from model.click import Click
from tests.backend.drawn_regions import brush
from tests.containers.engine import run
from tests.containers.stack import FACTS, PROJECT, Stack, steps
from tests.e2e.photos import body, ground, iou, jpeg
from tests.label_studio_calls import create_annotation, import_photo, mask_of, prompt, send_prompts
from tests.waiting import until

# The first test waits for the engine and the base images, too.
pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("stack")]
IMAGE = "clickmask:cpu"
PHOTOS = 4
SIZE = (240, 320)
MOST_BYTES = 3e9  # base images and engines differ; PyTorch for GPUs would take gigabytes more
JOB_S = 1500.0  # most that a job may take on a busy machine
# A short training, judged on one general object: so that it is done in a minute or two.
TRAINING = {
    "CLICKMASK_TRAIN_AFTER": str(PHOTOS),
    "CLICKMASK_TRAIN_STEPS": "2",
    "CLICKMASK_TRAIN_MINUTES": "20",
    "CLICKMASK_GENERAL_SET": "/data/general",
}


def photo(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture with one body, and the body's mask."""
    image = ground(*SIZE, seed=number)
    return image, body(image, (120 + 10 * number, 120), (50 + 3 * number, 60), (205, 60, 45))


def general_set(folder: Path) -> Path:
    """Write one object as a folder of images and masks that every user may read; returns the folder."""
    folder.mkdir(mode=0o755)
    for kind, pixels in zip(("images", "masks"), photo(PHOTOS), strict=True):
        (folder / kind).mkdir()
        Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / "one.png")
    return folder


def layers(image: str) -> list[str]:
    return run("docker", "image", "inspect", "--format", '{{join .RootFS.Layers " "}}', image).split()


def shell(command: str, *options: str) -> str:
    """Run a command in a container of the image; returns its output."""
    return run("docker", "run", "--rm", *options, "--entrypoint", "sh", IMAGE, "-c", command)


def test_the_image_is_built(stack: Stack) -> None:
    begin = time.monotonic()
    stack.compose("--progress", "plain", "build")
    FACTS.append(f"all images built in {time.monotonic() - begin:.0f} s")
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", IMAGE))
    FACTS.append(f"{IMAGE} is {size / 1e9:.2f} GB")
    assert size < MOST_BYTES


def test_it_holds_clickmask_once_and_no_sources() -> None:
    assert shell("ls -A /app").split() == ["requirements.lock"]
    found = shell("find /app /usr -name model.safetensors -o -name '*.egg-info' -path '*clickmask*'").split()
    weights = sorted(str(path) for path in Path("model").rglob("model.safetensors"))
    assert sorted(path.partition("-packages/")[2] for path in found) == weights
    packages = shell("pip list --format freeze --disable-pip-version-check").splitlines()
    wanted = set(re.findall(r"^[a-z0-9-]+==[^ ]+", Path("deploy/cpu.lock").read_text(), re.M))
    assert wanted <= {line.lower().replace("_", "-") for line in packages}
    shell("python -c 'import torch, openvino, cv2, s3fs, lightning_fabric'")


def test_a_change_of_the_code_leaves_the_dependencies_alone(stack: Stack) -> None:
    before = layers(IMAGE)
    with (stack.folder / "backend/__init__.py").open("a") as file:
        file.write("# changed\n")
    with (stack.folder / "README.md").open("a") as file:
        file.write("changed\n")
    begin = time.monotonic()
    stack.compose("build", "backend")
    FACTS.append(f"built anew after a change of the code in {time.monotonic() - begin:.0f} s")
    after = layers(IMAGE)
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


def test_one_container_runs_for_any_user_at_any_port() -> None:
    """`clickmask up`, all in one: Debian's Redis, read-only root, a user without a name, another port."""
    name = f"{PROJECT}-one"
    try:
        run(
            "docker", "run", "--detach", "--name", name, "--user", "424242:0", "--read-only", "--tmpfs", "/tmp",
            "--cap-drop", "ALL", "--memory", "2g", "--env", "CLICKMASK_PORT=9191",
            "--env", "CLICKMASK_ALLOW_ANONYMOUS=1", IMAGE, "up",
        )  # fmt: skip
        health = ("docker", "inspect", "--format", "{{.State.Health.Status}}", name)
        until("health", lambda: run(*health).strip() == "healthy", pause_s=1)
        until("a worker", lambda: _said_of(name, "worker").strip() == "well", pause_s=1)
        assert "Traceback" not in run("docker", "logs", name)
    finally:
        print(run("docker", "logs", name))
        run("docker", "rm", "--force", "--volumes", name)


def test_health_is_red_where_no_model_can_be_served() -> None:
    name = f"{PROJECT}-red"
    try:
        run(
            "docker", "run", "--detach", "--name", name, "--user", "424242:424242",
            "--env", "CLICKMASK_ALLOW_ANONYMOUS=1", IMAGE,
        )  # fmt: skip
        refusal = until("an answer", lambda: _refusal(name), pause_s=1)
        assert "cannot be used (Permission denied): look at CLICKMASK_HOME" in refusal, refusal
    finally:
        run("docker", "rm", "--force", "--volumes", name)


def _refusal(name: str) -> str:
    """What the health check says as soon as the web server answers."""
    said = _said_of(name, "web")
    return said if "not ready" in said and "still loading" not in said else ""


def _said_of(name: str, process: str) -> str:
    """What the health check of a container says of one of its processes."""
    try:
        return run("docker", "exec", name, "clickmask", "health", process)
    except RuntimeError as error:
        return str(error)


class Connected:
    """What the later tests need: Label Studio's API and the project."""

    client: LabelStudio
    project: int
    tasks: list[int]
    promoted: str


def test_the_documented_steps_connect_a_project(stack: Stack) -> None:
    commands = steps(stack.folder / "docker-compose.yml")
    assert [command.split()[2] for command in commands if command.startswith("docker")] == [
        "up", "up", "run", "run",
    ]  # fmt: skip
    (stack.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in TRAINING.items()))
    token, project = "", ""
    for command in commands:
        begin = time.monotonic()
        said = stack.type(command.replace("<token>", token).replace("<project>", project))
        FACTS.append(f"{time.monotonic() - begin:5.0f} s  {command}")
        if not token:  # the first one has brought Label Studio up
            token = stack.sign_up()
            Connected.client = LabelStudio(Settings(label_studio_url=stack.url, label_studio_api_key=token))
            Connected.project = Connected.client.create_project(title="containers")["id"]
            project = str(Connected.project)
    findings = re.findall(r"^(OK|WARN|FAIL)\s", said, re.M)
    assert findings.count("FAIL") == 0 and "Label Studio reaches http://clickmask.internal:9090" in said, said


def test_every_service_is_locked_down(stack: Stack) -> None:
    for service in ("backend", "worker"):
        assert stack.inside(service, "id", "-u").strip() == "10001"
        assert "denied" in stack.inside(service, "sh", "-c", "touch /app/x 2>&1 || echo denied")
        stack.inside(service, "sh", "-c", "touch /data/x /tmp/x && rm /data/x /tmp/x")
        assert stack.inside(service, "sh", "-c", "echo $CLICKMASK_TRAIN_AFTER").strip() == str(PHOTOS)
    for service in ("backend", "worker", "redis", "label-studio"):
        assert set(
            re.findall(r"^Cap(?:Eff|Bnd):\s+(\w+)$", stack.inside(service, "cat", "/proc/1/status"), re.M)
        ) == {"0" * 16}
        assert int(stack.container(service, "{{.HostConfig.Memory}}")) > 0
        FACTS.append(f"{service} uses {stack.memory(service)} when idle")
    ports = run(
        "docker", "ps", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format", "{{.Ports}}"
    )
    assert re.findall(r"(\S+):\d+->", ports) == ["127.0.0.1"]


def click(number: int) -> tuple[str, float]:
    """Click the body of a photo, as the editor does; returns the version that answered and the mask's IoU."""
    middle = prompt(Click(120 + 10 * number, 120), SIZE)
    answer = send_prompts(Connected.client, Connected.project, Connected.tasks[number], [middle])
    return str(answer["model_version"]), iou(mask_of(answer["result"], SIZE), photo(number)[1])


def test_clicks_through_label_studio_become_masks() -> None:
    client, project = Connected.client, Connected.project
    for number in range(PHOTOS):
        import_photo(client, project, jpeg(photo(number)[0]), f"{number}.jpg")
    Connected.tasks = sorted(task["id"] for task in client.tasks(project))
    for number in range(2):
        version, quality = click(number)
        assert version.startswith("base-1-")
        assert quality > 0.8


def jobs(stack: Stack, *statuses: str) -> list[dict[str, Any]]:
    """Return the jobs of these statuses, as the web server's container knows them."""
    return [job for job in stack.told("jobs", "list", service="backend") if job["status"] in statuses]


def put_back(stack: Stack) -> None:
    """Stop the worker in the middle of its job, look that the job waits for the next one, and start that."""
    begin = time.monotonic()
    stack.compose("stop", "worker")
    took = time.monotonic() - begin
    FACTS.append(f"worker stopped during a job in {took:.1f} s")
    (job,) = jobs(stack, "queued")
    assert "its worker was told to end" in stack.inside(
        "redis", "redis-cli", "hget", f"rq:job:{job['id']}", "meta"
    )
    ended = stack.container("worker", "{{.State.ExitCode}}")
    assert ended == "0", stack.compose("logs", "--tail", "50", "worker")
    stack.compose("up", "-d", "--wait", "worker")


def test_accepted_masks_are_learned(stack: Stack, tmp_path: Path) -> None:
    stack.compose("cp", str(general_set(tmp_path / "general")), "worker:/data/general")
    begin = time.monotonic()
    for number, task in enumerate(Connected.tasks):
        create_annotation(Connected.client, task, [brush(f"region{number}", photo(number)[1])])
    middle = (TRAIN, CHOOSE, JUDGE)  # one alone may be over between two looks
    until("training", lambda: [job for job in jobs(stack, "started") if job["phase"] in middle], JOB_S)
    put_back(stack)
    # To ask takes a process in the container, which takes time from the job.
    (job,) = until("the end of the job", lambda: jobs(stack, "finished", "failed"), JOB_S, pause_s=5)
    FACTS.append(f"annotations learned in {time.monotonic() - begin:.0f} s: {job['result']}")
    assert job["status"] == "finished", job
    FACTS.append(f"worker uses {stack.memory('worker')} after a job")
    own = stack.told("models", "list", "--line", f"project-{Connected.project}")["versions"]
    Connected.promoted = own[-1]["version"]
    stack.inside("worker", "clickmask", "models", "promote", Connected.promoted)
    until("the promoted model's answer", lambda: click(2)[0] == Connected.promoted, pause_s=1)


def test_nothing_is_lost_when_all_of_it_ends_and_begins_again(stack: Stack) -> None:
    before = {words: stack.told(*words) for words in (("jobs", "list"), ("models", "list"))}
    begin = time.monotonic()
    stack.compose("stop")
    FACTS.append(f"everything stopped in {time.monotonic() - begin:.1f} s")
    codes = {
        service: stack.container(service, "{{.State.ExitCode}}") for service in ("backend", "worker", "redis")
    }
    assert set(codes.values()) == {"0"}, codes
    stack.compose("down")
    begin = time.monotonic()
    stack.compose("up", "-d", "--wait")
    FACTS.append(f"everything up again and healthy in {time.monotonic() - begin:.0f} s")
    assert click(3)[1] > 0.5  # by whichever model: it is never refused
    until("the promoted model's answer", lambda: click(3)[0] == Connected.promoted, pause_s=1)
    assert {words: stack.told(*words) for words in before} == before
    assert all(Connected.client.task(task)["annotations"] for task in Connected.tasks)


def test_two_web_servers_share_the_name(stack: Stack) -> None:
    stack.compose("up", "-d", "--wait", "--scale", "backend=2", "--no-recreate", "backend")
    assert all(click(number)[1] > 0.5 for number in range(PHOTOS))


def test_no_service_logged_a_traceback(stack: Stack) -> None:
    for service in ("backend", "worker"):
        said = stack.compose("logs", "--no-log-prefix", service)
        assert "Traceback" not in said and " ERROR " not in said, said[-4000:]

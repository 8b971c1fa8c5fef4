"""Finds out what keeps clicks from working: settings, model, Redis, Label Studio, a project, its images.

Every check gives findings with the fix in the same line; a check whose ground is missing is left out, so that the
first FAIL is the one to mend.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis
import requests

from backend.images.store import ImageError, ImageStore
from backend.label_studio.client import LabelStudio, LabelStudioError, token_kind
from backend.label_studio.connect import SWITCHES, find_webhook, url_of
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.settings import Settings
from backend.web.auth import SECRET_HEADER

OK, WARN, FAIL = "OK", "WARN", "FAIL"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        level: OK, WARN (works, but not as meant) or FAIL (clicks give no masks).
        subject: what was looked at, in a word or two.
        text: what was found and, unless OK, what to do.
    """

    level: str
    subject: str
    text: str


def examine(settings: Settings, project: int | None = None, url: str | None = None) -> Iterator[Finding]:
    """Look at everything in the order in which it is needed.

    Args:
        project: also look at this Label Studio project.
        url: the backend's address; by default the one in the settings.
    """
    url = (url or settings.own_url).rstrip("/")
    yield from _model(settings)
    yield from _redis(settings)
    backend = list(_backend(settings, url))
    yield from backend
    client = LabelStudio(settings)
    studio = list(_label_studio(settings, client))
    yield from studio
    if project is not None and not any(finding.level == FAIL for finding in studio):
        yield from _project(settings, client, project, url)


def _model(settings: Settings) -> Iterator[Finding]:
    import torch

    from backend.serving.model_pool import load
    from model.versions.registry import PACKAGED, Registry

    if not torch.cuda.is_available() and importlib.util.find_spec("openvino") is None:
        yield Finding(WARN, "engine", "no GPU and no OpenVINO: clicks are slow; pip install openvino")
    registry = Registry(settings.home, settings.registry)
    trouble = registry.refresh("base")
    if trouble:
        yield Finding(FAIL, "registry", f"{trouble}; check CLICKMASK_REGISTRY, its keys and the network")
    try:
        served = load(registry.ensure_base(), settings)
        newer = registry.new_default()
    except (ValueError, OSError) as error:
        yield Finding(FAIL, "model", f"{error}; `clickmask models list` shows what there is")
        return
    yield Finding(OK, "model", f"{served.version} on {served.device}, from {registry.root}")
    if newer is not None:
        text = f"the installed package brings other weights ({newer}): `clickmask models import {PACKAGED} --promote`"
        yield Finding(WARN, "model", text + " serves them")


def _redis(settings: Settings) -> Iterator[Finding]:
    if settings.redis_url is None:
        text = "CLICKMASK_REDIS_URL is not set: right with `clickmask up`, which has its own; else set it"
        yield Finding(OK, "redis", text)
        return
    from rq import Worker

    client = redis.Redis.from_url(settings.redis_url, socket_timeout=3, socket_connect_timeout=3)
    shown = settings.masked()["CLICKMASK_REDIS_URL"]
    try:
        client.ping()
        workers = Worker.count(connection=client)
    except redis.RedisError as error:
        text = f"{shown} does not answer ({error}): start it; clicks work without, training does not"
        yield Finding(WARN, "redis", text)
        return
    yield Finding(OK, "redis", f"{shown} answers")
    if workers == 0:
        yield Finding(WARN, "worker", "none: nothing will be trained; run `clickmask worker`")
    else:
        yield Finding(OK, "worker", f"{workers} running")


def _backend(settings: Settings, url: str) -> Iterator[Finding]:
    account = None
    if settings.basic_auth_user is not None and settings.basic_auth_pass is not None:
        account = (settings.basic_auth_user, settings.basic_auth_pass)
    try:
        answer = requests.get(f"{url}/ready", timeout=5, auth=account)
        status = answer.json()
    except (requests.RequestException, ValueError):
        yield Finding(FAIL, "backend", f"nothing that is clickmask answers at {url}: run `clickmask up`")
        return
    if answer.status_code == 401:
        text = f"{url} refuses BASIC_AUTH_USER and BASIC_AUTH_PASS: give the doctor those of the backend"
        yield Finding(FAIL, "backend", text)
    elif not status.get("ready"):
        yield Finding(FAIL, "backend", f"{url} has no model yet: {status.get('reason')}")
    else:
        yield Finding(OK, "backend", f"{url} answers")
    if account is not None and settings.webhook_secret is None:
        text = (
            "CLICKMASK_WEBHOOK_SECRET is not set, so accepted annotations are refused: set it, then run "
            "`clickmask connect`"
        )
        yield Finding(WARN, "webhook", text)


def _label_studio(settings: Settings, client: LabelStudio) -> Iterator[Finding]:
    if settings.label_studio_url is None:
        yield Finding(FAIL, "label studio", "LABEL_STUDIO_URL is not set: uploaded images cannot be fetched")
        return
    if not settings.label_studio_api_key:
        text = "LABEL_STUDIO_API_KEY is not set: create a personal access token under Account & Settings"
        yield Finding(FAIL, "token", text)
        return
    try:
        version = client.version()
        yield Finding(OK, "label studio", f"{client.url} answers, version {version}")
    except LabelStudioError as error:
        yield Finding(FAIL, "label studio", str(error))
        return
    kind = {"refresh": "personal access token", "legacy": "legacy token", "access": "short-lived token"}[
        token_kind(settings.label_studio_api_key)
    ]
    try:
        name = client.whoami().get("email", "an account without e-mail")
    except LabelStudioError as error:
        yield Finding(FAIL, "token", f"{kind}: {error}")
        return
    if kind == "short-lived token":
        yield Finding(WARN, "token", "it ends within minutes: create a personal access token instead")
    else:
        yield Finding(OK, "token", f"{kind} of {name}")


def _project(settings: Settings, client: LabelStudio, project: int, url: str) -> Iterator[Finding]:
    try:
        record = client.project(project)
        rows = client.ml_backends(project)
        yield from _config(record)
        yield from _connection(rows, project, url)
        yield from _webhook(settings, client, project, rows)
        yield from _image(settings, client, record)
    except LabelStudioError as error:
        yield Finding(FAIL, "project", str(error))


def _config(record: dict[str, Any]) -> Iterator[Finding]:
    try:
        problems = LabelConfig.parse(record["label_config"]).problems()
    except LabelConfigError as error:
        problems = [str(error)]
    for problem in problems:
        yield Finding(FAIL, "label config", problem)
    if not problems:
        yield Finding(OK, "label config", "clicks or boxes have masks to become")
    if record.get("show_collab_predictions"):
        text = "on: every opening of a task waits for the backend; `clickmask connect` turns it off"
        yield Finding(WARN, "prelabeling", text)


def _connection(rows: list[dict[str, Any]], project: int, url: str) -> Iterator[Finding]:
    interactive = [row for row in rows if row["is_interactive"]]
    if not interactive:
        hint = f"run `clickmask connect {project}`"
        text = f"no backend is connected for clicks: {hint}. {SWITCHES}"
        yield Finding(FAIL, "connection", text)
        return
    first = interactive[0]  # Label Studio sends clicks to this one only
    if len(interactive) > 1:
        others = ", ".join(url_of(row) for row in interactive[1:])
        yield Finding(WARN, "connection", f"clicks go to {url_of(first)} only; remove {others}")
    if first["state"] != "CO":
        text = f"Label Studio cannot reach {url_of(first)}: {first.get('error_message') or first['readable_state']}"
        hint = ""
        if urlsplit(first["url"]).hostname in LOOPBACK:
            hint = " (inside a container this is the container itself: use the service's or the host's name)"
        yield Finding(FAIL, "connection", f"{text}{hint}. {SWITCHES}")
        return
    same = "" if url_of(first) == url else f", which is not the {url} examined here"
    yield Finding(OK, "connection", f"Label Studio reaches {url_of(first)}{same}")


def _webhook(
    settings: Settings, client: LabelStudio, project: int, rows: list[dict[str, Any]]
) -> Iterator[Finding]:
    for row in (row for row in rows if row["is_interactive"]):
        hook = find_webhook(client, project, url_of(row))
        if hook is None or not hook["is_active"]:
            text = f"none to {url_of(row)}: nothing is learnt; run `clickmask connect {project}`"
            yield Finding(WARN, "webhook", text)
        elif settings.webhook_secret is not None and not _has_secret(hook, settings.webhook_secret):
            text = f"without CLICKMASK_WEBHOOK_SECRET it is refused: run `clickmask connect {project}`"
            yield Finding(WARN, "webhook", text)
        else:
            yield Finding(OK, "webhook", "accepted annotations are reported")
        return


def _has_secret(hook: dict[str, Any], secret: str) -> bool:
    return (hook.get("headers") or {}).get(SECRET_HEADER) == secret or f"secret={secret}" in hook["url"]


def _image(settings: Settings, client: LabelStudio, record: dict[str, Any]) -> Iterator[Finding]:
    task = next(client.tasks(record["id"]), None)
    if task is None:
        yield Finding(WARN, "image", "the project has no tasks: import some")
        return
    try:
        tag = LabelConfig.parse(record["label_config"]).images[0]
        picture = ImageStore(settings, client).get(tag.url(task["data"]), task["id"])
    except IndexError:
        return  # reported with the config
    except (LabelConfigError, ImageError) as error:
        yield Finding(FAIL, "image", f"task {task['id']}: {error}")
        return
    height, width = picture.pixels.shape[:2]
    yield Finding(OK, "image", f"task {task['id']} has one of {width} x {height} pixels")

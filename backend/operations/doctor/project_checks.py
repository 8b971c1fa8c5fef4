"""What is set up in one Label Studio project: labeling config, connection, webhook, images."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from backend.images.address import ImageError
from backend.images.store import ImageStore
from backend.label_studio.client import LabelStudio
from backend.label_studio.connect import SECRET_HEADER, SWITCHES, find_webhook, undotted, url_of
from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.operations.doctor import label_config_checks
from backend.operations.doctor.finding import FAIL, OK, WARN, Finding, Findings
from backend.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def project(settings: Settings, client: LabelStudio, number: int, url: str) -> Findings:
    """Look at a project's labeling config, connection, webhook and first image.

    Raises:
        LabelStudioError: Label Studio refuses or does not answer.
    """
    record = client.project(number)
    rows = client.ml_backends(number)
    yield from _config(record)
    yield from _connection(rows, number, url)
    yield from _webhook(settings, client, number, rows)
    yield from _image(settings, client, record)


def _config(record: dict[str, Any]) -> Findings:
    try:
        problems = label_config_checks.problems(record["label_config"])
        warnings = label_config_checks.warnings(record["label_config"])
    except LabelConfigError as error:
        problems, warnings = [str(error)], []
    for problem in problems:
        yield Finding(FAIL, "label config", problem)
    if not problems:
        yield Finding(OK, "label config", "clicks or boxes have masks to become")
    for warning in warnings:
        yield Finding(WARN, "label config", warning)
    if record.get("show_collab_predictions"):
        text = (
            "on: every opening of a task waits for the backend; right where `clickmask connect --prelabel` shows "
            "proposals, else `clickmask connect` turns it off"
        )
        yield Finding(WARN, "prelabeling", text)


def _connection(rows: list[dict[str, Any]], project: int, url: str) -> Findings:
    interactive = [row for row in rows if row["is_interactive"]]
    if not interactive:
        hint = f"run `clickmask connect {project}`"
        text = f"no backend is connected for clicks: {hint}. {undotted(url) or SWITCHES}"
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


def _webhook(settings: Settings, client: LabelStudio, project: int, rows: list[dict[str, Any]]) -> Findings:
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


def _image(settings: Settings, client: LabelStudio, record: dict[str, Any]) -> Findings:
    task = next(client.tasks(record["id"]), None)
    if task is None:
        yield Finding(WARN, "image", "the project has no tasks: import some")
        return
    try:
        tag = LabelConfig.parse(record["label_config"], task["data"]).images[0]
        picture = ImageStore(settings, client).get(tag.url(task["data"]), task["id"])
    except IndexError:
        return  # reported with the config
    except (LabelConfigError, ImageError) as error:
        yield Finding(FAIL, "image", f"task {task['id']}: {error}")
        return
    height, width = picture.pixels.shape[:2]
    yield Finding(OK, "image", f"task {task['id']} has one of {width} x {height} pixels")

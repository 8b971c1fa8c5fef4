"""Names that people and scripts rely on: of commands, settings, metrics, keys of Redis and files of the registry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from tests.golden import entry
from tests.golden.bodies import keypoint, predict
from tests.golden.entry import Settings, run, serving
from tests.golden.recorder import Recorder
from tests.golden.studio import Studio

UNIQUE = re.compile(r"\b([0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8})\b")
SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? ")
ANY_VALUE = ("le", "version", "device", "status")  # labels whose values are of no interest


def commands() -> dict[str, Any]:
    """Arguments and options of every command, and how --help and an unknown option end."""
    found = {}
    for name, command in entry.commands():
        words = name.split()[1:]
        parameters = [parameter for parameter in command.params if parameter.name != "help"]
        found[name] = {
            "arguments": [p.name for p in parameters if isinstance(p, click.Argument)],
            "options": {
                "/".join([*p.opts, *p.secondary_opts]): {"flag": p.is_flag, "repeatable": p.multiple}
                for p in parameters
                if isinstance(p, click.Option)
            },
            "--help": run({}, *words, "--help").exit_code,
            "--no-such-option": run({}, *words, "--no-such-option").exit_code,
        }
    return found


def exit_codes(variables: Mapping[str, str]) -> dict[str, int]:
    """How commands end that cannot do what they are asked."""
    calls = (
        "worker",
        "jobs list",
        "jobs watch none",
        "jobs cancel none",
        "fine-tune 3",
        "fine-tune mine",
        "review 3",
        "models list",
        "models list --json",
        "models list --line nothing",
        "models show base --json",
        "models show base-7",
        "models promote project-3-1",
        "models rollback base",
        "models rollback project-3",
        "models import /there/is/none",
        "predict /there/is/none.png --click 1,1",
        "evaluate /there/is/none",
        "train",
        "nothing",
        "--version",
    )
    codes = {call: run(variables, *call.split()).exit_code for call in calls}
    wrong = {**variables, "CLICKMASK_PORT": "many"}
    for call in ("serve", "worker", "jobs list", "models list", "doctor", "up", "review 3", "fine-tune 3"):
        codes[f"CLICKMASK_PORT=many {call}"] = run(wrong, *call.split()).exit_code
    return codes


def settings() -> dict[str, str]:
    """Every variable and its default."""
    return {**Settings().masked(), "CLICKMASK_HOME": "(home folder)/.clickmask"}


def metrics(exposition: str) -> dict[str, Any]:
    """Every metric with type, help and labels, and the values of those labels that have few."""
    found: dict[str, Any] = {}
    family = ""
    for line in exposition.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "#":
            kind, family, text = rest.split(" ", 2)
            found.setdefault(family, {"labels": {}})[kind.lower()] = text
        elif match := SAMPLE.match(line):
            for label, value in re.findall(r'(\w+)="([^"]*)"', match[2] or ""):
                values = found[family]["labels"].setdefault(label, [])
                if label not in ANY_VALUE and value not in values:
                    values.append(value)
                    values.sort()
    return {name: kept for name, kept in found.items() if not name.endswith("_created")}


def registry(home: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The files of a home after some steps on the command line, and the JSON that these print."""
    printed = {}
    for call in (
        f"models export base {home}/exported --json",
        f"models import {home}/exported --line project-8 --promote --json",
        "models rollback project-3 --json",
        "models promote project-3-2 --json",
        "models list --json",
        "models show project-4 --json",
    ):
        done = run(variables, *call.split())
        assert done.exit_code == 0, done.output
        printed[call] = json.loads(done.stdout)
    files = sorted(path for path in home.rglob("*") if path.is_file())
    return {
        "printed": printed,
        "files": sorted({_without_unique(str(path.relative_to(home))) for path in files}),
        "current": {path.parent.name: path.read_text().split() for path in files if path.name == "current"},
        "card": shape(json.loads((home / "exported/card.json").read_text())),
    }


def redis_keys(variables: Mapping[str, str], client: Any, studio: Studio) -> dict[str, Any]:
    """The keys that clicks, webhooks, jobs and a review leave: patterns with type, life and shape of the values."""
    with serving(variables) as app:
        ask = Recorder(app)
        ask.ask("setup", "/setup", {"project": "9.1700000000"})
        draft = {"id": 1, "user": "ann@example.com", "result": []}
        first = predict(keypoint("k1", 25, 22), task=1, project=9, drafts=[draft])
        ask.click("one", first)
        both = [keypoint("k1", 25, 22), keypoint("k2", 28, 25)]
        regions = ask.click("two", predict(*both, task=1, project=9, drafts=[draft]))
        made = {
            "id": 5,
            "task": 1,
            "completed_by": 1,
            "updated_at": "2026-01-01T00:00:00Z",
            "result": regions,
        }
        created = {"action": "ANNOTATION_CREATED", "project": {"id": 9}, "annotation": made}
        ask.ask("created", "/webhook", created)
        ask.ask("train", "/train", {"project": 9})
    empty = {**made, "id": 6, "result": []}  # nothing to train on
    studio.tasks[9] = [{"id": 1, "data": {"image": "/data/upload/1/1.png"}, "annotations": [empty]}]
    code = run(variables, "fine-tune", "9", "--now").exit_code
    studio.tasks[9][0]["annotations"] = [made]
    for call in ("fine-tune 9 --sync", "review 9 --apply"):
        done = run(variables, *call.split())
        assert done.exit_code == 0, done.output
    keys = {}
    for key in sorted(client.scan_iter(count=1000)):
        name, kind = key.decode(), client.type(key).decode()
        pattern = re.sub(r"\b9\b", "PROJECT", _without_unique(name))
        keys[pattern] = {"type": kind, "expires": client.ttl(key) > 0}
        if not name.startswith("rq:"):
            keys[pattern]["value"] = _value(client, kind, key)
    return {"keys": keys, "exit code of a job that has nothing to train on": code}


def shape(value: Any) -> Any:
    """A JSON value with the names of types in place of values; of a list, its first element."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [shape(entry) for entry in value[:1]]
    return type(value).__name__


def _value(client: Any, kind: str, key: bytes) -> Any:
    if kind == "string":
        return _shape_of_text(client.get(key))
    if kind == "list":
        return [_shape_of_text(entry) for entry in client.lrange(key, 0, 0)]
    if kind == "hash":
        return {_without_unique(k.decode()): _shape_of_text(v) for k, v in client.hgetall(key).items()}
    if kind == "stream":
        return {k.decode(): _shape_of_text(v) for k, v in client.xrange(key, count=1)[0][1].items()}
    return "members"


def _shape_of_text(value: bytes) -> Any:
    try:
        return shape(json.loads(value))
    except ValueError:
        return "text" if value.isascii() else "bytes"


def _without_unique(name: str) -> str:
    return UNIQUE.sub("*", name)

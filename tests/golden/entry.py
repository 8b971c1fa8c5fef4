"""The doors to clickmask that these tests use, all in one place: what users, Label Studio and operators use."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
from click.testing import CliRunner, Result
from flask import Flask

from backend.cli import main
from backend.label_studio.mask_formats import rle
from backend.operations.embedded_redis import EmbeddedRedis
from backend.settings.settings import Settings
from backend.web import learning
from backend.web.app import create_app
from model.networks import NETWORKS
from tests.backend.recordings import SHARED
from tests.golden.network import NAME, Steady
from tests.waiting import PATIENCE_S, until

__all__ = ["EmbeddedRedis", "Settings", "area", "commands", "recordings", "run", "serving"]

HERE = Path(__file__).parent
DATA = HERE.parent / "data"  # what version 0.1 stored
ROOT = HERE.parents[1]


def environment(home: Path, studio_url: str, redis_url: str | None = None, **more: str) -> dict[str, str]:
    """The variables of a backend whose answers are the same on every machine."""
    return {
        "CLICKMASK_HOME": str(home),
        "CLICKMASK_REDIS_URL": redis_url or "",
        "CLICKMASK_DEVICE": "cpu",
        "CLICKMASK_PRECISION": "float32",
        "CLICKMASK_THREADS": "1",
        "CLICKMASK_DEADLINE_S": "100",
        "LABEL_STUDIO_URL": studio_url,
        "LABEL_STUDIO_API_KEY": "a" * 40,
        **more,
    }


@contextmanager
def serving(variables: Mapping[str, str], wait: bool = True) -> Iterator[Flask]:
    """The web application, its base model loaded; ended as a server ends it. What is learned is waited for."""
    with _steady_is_known(), patch.object(learning, "FIRST_S", PATIENCE_S):
        app = create_app(Settings.from_env(dict(variables)))
        try:
            if wait:
                client = app.test_client()
                until("the base model", lambda: client.get("/ready").status_code == 200)
            yield app
        finally:
            app.extensions["clickmask"].close()


def run(variables: Mapping[str, str], *arguments: str) -> Result:
    """A command line of `clickmask`; its result has exit_code, stdout and stderr."""
    names = [name for name in os.environ if name.startswith(("CLICKMASK_", "LABEL_STUDIO_", "BASIC_AUTH_"))]
    clean = {**dict.fromkeys(names), **variables, "PYTHONPATH": str(ROOT)}
    with _steady_is_known():
        return CliRunner().invoke(main, arguments, env=clean)


@contextmanager
def _steady_is_known() -> Iterator[None]:
    """Let this process load the network of the homes here."""
    before = dict(NETWORKS)
    NETWORKS[NAME] = Steady
    try:
        yield
    finally:
        NETWORKS.clear()
        NETWORKS.update(before)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and group by its full name, `clickmask` first."""
    yield "clickmask", main
    waiting = [("clickmask", main)]
    while waiting:
        prefix, group = waiting.pop()
        context = click.Context(group, info_name=prefix)
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None
            yield f"{prefix} {name}", found
            if isinstance(found, click.Group):
                waiting.append((f"{prefix} {name}", found))


def area(region: Mapping[str, Any]) -> int:
    """Pixels of a region's brush mask."""
    mask = rle.decode(region["value"]["rle"], region["original_height"], region["original_width"])
    return int((mask > 0).sum())


def recordings() -> list[tuple[str, dict[str, Any]]]:
    """Name and content of every recorded call to a backend, from the folder beside the repository."""
    files = sorted((SHARED / "recordings").glob("*.json"))
    found = [(file.stem, json.loads(file.read_text())) for file in files]
    return [(name, recorded) for name, recorded in found if recorded.get("request_received_by_backend")]

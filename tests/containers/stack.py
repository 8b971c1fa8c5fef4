"""The compose file's services, used as its head says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import requests

from tests.containers.engine import run

ROOT = Path(__file__).parents[2]
PROJECT = "clickmask-trial"
FACTS: list[str] = []  # what was measured, for the end of the output
OURS = ("CLICKMASK_", "LABEL_STUDIO_", "BASIC_AUTH_", "COMPOSE_", "REDIS_")
EMAIL, PASSWORD = "admin@example.com", "Passw0rd!x"


def checkout(folder: Path) -> Path:
    """Copy what is or could be committed of this clone, without anybody's .env; gives the copy."""
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in names:
        target = folder / name
        if (ROOT / name).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    return folder


def steps(compose_file: Path) -> list[str]:
    """Return the commands that the head of the compose file tells to type, in order."""
    head = compose_file.read_text().partition("\n\n")[0].splitlines()
    found = (re.match(r"#\s+(?:\d\. )?((?:docker compose|echo) .*)$", line) for line in head)
    return [match[1] for match in found if match is not None]


class Stack:
    """The services as one Compose project.

    Args:
        folder: the checkout.
        override: a further compose file; None for none.
        port: of loopback, for Label Studio.
    """

    def __init__(self, folder: Path, override: Path | None, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        files = ["docker-compose.yml", *([] if override is None else [str(override)])]
        self.environment = {
            **clean,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_FILE": ":".join(files),
            "LABEL_STUDIO_PORT": str(port),
        }

    def type(self, command: str) -> str:
        """Run a line as a person would type it into a shell; returns its output."""
        return run("sh", "-c", command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL)

    def compose(self, *arguments: str) -> str:
        """Run `docker compose ARGUMENTS`; returns its output."""
        return run("docker", "compose", *arguments, cwd=self.folder, env=self.environment)

    def inside(self, service: str, *command: str) -> str:
        """Run a command in a running service's container; returns its output."""
        return self.compose("exec", "-T", service, *command)

    def told(self, *arguments: str, service: str = "worker") -> Any:
        """Run `clickmask ARGUMENTS --json` in a service's container; returns what it prints."""
        done = subprocess.run(
            ["docker", "compose", "exec", "-T", service, "clickmask", *arguments, "--json"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def container(self, service: str, form: str) -> str:
        """Return what `docker inspect --format FORM` tells of a service's container, running or not."""
        identity = self.compose("ps", "--all", "--quiet", service).strip()
        return run("docker", "inspect", "--format", form, identity).strip()

    def memory(self, service: str) -> str:
        """Return the memory that a service's container uses now, as Docker writes it."""
        identity = self.compose("ps", "--quiet", service).strip()
        return run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", identity).partition(" / ")[
            0
        ]

    def sign_up(self) -> str:
        """Sign up as the first user does in the browser, and create a personal access token; returns it."""
        session, page = requests.Session(), f"{self.url}/user/signup/"
        session.get(page, timeout=30).raise_for_status()
        form = {"email": EMAIL, "password": PASSWORD, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
        session.post(page, data=form, headers={"Referer": page}, allow_redirects=False, timeout=60)
        headers = {"X-CSRFToken": session.cookies["csrftoken"], "Referer": f"{self.url}/"}
        answer = session.post(f"{self.url}/api/token/", headers=headers, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["token"])

"""Runs a Label Studio of our own, for the demo and for end-to-end tests."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from backend.label_studio.transport import ask
from backend.operations.supervisor import end, free_port, spawn, tail
from model.errors import ClickmaskError

START_LIMIT_S = 600.0  # a first start creates the database, which takes a minute or more

# Label Studio's own names. It refuses backends and webhooks at private addresses unless told otherwise, and
# reports to its makers unless the addresses are empty (unset, they have real defaults).
ENVIRONMENT = {
    "COLLECT_ANALYTICS": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LATEST_VERSION_CHECK": "false",
    "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
    "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
}


class LabelStudioStartError(ClickmaskError, RuntimeError):
    """Label Studio ended or did not answer in time; the message holds the end of its log."""


class LabelStudioServer:
    """Runs one Label Studio process with its own data folder.

    Args:
        executable: its command, label-studio.
        folder: for its data, log, token and password.
        port: taken if it is free, else any.
        switches: settings of Label Studio that differ from `ENVIRONMENT`.

    Attributes:
        url, email, password: where and as whom to log in.
        token: the account's legacy API token.
        process: while it runs.
    """

    email = "admin@clickmask.local"

    def __init__(
        self, executable: Path, folder: Path, port: int = 0, switches: Mapping[str, str] | None = None
    ) -> None:
        self._executable, self._folder, self._switches = executable, folder, switches or {}
        self._folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port(port)  # Label Studio itself would silently take another one
        self.url = f"http://127.0.0.1:{self.port}"
        self.token, self.password = self._secret("token", 20), self._secret("password", 6)
        self.process: subprocess.Popen[bytes] | None = None

    def _secret(self, name: str, size: int) -> str:
        """Return a random secret of this data folder: the same at every start, as the account is made once."""
        path = self._folder / name
        if not path.exists() or not path.read_text():  # a disk that was full left it empty
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(size))
        return path.read_text()

    @property
    def first_start(self) -> bool:
        """Tell whether there is no database yet."""
        return not (self._folder / "data" / "label_studio.sqlite3").exists()

    @property
    def log(self) -> Path:
        """Return the file with what Label Studio prints."""
        return self._folder / "label-studio.log"

    def start(self, on_wait: Callable[[float], None] = lambda seconds: None) -> None:
        """Start and wait until it answers.

        Args:
            on_wait: called about once a second with the seconds so far.

        Raises:
            LabelStudioStartError: it ended, or did not answer within `START_LIMIT_S`.
        """
        command = [
            str(self._executable), "start", "--no-browser", "--data-dir", str(self._folder / "data"),
            "--internal-host", "127.0.0.1", "--port", str(self.port),
        ]  # fmt: skip
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LABEL_STUDIO_", "HEARTEX_"))}
        own = {
            "HOME": str(self._folder),
            "LABEL_STUDIO_HOST": self.url,
            # Not by options: everybody on this machine can read a command.
            "LABEL_STUDIO_USERNAME": self.email,
            "LABEL_STUDIO_PASSWORD": self.password,
            "LABEL_STUDIO_USER_TOKEN": self.token,
        }
        self.log.unlink(missing_ok=True)
        self.process = spawn(command, {**inherited, **ENVIRONMENT, **own, **self._switches}, self.log)
        begin = time.monotonic()
        while not self._answers():
            waited = time.monotonic() - begin
            if self.process.poll() is not None or waited > START_LIMIT_S:
                self.stop()
                said = tail(self.log).replace(self.token, "<token>").replace(self.password, "<password>")
                raise LabelStudioStartError(f"Label Studio did not start within {waited:.0f} s:\n{said}")
            on_wait(waited)
            time.sleep(1.0)

    def _answers(self) -> bool:
        try:
            return ask(f"{self.url}/health", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """End the process and all it started."""
        if self.process is not None:
            end(self.process)
            self.process = None

    def __enter__(self) -> LabelStudioServer:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

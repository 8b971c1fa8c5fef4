"""What a job leaves on disk while it runs, so that one that was killed goes on where it was.

A folder for each project holds what the job began with, the state of the training, the tuned weights, and the
outcome once a version was made; records of clicks are in a file of their own
(`fine_tune.project.judging.clicking`). The folder is thrown away when the job has ended, or where another job would
begin with something else.

It is a convenience: what cannot be written is logged, and the job goes on.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from fine_tune.project.outcome import Outcome

logger = logging.getLogger(__name__)

FORMAT = 1
LIFE_S = 86400.0  # what is older is not gone on with
BEGUN, TUNED, OUTCOME, TRAINING = "begun.json", "tuned.safetensors", "outcome.json", "training"


class JobState:
    """The folder of a project's job.

    Args:
        folder: made where it is needed. None keeps nothing, and then every job begins anew.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def begin(
        self, start: Mapping[str, Any], accepted: Mapping[int, str], tasks: int, force: bool = False
    ) -> tuple[dict[int, str], int]:
        """Go on with a job that began in the same way, or begin one.

        Args:
            start: plain values that tell what the job begins with: versions and effort.
            accepted: annotation id -> updated_at, as they are now,
            tasks: and of how many tasks they are.
            force: whether the version is to be served whatever the gate says, which a job may take up from another.

        Returns:
            The annotations that the job is about: those it began with, as far as they still are as they were. Those
            that were made or changed since are left to the next job, unless none is as it was: then this one begins
            anew. Then, of how many tasks it began.
        """
        if self._folder is None:
            return dict(accepted), tasks
        known = self._read(BEGUN)
        if self._alive(known) and known["start"] == json.loads(json.dumps(start)):
            began = {int(number): updated for number, updated in known["accepted"].items()}
            left = {number: at for number, at in began.items() if accepted.get(number) == at}
            if left:
                return left, known.get("tasks", len(began))  # not told by older versions
        self.clear()
        values = {"format": FORMAT, "at": time.time(), "start": start, "accepted": accepted, "force": force}
        self._write(BEGUN, {**values, "tasks": tasks})
        return dict(accepted), tasks

    @property
    def training(self) -> Path | None:
        """The folder of the trainer's own state."""
        return None if self._folder is None else self._folder / TRAINING

    def save_tuned(self, network: nn.Module, facts: Mapping[str, Any]) -> None:
        """Keep the tuned weights with what is to be told of the training; its own state is no longer needed."""
        if self._folder is None:
            return
        path = self._folder / TUNED
        tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, f"{path}.part", {"facts": json.dumps(facts)})
            os.replace(f"{path}.part", path)
        except (OSError, SafetensorError) as error:
            logger.warning("%s: a job that is killed now would train again: %s", path, error)
            return
        shutil.rmtree(self._folder / TRAINING, ignore_errors=True)

    def load_tuned(self, network: nn.Module) -> dict[str, Any] | None:
        """Fill a network with the tuned weights; return what was kept with them, None where there are none."""
        if self._folder is None or not (self._folder / TUNED).exists():
            return None
        path = self._folder / TUNED
        try:
            network.load_state_dict(load_file(path))
            with safe_open(path, "pt") as file:
                return json.loads(file.metadata()["facts"])
        except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
            logger.warning("%s is not used, the job trains again: %s", path, error)
            return None

    def save_outcome(self, outcome: Outcome, settled: bool = False) -> None:
        """Keep what became of the job: before the version that it made is served, and `settled` after that."""
        if self._folder is not None:
            self._write(OUTCOME, {**outcome.as_json(), "settled": settled})

    def finished(self, force: bool) -> tuple[Outcome, dict[int, str], str | None, bool] | None:
        """Return what became of a job that was killed after it had made its version.

        Args:
            force: whether that job was forced, as the one that asks is; the outcome of another kind is no answer.

        Returns:
            The outcome, the annotations (id -> updated_at) that it learned from, the name of the version that was
            served when it began, and whether it is settled what is served; None where there is no such job.
        """
        if self._folder is None:
            return None
        began, outcome = self._read(BEGUN), self._read(OUTCOME)
        if not (outcome and self._alive(began)) or began["force"] != force:
            return None
        accepted = {int(number): updated for number, updated in began["accepted"].items()}
        settled = outcome.get("settled") is True
        return Outcome.from_json(outcome), accepted, began["start"].get("served"), settled

    def clear(self) -> None:
        """Throw everything away."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _alive(began: Mapping[str, Any]) -> bool:
        return began.get("format") == FORMAT and time.time() - began["at"] < LIFE_S

    def _read(self, name: str) -> dict[str, Any]:
        assert self._folder is not None
        try:
            values = json.loads((self._folder / name).read_text())
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        assert self._folder is not None
        part = self._folder / f"{name}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(values))
            os.replace(part, self._folder / name)
        except OSError as error:
            logger.warning("%s: a job that is killed now would begin anew: %s", part, error)

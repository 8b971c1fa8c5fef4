"""Let the simulated annotators click objects with the models of a job, on all cores, and never twice the same.

Records are kept by the model that answered, the code, the object and the annotator. So a job that was killed goes on
where it was, a look at more objects runs only those that are new, and the figures of a served version are known when
the next job begins.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fine_tune.project.judging.gate import TARGET, THRESHOLD, Measured
from fine_tune.project.models import Model
from model import inference
from model.cores import cores
from model.engines.base import Engine
from model.engines.factory import create_engine
from model.evaluation.evaluate import CLICKERS, Journal, Predicts, Rules, evaluate
from model.evaluation.report import Record, Report
from model.inference.predictor import Request
from model.scene import Sample

BATCH = 8  # objects that a lane has in play


class Clicking:
    """The annotators at work.

    Attributes:
        lanes: objects that are clicked at once.
        made: clicks, those at hand not counted.

    Args:
        device, precision: of the engines, see `create_engine`.
        threads: objects that are clicked at once, each on a core of its own; 0 for one on every core.
        file: where records are kept; None keeps them in memory.
        pulse: called between any two clicks, never twice at once; what it raises ends the clicking.
    """

    def __init__(
        self,
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        file: Path | None = None,
        pulse: Callable[[], None] = lambda: None,
    ) -> None:
        self._device, self._precision, self._file, self._pulse = device, precision, file, pulse
        self.lanes = threads or (2 if torch.cuda.is_available() and device in ("auto", "cuda") else cores())
        self._engines: dict[tuple[int, int], tuple[nn.Module, Engine]] = {}
        self._predictors: dict[str, Predicts] = {}
        self._journals: dict[str, Journal] = {}
        self.made = 0

    def measure(
        self,
        model: Model,
        samples: Sequence[Sample],
        clicks: int,
        on_record: Callable[[Record], None] = lambda record: None,
        clickers: Sequence[str] = CLICKERS,
    ) -> Measured:
        """Let every annotator click every object, until the mask has the IoU that the gate asks for.

        Args:
            clicks: an object's maximum.
            on_record: called as each object is done by an annotator, never twice at once.
        """
        all_rules = [
            Rules(clicker, max_clicks=clicks, threshold=THRESHOLD, stop_at=TARGET, batch=BATCH)
            for clicker in clickers
        ]
        lock = threading.Lock()

        def noted(record: Record) -> None:
            with lock:
                self.made += len(record.clicks)
                on_record(record)

        parts = []
        for rules in all_rules:
            journal = self._journal(model, rules)
            left = [sample for sample in samples if sample.id not in journal.records]
            for sample in samples:
                if sample.id in journal.records:
                    on_record(journal.records[sample.id])
            parts += [
                (part, rules, journal) for lane in range(self.lanes) if (part := left[lane :: self.lanes])
            ]
        if parts:
            self._play(_Pulsing(self.predictor(model), self._pulse), parts, noted)
        return Measured(
            {
                rules.clicker: Report([self._journal(model, rules).records[sample.id] for sample in samples])
                for rules in all_rules
            }
        )

    def keep(self, models: Iterable[Model]) -> None:
        """Forget the records of all models but these."""
        kept = {model.digest for model in models}
        self._journals = {}
        if self._file is None or not self._file.exists():
            return
        lines = [line for line in self._file.read_text().splitlines() if _model_of(line) in kept]
        part = self._file.with_suffix(".part")
        part.write_text("\n".join(lines))
        os.replace(part, self._file)

    def _play(
        self,
        predictor: _Pulsing,
        parts: Sequence[tuple[Sequence[Sample], Rules, Journal]],
        on_record: Callable[[Record], None],
    ) -> None:
        """Run the parts in lanes; the first error ends them all."""
        with ThreadPoolExecutor(self.lanes) as pool:
            running = [pool.submit(evaluate, predictor, *part, on_record=on_record) for part in parts]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
            finally:
                predictor.stop()  # only if one failed, or this thread is ended, is anybody still playing
        errors = [error for future in running if (error := future.exception()) is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, _Stopped)):
            raise error

    def predictor(self, model: Model) -> Predicts:
        """Return the predictor that a model is measured with."""
        if model.digest not in self._predictors:
            self._predictors[model.digest] = model.predictor(self.engine)
        return self._predictors[model.digest]

    def engine(self, network: nn.Module, size: int) -> Engine:
        """Return the engine of a network and its input side, which as many threads as there are lanes may share."""
        key = id(network), size  # the network is kept with its engine, so that no other one gets its id
        if key not in self._engines:
            how = (self._device, None, self.lanes, self._precision)
            engine = create_engine(network, size, *how, graphs=False, streams=self.lanes)
            self._engines[key] = network, engine
        return self._engines[key][1]

    def _journal(self, model: Model, rules: Rules) -> Journal:
        identity = {"model": model.digest, "code": _code(), "precision": self._precision, **rules.identity()}
        return self._journals.setdefault(json.dumps(identity), Journal(self._file, identity))


class _Stopped(Exception):
    """Another lane failed: nobody waits for this one's answers."""


class _Pulsing:
    """A predictor that calls `pulse` before every answer, from one thread at a time; stopped, it answers no more."""

    def __init__(self, predictor: Predicts, pulse: Callable[[], None]) -> None:
        self._predictor, self._pulse = predictor, pulse
        self._lock, self._stopped = threading.Lock(), False

    def stop(self) -> None:
        """Let every further call end its lane."""
        self._stopped = True

    def predict_many(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """See `Predicts`."""
        with self._lock:
            if self._stopped:
                raise _Stopped
            try:
                self._pulse()
            except BaseException:
                self._stopped = True
                raise
        return self._predictor.predict_many(requests)


@cache
def _code() -> str:
    """Name the code that clicks and answers by sixteen hex digits: a model must not win by an upgrade."""
    digest = hashlib.sha256()
    for file in sorted(Path(inference.__path__[0]).parent.rglob("*.py")):  # networks and engines, too
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _model_of(line: str) -> Any:
    try:
        return json.loads(line)["of"]["model"]
    except (ValueError, KeyError, TypeError):
        return None

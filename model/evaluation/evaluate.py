"""Let an automatic annotator click objects and score the masks: NoC and IoU@k as RITM (arXiv 2102.06583).

Every object gets all its clicks, whatever IoU it has reached, unless `Rules.stop_at` says otherwise: that gives whole
IoU curves, and the same NoC as stopping at the target, because the first click that reaches it is the same.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from model.click import Click
from model.evaluation.clicker import next_click, noisy_click
from model.evaluation.datasets import DatasetError
from model.evaluation.report import Record, Report
from model.inference.predictor import Request
from model.mask_ops import iou
from model.scene import Sample, Scene

CLICKERS = ("classic", "noisy")
THRESHOLD = 0.49


class Predicts(Protocol):
    """What is evaluated: `model.inference.predictor.Predictor` or anything that answers like it."""

    def predict_many(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """Answer each request with one HxW uint8 map, round(255 p)."""
        ...


@dataclass(frozen=True)
class Rules:
    """How an object is clicked and scored.

    Attributes:
        clicker: "classic" (`next_click`) or "noisy" (`noisy_click`, its chance drawn per object).
        max_clicks: clicks every object gets.
        threshold: the mask is map / 255 > threshold. RITM's 0.49 means values from 125, which is a probability
            from 0.4882 before the map was rounded; served masks start at 128.
        seed: of the noisy clicker.
        stop_at: IoU from which on an object gets no more clicks, and its curve stays; None for all clicks. NoC at
            this IoU and below is the same either way.
        batch, workers: objects that run together, and threads that click and score them; they change the
            pace, and nothing else as long as the engine answers the same in any batch.
    """

    clicker: str = "classic"
    max_clicks: int = 20
    threshold: float = THRESHOLD
    seed: int = 0
    stop_at: float | None = None
    batch: int = 16
    workers: int = 1

    def __post_init__(self) -> None:
        if self.clicker not in CLICKERS:
            raise ValueError(f"unknown clicker {self.clicker!r}: use one of {', '.join(CLICKERS)}")
        if min(self.max_clicks, self.batch, self.workers) < 1:
            raise ValueError("max_clicks, batch and workers must be at least 1")

    def identity(self) -> dict[str, Any]:
        """Name what a figure depends on, as plain values."""
        same = {"clicker": self.clicker, "max_clicks": self.max_clicks, "threshold": self.threshold}
        same |= {} if self.stop_at is None else {"stop_at": self.stop_at}
        return same | ({"seed": self.seed} if self.clicker == "noisy" else {})


class Journal:
    """Keep records on disk as they are made, one JSON line each, so that an evaluation can go on after a stop.

    One file may hold any number of evaluations: a record counts only where `identity` is the same. Several threads
    may add records.

    Args:
        path: of the file; made with its folder at the first record. None keeps the records in memory alone.
        identity: plain values that name model, set and rules.
    """

    def __init__(self, path: Path | None, identity: dict[str, Any]) -> None:
        self._path, self._identity, self._lock = path, identity, threading.Lock()
        self.records: dict[str, Record] = {}
        for line in path.read_text().splitlines() if path is not None and path.exists() else ():
            try:
                entry = json.loads(line)
                if entry["of"] == identity:
                    record = Record.from_json(entry)
                    self.records[record.sample] = record
            except (ValueError, KeyError, TypeError):
                continue  # a line cut off by a kill: its object runs again

    def add(self, record: Record) -> None:
        """Append one record."""
        self.records[record.sample] = record
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self._path.open("a") as file:  # the leading line end closes a line that was cut off
            file.write("\n" + json.dumps(record.as_json() | {"of": self._identity}))


def evaluate(
    predictor: Predicts,
    samples: Sequence[Sample],
    rules: Rules | None = None,
    journal: Journal | None = None,
    on_record: Callable[[Record], None] | None = None,
) -> Report:
    """Click every sample and report.

    Args:
        predictor: see `Predicts`.
        samples: the objects, with different ids; read from disk when their turn comes.
        rules: default is the protocol of the field.
        journal: objects recorded there are not run again; others are added.
        on_record: called as every object is done (and at once for those in the journal).

    Raises:
        DatasetError: no samples, an id twice, an object without any pixel to click, or one that cannot be read.
    """
    ids = [sample.id for sample in samples]
    if not ids:
        raise DatasetError("nothing to evaluate: there is no object")
    if len(set(ids)) < len(ids):
        raise DatasetError(
            f"sample {next(i for i in ids if ids.count(i) > 1)!r} occurs twice: ids must differ"
        )
    done = {i: journal.records[i] for i in ids if journal is not None and i in journal.records}
    if on_record:
        for record in done.values():
            on_record(record)
    left = [sample for sample in samples if sample.id not in done]
    for record in _play(predictor, left, rules or Rules()):
        done[record.sample] = record
        if journal is not None:
            journal.add(record)
        if on_record:
            on_record(record)
    return Report([done[i] for i in ids])


@dataclass(eq=False)
class _Game:
    """One object in play; `map` is the last answer, HxW uint8."""

    sample: Sample
    scene: Scene
    rng: np.random.Generator
    map: np.ndarray | None = None
    clicks: list[Click] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    seconds: float = 0.0
    finished: bool = False

    def mask(self, threshold: float) -> np.ndarray:
        if self.map is None:
            return np.zeros(self.scene.truth.shape, bool)
        return self.map > threshold * 255

    def click(self, rules: Rules) -> None:
        """Make the next click, or find that nothing is left to correct."""
        truth, mask, ignore = self.scene.truth, self.mask(rules.threshold), self.scene.ignore
        if rules.clicker == "noisy":
            click = noisy_click(truth, mask, self.clicks, ignore, self.rng)
        else:
            click = next_click(truth, mask, self.clicks, ignore)
        if click is not None:
            self.clicks.append(click)
        elif self.clicks:
            self.finished = True
        else:
            raise DatasetError(f"sample {self.sample.id!r}: the object has no pixel to click")

    def score(self, rules: Rules) -> None:
        self.ious.append(iou(self.scene.truth, self.mask(rules.threshold), self.scene.ignore))
        enough = 1.0 if rules.stop_at is None else min(rules.stop_at, 1.0)
        self.finished = self.ious[-1] >= enough or len(self.ious) == rules.max_clicks

    def record(self, max_clicks: int) -> Record:
        ious = self.ious + self.ious[-1:] * (max_clicks - len(self.ious))
        return Record(self.sample.id, tuple(ious), tuple(self.clicks), self.seconds)


def _play(predictor: Predicts, samples: Sequence[Sample], rules: Rules) -> Iterator[Record]:
    """Play objects in lock-step: one click each, one batch through the network; a finished one makes room."""
    waiting, games = iter(samples), list[_Game]()
    with ThreadPoolExecutor(rules.workers) as pool:
        while True:
            games += pool.map(lambda s: _begin(s, rules), islice(waiting, rules.batch - len(games)))
            if not games:
                return
            started = time.perf_counter()
            list(pool.map(lambda game: game.click(rules), games))
            playing = [game for game in games if not game.finished]
            requests = [Request(game.scene.image, tuple(game.clicks), game.map) for game in playing]
            answers = predictor.predict_many(requests) if requests else []
            for game, answer in zip(playing, answers, strict=True):
                game.map = answer
            list(pool.map(lambda game: game.score(rules), playing))
            share = (time.perf_counter() - started) / len(games)
            for game in games:
                game.seconds += share
            over = [game for game in games if game.finished]
            yield from (game.record(rules.max_clicks) for game in over)
            games = [game for game in games if game not in over]


def _begin(sample: Sample, rules: Rules) -> _Game:
    rng = np.random.default_rng((rules.seed, zlib.crc32(os.fsencode(sample.id))))
    return _Game(sample, sample.load(), rng)

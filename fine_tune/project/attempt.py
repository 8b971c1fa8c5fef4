"""One attempt at a better version of a project's model: train, choose, judge, publish."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from torch import nn

from fine_tune.data.project_samples import Samples
from fine_tune.project import phases
from fine_tune.project.job_state import JobState
from fine_tune.project.judging import gate, picture
from fine_tune.project.judging.clicking import Clicking
from fine_tune.project.judging.gate import Measured, Verdict
from fine_tune.project.models import Lineage, Model
from fine_tune.project.outcome import OVERTAKEN, Outcome, picture_of
from fine_tune.project.phases import Timeline
from fine_tune.project.setup import Setup
from fine_tune.proposals.learning import LearnedHead, Models, learn
from fine_tune.training import fine_tuner
from fine_tune.training.recipe import Progress, Recipe
from model.errors import ClickmaskError
from model.evaluation.evaluate import CLICKERS
from model.evaluation.report import Record
from model.inference.domain import Domain
from model.proposals.trained import CARD_KEY, make_looker
from model.scene import Sample
from model.versions.registry import Version

logger = logging.getLogger(__name__)

# Of weight interpolation (WiSE-FT), tried in turn until the retention set is answered.
ALPHAS = (0.75, 0.5, 0.25)
ALL_THE_WAY = 1.0  # is tried before them where the base model is ignorant of the project's images
KNOWN = 16  # training objects on which that is found out


class Refused(ClickmaskError, RuntimeError):
    """No version is made; the message says why."""


class Attempt:
    """Train a version from samples, teach it to propose, and publish it.

    Args:
        line: the project's, in the registry.
        samples: what the project teaches, with at least one object to train on.
        setup: see there.
        timeline: told about every step.
        state: of the job.
        force: serve the version whatever the gate says of it.
    """

    def __init__(
        self,
        line: str,
        samples: Samples,
        setup: Setup,
        timeline: Timeline,
        state: JobState,
        force: bool = False,
    ) -> None:
        self.line, self.samples, self.setup, self.force = line, samples, setup, force
        self.metrics: dict[str, Any] = {}
        self._timeline, self._state = timeline, state
        self._lineage = Lineage.load(setup.registry, line, samples.problems.append)
        self._served: Version | None = setup.registry.current(line)
        records = setup.folder("records", f"{line}.jsonl")
        self._clicking = Clicking(setup.device, setup.precision, setup.threads, records, timeline.pulse)
        self._judged = samples.judged(setup.limits.objects)
        self._steps = self._chosen_by = 0  # training steps, and clicks made before judging began

    def run(self) -> Outcome:
        """Train, choose, judge, learn to propose, and publish.

        Raises:
            Refused: no version is made.
            OSError: the version cannot be written (disk full); nothing has changed.
        """
        tuned = self._train()
        candidate = self._choose(tuned)
        verdict = self._judge(candidate)
        wins = verdict.promoted or self.force
        head = self._learn_to_propose(candidate if wins else self._lineage.parent)
        return self._publish(candidate, verdict, head)

    def _train(self) -> nn.Module:
        """Tune the parent on the train part, or take what a killed job has tuned."""
        parent, effort = self._lineage.parent, self.setup.effort
        recipe = self._recipe()
        self._timeline.expect(phases.TRAIN, recipe.steps or 0)
        self._timeline.begin(phases.TRAIN)
        network = deepcopy(parent.network)
        done = self._state.load_tuned(network)
        if done is None:
            done = {"steps": 0, "planned_steps": recipe.steps, "samples": 0, "seconds": 0.0}

            def on_step(progress: Progress) -> None:
                self._steps += 1
                done.update(steps=progress.step, samples=progress.step * recipe.batch * effort.devices)
                done.update(seconds=round(progress.seconds, 1))
                facts = {"step": progress.step, "steps": recipe.steps, "loss": round(progress.loss, 4)}
                self._timeline.at(progress.share, **facts)

            scenes = fine_tuner.with_rehearsal(self.samples.draw, self.setup.replay, effort.rehearsal)
            try:
                network = fine_tuner.tune(
                    network,
                    self._lineage.anchor.network,
                    scenes,
                    recipe,
                    effort,
                    on_step,
                    self._state.training,
                )
            except FloatingPointError as error:
                raise Refused(f"training failed: {error}") from error
            self._state.save_tuned(network, done)
        self.metrics["training"] = done
        return network

    def _recipe(self) -> Recipe:
        parent, objects = self._lineage.parent, self.samples.count()["train_objects"]
        encoding = parent.card["encoding"]["name"], parent.card["encoding"]["radius"]
        return self.setup.effort.recipe(objects, parent.card["size"], parent.network, encoding)

    def _choose(self, tuned: nn.Module) -> Model:
        """Interpolate between the anchor and the tuned network as far as the retention set allows.

        Objects that the gate judges on have no say in it, so that the verdict is not too good.
        """
        self._timeline.begin(phases.CHOOSE)
        ignorant = self._is_ignorant()
        card = self._lineage.card(self._facts())
        domain = Domain.from_json(card["domain"])
        covered = [sample for sample in self.setup.retention_set if domain.covers(sample.load().image)]
        retention: dict[str, Any] = {"objects": len(self.setup.retention_set), "covered": len(covered)}
        self.metrics["general"] = retention
        before = self._measure(self._lineage.base, covered) if covered else None
        for alpha in (ALL_THE_WAY, *ALPHAS) if ignorant else ALPHAS:
            candidate = self._lineage.candidate(tuned, alpha, card)
            self.metrics["share"] = alpha
            if before is None:  # the base model answers for all of them, as it did
                return candidate
            after = self._measure(candidate, covered)
            retention |= {"before": before.as_json(), "after": after.as_json()}
            if gate.retains(before, after, self.setup.limits):
                return candidate
        raise Refused("the tuned model forgets the general case, even close to the base model")

    def _is_ignorant(self) -> bool:
        """Tell whether the base model knows nothing of images like the project's.

        It has never seen those that the project trains on, so that they tell it.
        """
        known = self.samples.known(KNOWN)
        self._timeline.expect(phases.CHOOSE, len(known) * gate.EARLY)
        clickers = CLICKERS[:1]
        measured = self._clicking.measure(
            self._lineage.base, known, gate.EARLY, self._counter(len(known)), clickers
        )
        self.metrics["base_iou_at_3"] = round(measured.early, 4)
        return measured.early < self.setup.limits.ignorant

    def _judge(self, candidate: Model) -> Verdict:
        """Compare parent and candidate on the held-out part, as many objects of it as the verdict needs."""
        limits, judged = self.setup.limits, self._judged
        if not judged:
            self._timeline.skip(phases.JUDGE)
            return Verdict(False, gate.too_few(0, 0, limits), 0, 0)
        self._timeline.begin(phases.JUDGE)
        self._chosen_by = self._clicking.made
        on_record = self._counter(2 * len(judged) * len(CLICKERS))
        for look in gate.looks(len(judged), limits):
            part = judged[: look.objects]
            before = self._measure(self._lineage.parent, part, on_record)
            after = self._measure(candidate, part, on_record)
            verdict = gate.judge(before, after, limits, look)
            if verdict is not None:
                break
        assert verdict is not None, "the last look has a verdict"
        self._before, self._after = before, after
        self.metrics |= {"before": before.as_json(), "after": after.as_json()}
        return verdict

    def _learn_to_propose(self, model: Model) -> LearnedHead:
        """Train a head for the model that is going to be served, whichever that is."""
        train, held_out = self.samples.train, self.samples.held_out
        self._timeline.expect(phases.PROPOSE, len(train) + len(held_out))
        self._timeline.begin(phases.PROPOSE)
        loaded, clicking = (model.network, model.card), self._clicking
        models = Models(loaded, make_looker(loaded, clicking.engine), clicking.predictor(model))
        head = learn(models, train, held_out, clicking.lanes, self._timeline.at)
        if head.offered and "domain" not in model.card:
            return replace(head, facts={**head.facts, "domain": self.samples.domain().as_json()})
        return head

    def _publish(self, candidate: Model, verdict: Verdict, head: LearnedHead) -> Outcome:
        """Write the version, and promote it if the verdict says so and no other one was chosen meanwhile.

        Where it is kept back, a head that passed its own gate is served with the weights that are served now.
        """
        self._timeline.begin(phases.PUBLISH)
        registry, wins = self.setup.registry, verdict.promoted or self.force
        self.metrics |= {"gate": verdict.as_json(), "clicks": self._clicking.made}
        self.metrics["seconds"] = self._timeline.seconds()
        card = {**candidate.card, "metrics": {**self.metrics}}
        version = self._write(candidate, card, head if wins else None)
        self._draw(version, candidate, verdict)
        best: Version | None = version
        if not wins:
            best = self._write(self._lineage.parent, self._as_served(), head) if head.offered else None
        self.metrics[CARD_KEY] = {**head.facts, "version": best.name if best else ""}
        registry.refresh(self.line)
        overtaken = registry.current(self.line) != self._served
        outcome = self._outcome_of(version, verdict, wins, overtaken)
        self._state.save_outcome(outcome)
        if best is not None and not overtaken:
            registry.promote(best)
        self._state.save_outcome(outcome, settled=True)  # what a person serves from now on stays
        gone = registry.prune(self.line, self.setup.keep)
        if self.setup.home is not None:
            for old in gone:
                picture_of(self.setup.home, old.name).unlink(missing_ok=True)
        self._clicking.keep([self._lineage.base, self._lineage.parent, candidate])
        images = len(self.samples.train) + len(self.samples.held_out)
        judged = self._clicking.made - self._chosen_by
        self._timeline.close({phases.TRAIN: self._steps, phases.JUDGE: judged, phases.PROPOSE: images})
        return outcome

    def _write(self, model: Model, card: Mapping[str, Any], head: LearnedHead | None) -> Version:
        """Add a version to the project's line, with a head where there is one."""
        if head is None:
            return self.setup.registry.add(self.line, model.network, card)
        return self.setup.registry.add(
            self.line, model.network, {**card, CARD_KEY: dict(head.facts)}, head.tensors
        )

    def _as_served(self) -> dict[str, Any]:
        """Make the card of a version that has the weights of the one that is served now."""
        parent = self._lineage.parent
        own = {key: value for key, value in parent.card.items() if key not in ("created", "sha256")}
        return {**own, "parent": parent.name}

    def _outcome_of(self, version: Version, verdict: Verdict, wins: bool, overtaken: bool) -> Outcome:
        """Say what became of the version and of the proposals."""
        reason = verdict.reason + (" (forced)" if self.force and not verdict.promoted else "")
        if wins and overtaken:
            reason = f"{OVERTAKEN}; {reason}"
        reason += f"; proposals: {self.metrics[CARD_KEY]['reason']}"
        return self.outcome("promoted" if wins and not overtaken else "kept back", reason, version.name)

    def outcome(self, status: str, reason: str, version: str = "") -> Outcome:
        """Say what became of the attempt."""
        return Outcome(status, reason, version, self.samples.count(), self.metrics, self.samples.problems)

    def _draw(self, version: Version, candidate: Model, verdict: Verdict) -> None:
        if self.setup.home is None or not self._judged:
            return
        sides = [(self._lineage.parent, self._before), (candidate, self._after)]
        predictors = [(self._clicking.predictor(model), measured) for model, measured in sides]
        path = picture_of(self.setup.home, version.name)
        picture.draw(path, version.name, verdict, self._judged, *predictors)

    def _measure(
        self, model: Model, samples: Sequence[Sample], on_record: Any = lambda record: None
    ) -> Measured:
        return self._clicking.measure(model, samples, self.setup.limits.clicks, on_record)

    def _counter(self, total: int) -> Any:
        """Make a callback that reports the share of the running phase with every record.

        One that is at hand is told of again by later looks.
        """
        seen: set[int] = set()

        def on_record(record: Record) -> None:
            seen.add(id(record))
            self._timeline.at(len(seen) / total)

        return on_record

    def _facts(self) -> dict[str, Any]:
        """Collect what the card says of a version's training."""
        recipe = self._recipe()
        training = {
            **self.samples.count(),
            "images": sorted(image.name for image in self.samples.train),
            "held_out": sorted(image.name for image in self.samples.held_out),
            **{key: getattr(recipe, key) for key in ("steps", "minutes", "batch", "rate")},
            "done": self.metrics["training"],
            "accepted": self.setup.accept,
        }
        return {"domain": self.samples.domain().as_json(), "training": training}

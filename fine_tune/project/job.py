"""A fine-tuning job, from the ledger to a promoted version. Where annotations come from is not its business."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from fine_tune.data import synthetic_scenes
from fine_tune.data.project_samples import AnnotationList, Samples, Source, SourceError
from fine_tune.project import gate
from fine_tune.project.acceptance import facts
from fine_tune.project.gate import Limits, Measured, Verdict
from fine_tune.project.ledger import Ledger
from fine_tune.project.models import Lineage, Model
from fine_tune.project.outcome import Outcome
from fine_tune.training import fine_tuner
from fine_tune.training.fine_tuner import Effort
from fine_tune.training.recipe import Progress
from fine_tune.training.trainer import SceneSource
from model.engines.base import Engine
from model.engines.factory import create_engine
from model.errors import ClickmaskError
from model.scene import Sample
from model.versions.registry import Registry, Version

log = logging.getLogger(__name__)

# Of weight interpolation (WiSE-FT), tried in turn. 1.0 is tried first where that surely answers better, as on images
# that the base model knows nothing of (docs/fine-tuning.md).
ALPHAS = (0.75, 0.5, 0.25)
Report = Callable[..., None]  # report(phase, share, **facts); what it raises ends the job


class Cancelled(ClickmaskError, RuntimeError):
    """Somebody asked for the job to end."""


class Refused(ClickmaskError, RuntimeError):
    """No version is made; the message says why."""


@dataclass(frozen=True)
class Setup:
    """What jobs need.

    Attributes:
        registry, ledger: where versions and records are.
        accept: which annotations count, see `acceptance.RULES`.
        effort, limits: of training and of the gate.
        keep: versions kept per project.
        device, threads, precision: of the gate's predictors, see `create_engine`.
        replay: further scenes to train on, or None.
        retention_set: objects on which the base model's answers must not be forgotten.
    """

    registry: Registry
    ledger: Ledger
    accept: str = "submitted"
    effort: Effort = field(default_factory=Effort)
    limits: Limits = field(default_factory=Limits)
    keep: int = 5
    device: str = "auto"
    threads: int = 0
    precision: str = "auto"
    replay: SceneSource | None = None
    retention_set: Sequence[Sample] = field(default_factory=synthetic_scenes.samples)


class FineTuningJob:
    """One fine-tuning job of a project: reconcile, gather, train, choose, judge, publish.

    Args:
        project: id in Label Studio.
        source: where annotations come from.
        setup: see there.
        report: told about every step; raises `Cancelled` to end the job.
        force: train though nothing is new, and serve the result whatever the gate says of it.
    """

    def __init__(
        self, project: int, source: Source, setup: Setup, report: Report, force: bool = False
    ) -> None:
        self.project, self.source, self.setup, self.force = project, source, setup, force
        self.line = f"project-{project}"
        self._report = report
        self._metrics: dict[str, Any] = {}

    def run(self) -> Outcome:
        """Run the job.

        Raises:
            SourceError: Label Studio does not answer; nothing has changed, try again later.
            OSError: a version cannot be written (disk full); nothing has changed.
            CheckpointError: not even the base model can be loaded.
        """
        annotations, accepted = self._reconcile()
        fresh = self.setup.ledger.fresh(self.project, self.setup.accept)
        if not (self.force or fresh & accepted.keys()):
            return Outcome("skipped", "no accepted annotation is new since the last job")
        samples = self._gather(annotations, set(accepted))
        outcome = self.learn(samples)
        self.setup.ledger.mark_seen(self.project, accepted)
        return outcome

    def learn(self, samples: Samples) -> Outcome:
        """Make a version from samples, and promote it if it is better; see `run` for errors."""
        try:
            if not samples.train:
                raise Refused("there is no object to train on")
            served = self.setup.registry.current(self.line)
            lineage = Lineage.load(self.setup.registry, self.line, samples.problems.append)
            tuned = self._train(lineage, samples)
            candidate = self._choose(lineage, tuned, samples)
            verdict = self._judge(lineage.parent, candidate, samples)
            return self._publish(candidate, verdict, served, samples)
        except Refused as refusal:
            return self._outcome("refused", str(refusal), "", samples)

    def _outcome(self, status: str, reason: str, version: str, samples: Samples) -> Outcome:
        return Outcome(status, reason, version, samples.count(), self._metrics, samples.problems)

    def _reconcile(self) -> tuple[AnnotationList, dict[int, str]]:
        """Bring the ledger up to date; return the annotations, and id -> updated_at of those that count.

        An annotation that is saved while Label Studio is asked is in the ledger by its webhook, but not, or not as it
        is now, among what is trained on: it stays new.
        """
        self._report("comparing with Label Studio", 0.0)
        found: list[AnnotationList] = []

        def listing() -> AnnotationList:
            found.append(self.source.annotations())
            return found[0]

        self.setup.ledger.reconcile(self.project, listing)
        listed = {a["id"]: facts(a)["updated_at"] for a in found[0]}
        counted = self.setup.ledger.accepted(self.project, self.setup.accept)
        return found[0], {number: at for number, at in counted.items() if listed.get(number) == at}

    def _gather(self, annotations: AnnotationList, accepted: set[int]) -> Samples:
        """Fetch the images of the accepted annotations with their masks."""
        samples = Samples()
        for done, image in enumerate(annotations.images(accepted, samples.problems.append)):
            samples.add(image)
            self._report("fetching images", done / len(accepted))
        if accepted and len(samples.problems) > len(accepted) / 2:
            raise SourceError(f"most annotations cannot be read; the first one: {samples.problems[0]}")
        return samples

    def _train(self, lineage: Lineage, samples: Samples) -> nn.Module:
        """Tune the parent on the train part."""
        setup, parent = self.setup, lineage.parent
        recipe = setup.effort.recipe(samples.count()["train_objects"], parent.card["size"])
        scenes = fine_tuner.with_rehearsal(samples.draw, setup.replay, setup.effort.rehearsal)

        def on_step(progress: Progress) -> None:
            left = progress.seconds * (1 - progress.share) / max(progress.share, 1e-3)
            loss = round(progress.loss, 4)
            self._report("training", progress.share, step=progress.step, loss=loss, eta_s=round(left))

        try:
            return fine_tuner.tune(
                parent.network, lineage.anchor.network, scenes, recipe, setup.effort, on_step
            )
        except FloatingPointError as error:
            raise Refused(f"training failed: {error}") from error

    def _choose(self, lineage: Lineage, tuned: nn.Module, samples: Samples) -> Model:
        """Move the tuned network towards the anchor as far as the retention set demands."""
        card = lineage.card(self._facts(lineage, samples))
        far = self._goes_all_the_way(lineage, tuned, samples)
        retention = self.setup.retention_set
        on_object = self._counter("judging on the general set", 2 * len(retention))
        before = self._measure(lineage.base, retention, on_object)
        figures: dict[str, Any] = {"before": before.as_json()}
        self._metrics["general"] = figures
        for alpha in (1.0, *ALPHAS) if far else ALPHAS:
            candidate = lineage.candidate(tuned, alpha, card)
            after = self._measure(candidate, retention, on_object)
            figures["after"], self._metrics["share"] = after.as_json(), alpha
            if gate.retains(before, after, self.setup.limits):
                return candidate
        raise Refused("the tuned model forgets the general case, even close to the base model")

    def _goes_all_the_way(self, lineage: Lineage, tuned: nn.Module, samples: Samples) -> bool:
        """Tell whether the tuned weights alone surely answer a few clicks better than the first of ALPHAS."""
        judged = samples.judged(self.setup.limits.objects)
        if len(judged) < self.setup.limits.few:
            return False
        on_object = self._counter("choosing how far to go", 2 * len(judged))
        near, far = (
            self._measure(lineage.candidate(tuned, alpha, lineage.parent.card), judged, on_object, gate.EARLY)
            for alpha in (ALPHAS[0], 1.0)
        )
        return gate.surely_earlier(near, far)

    def _judge(self, parent: Model, candidate: Model, samples: Samples) -> Verdict:
        """Compare parent and candidate on the held-out part."""
        limits = self.setup.limits
        judged = samples.judged(limits.objects)
        if not judged:
            return Verdict(False, gate.too_few(0, 0, limits), 0, 0)
        on_object = self._counter("judging on held-out images", 2 * len(judged))
        before = self._measure(parent, judged, on_object)
        after = self._measure(candidate, judged, on_object)
        self._metrics |= {"before": before.as_json(), "after": after.as_json()}
        return gate.judge(before, after, limits)

    def _publish(
        self, candidate: Model, verdict: Verdict, served: Version | None, samples: Samples
    ) -> Outcome:
        """Write the version, and promote it if the verdict says so and no other one was chosen meanwhile."""
        self._report("writing the version", 1.0)
        registry = self.setup.registry
        self._metrics["gate"] = verdict.as_json()
        version = registry.add(self.line, candidate.network, {**candidate.card, "metrics": self._metrics})
        registry.refresh(self.line)
        wanted, overtaken = verdict.promoted or self.force, registry.current(self.line) != served
        if wanted and not overtaken:
            registry.promote(version)
        registry.prune(self.line, self.setup.keep)
        reason = verdict.reason + (" (forced)" if self.force and not verdict.promoted else "")
        if wanted and overtaken:
            reason = (
                f"another version was chosen while this one was trained, and not compared with it; {reason}"
            )
        status = "promoted" if wanted and not overtaken else "kept back"
        return self._outcome(status, reason, version.name, samples)

    def _measure(
        self,
        model: Model,
        samples: Sequence[Sample],
        on_object: Callable[[], None],
        clicks: int | None = None,
    ) -> Measured:
        setup = self.setup

        def engine(network: nn.Module, size: int) -> Engine:
            how = (setup.device, None, setup.threads, setup.precision)
            return create_engine(network, size, *how, graphs=False)  # they live for one measurement

        return gate.measure(model.predictor(engine), samples, clicks or setup.limits.clicks, on_object)

    def _counter(self, phase: str, objects: int) -> Callable[[], None]:
        """Make a callback that reports a phase's share with every object that an annotator has clicked."""
        total, done = objects * len(gate.CLICKERS), 0

        def on_object() -> None:
            nonlocal done
            done += 1
            self._report(phase, min(done / total, 1.0))

        return on_object

    def _facts(self, lineage: Lineage, samples: Samples) -> dict[str, Any]:
        """What the card says of a version's training."""
        recipe = self.setup.effort.recipe(samples.count()["train_objects"], lineage.parent.card["size"])
        training = {
            **samples.count(),
            "images": sorted(image.name for image in samples.train),
            "held_out": sorted(image.name for image in samples.held_out),
            **{key: getattr(recipe, key) for key in ("steps", "minutes", "batch", "rate")},
            "accepted": self.setup.accept,
        }
        return {"domain": samples.domain().as_json(), "training": training}

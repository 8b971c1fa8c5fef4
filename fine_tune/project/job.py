"""A fine-tuning job, from the ledger to a promoted version. Where annotations come from is not its business."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from fine_tune.data.project_samples import AnnotationList, Samples, Source, SourceError, held_out_share
from fine_tune.project import phases
from fine_tune.project.acceptance import facts
from fine_tune.project.attempt import Attempt, Refused
from fine_tune.project.job_state import JobState
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import OVERTAKEN, Outcome
from fine_tune.project.phases import Report, Timeline
from fine_tune.project.setup import Setup
from model.errors import ClickmaskError
from model.proposals.trained import CARD_KEY
from model.versions.checkpoint import CheckpointError, read_card
from model.versions.registry import RegistryError

CLICKS_EACH = 28  # by two annotators with two models on an object, for the first estimate of the time


class Cancelled(ClickmaskError, RuntimeError):
    """Somebody asked for the job to end."""


class FineTuningJob:
    """One fine-tuning job of a project: reconcile, gather, then an attempt: train, choose, judge, publish.

    A job that was killed goes on where it was when it is run again on this machine.

    Args:
        project: id in Label Studio.
        source: where annotations come from.
        ledger: which annotations there are, and which are new.
        setup: see there.
        report: told about every step, see `Timeline`; raises `Cancelled` to end the job.
        force: train though nothing is new, and serve the result whatever the gate says of it.
    """

    def __init__(
        self,
        project: int,
        source: Source,
        ledger: Ledger,
        setup: Setup,
        report: Report,
        force: bool = False,
    ) -> None:
        self.project, self.line, self.force = project, f"project-{project}", force
        self._source, self._ledger, self._setup = source, ledger, setup
        self._state = JobState(setup.folder("jobs", self.line))
        self._timeline = Timeline(report, setup.folder("jobs", "pace.json"))

    def run(self) -> Outcome:
        """Run the job.

        Raises:
            SourceError: Label Studio does not answer; nothing has changed, try again later.
            OSError: a version cannot be written (disk full); nothing has changed.
            CheckpointError: not even the base model can be loaded.
        """
        try:
            outcome = self._finish() or self._run()
        except Cancelled:
            self._state.clear()
            raise
        self._state.clear()
        return outcome

    def _run(self) -> Outcome:
        annotations, accepted, tasks = self._reconcile()
        fresh = self._ledger.fresh(self.project, self._setup.accept)
        if not (self.force or fresh & accepted.keys()):
            return Outcome("skipped", "no accepted annotation is new since the last job")
        accepted, began = self._state.begin(self._start(), accepted, tasks, self.force)
        # By what the job began with: of fewer a larger share is held out, which may have been trained on.
        samples = self._gather(annotations, set(accepted), held_out_share(began))
        outcome = self._attempt(samples)
        self._ledger.mark_seen(self.project, accepted)
        return outcome

    def _finish(self) -> Outcome | None:
        """End a job that was killed after it had made its version; None where there is no such job."""
        found = self._state.finished(self.force)
        if found is None:
            return None
        outcome, accepted, served, settled = found
        if not settled:
            try:
                outcome = self._serve(outcome, served)
            except RegistryError:
                return None
        self._ledger.mark_seen(self.project, accepted)
        return outcome

    def _serve(self, outcome: Outcome, served: str | None) -> Outcome:
        """Serve what a killed job made, unless another version than when it began is served; return the outcome.

        Raises:
            RegistryError: its version is gone.
        """
        registry = self._setup.registry
        current = registry.current(self.line)
        promoted = outcome.status == "promoted"
        wanted = outcome.version if promoted else outcome.metrics.get(CARD_KEY, {}).get("version")
        version = registry.find(wanted or outcome.version)
        if wanted and current != version:
            if (current.name if current else None) == served:
                registry.promote(version)
            elif promoted:
                reason = f"{OVERTAKEN}; {outcome.reason}"
                outcome = dataclasses.replace(outcome, status="kept back", reason=reason)
        return outcome

    def _start(self) -> dict[str, Any]:
        """Tell what the job begins with; a killed job that began with something else is not gone on with."""
        registry, setup = self._setup.registry, self._setup
        current = registry.current(self.line)
        return {
            "base": registry.ensure_base().name,
            "served": current.name if current else None,
            "effort": dataclasses.asdict(setup.effort),
            "accept": setup.accept,
        }

    def _reconcile(self) -> tuple[AnnotationList, dict[int, str], int]:
        """Bring the ledger up to date; return the annotations, id -> updated_at of those that count, and their tasks.

        An annotation that is saved while Label Studio is asked is in the ledger by its webhook, but not, or not as it
        is now, among what is trained on: it stays new.
        """
        self._expect(len(self._ledger.accepted(self.project, self._setup.accept)))
        self._timeline.begin(phases.COMPARE)
        found, listed = list[AnnotationList](), dict[int, dict[str, Any]]()

        def listing() -> Iterator[Mapping[str, Any]]:
            found.append(self._source.annotations())
            for annotation in found[0]:  # once: Label Studio sends all masks with them
                listed[annotation["id"]] = facts(annotation)
                yield annotation

        self._ledger.reconcile(self.project, listing)
        counted = self._ledger.accepted(self.project, self._setup.accept)
        counted = {n: at for n, at in counted.items() if n in listed and listed[n]["updated_at"] == at}
        return found[0], counted, len({listed[number]["task"] for number in counted})

    def _expect(self, annotations: int) -> None:
        """Estimate the work before anything is read."""
        objects = min(annotations / 5, self._setup.limits.objects)
        self._timeline.expect(phases.FETCH, annotations)
        self._timeline.expect(phases.TRAIN, self._setup.effort.recipe(annotations, 32).steps or 0)
        self._timeline.expect(phases.CHOOSE, 2 * CLICKS_EACH)
        self._timeline.expect(phases.JUDGE, CLICKS_EACH * objects)
        self._timeline.expect(phases.PROPOSE, annotations)

    def _gather(self, annotations: AnnotationList, accepted: set[int], share: float) -> Samples:
        """Fetch the images of the accepted annotations with their masks; a share of them is held out.

        Raises:
            SourceError: more images failed than were read: what keeps them away may pass, and nothing is learned.
        """
        self._timeline.expect(phases.FETCH, len(accepted))
        self._timeline.begin(phases.FETCH)
        samples, failed, read = Samples(share, self._trained_on()), list[str](), 0
        for read, image in enumerate(annotations.images(accepted, failed.append), 1):
            samples.add(image)
            self._timeline.at(read / len(accepted))
        if len(failed) > read:
            raise SourceError(f"most images cannot be read; the first one: {failed[0]}")
        samples.problems[:0] = [*samples.odd(), *failed]
        return samples

    def _trained_on(self) -> frozenset[str]:
        """Name the images that the served version has learned from, as far as its card can be read."""
        registry = self._setup.registry
        try:
            card = read_card((registry.current(self.line) or registry.ensure_base()).path)
        except CheckpointError:  # then training starts from another version
            return frozenset()
        training = card.get("training")
        images = training.get("images") if isinstance(training, dict) else None
        return frozenset(map(str, images)) if isinstance(images, list) else frozenset()

    def _attempt(self, samples: Samples) -> Outcome:
        """Make a version from the samples, and promote it if it is better."""
        counts, problems = samples.count(), samples.problems
        if not samples.train:
            why = (
                ["all images are held out to judge by: annotate others, too"]
                if samples.held_out
                else problems[:1]
            )
            reason = "; ".join(["there is no object to train on", *why])
            return Outcome("refused", reason, "", counts, {}, problems)
        held_out = min(counts["held_out_objects"], self._setup.limits.objects)
        self._timeline.expect(phases.JUDGE, CLICKS_EACH * held_out)
        attempt = Attempt(self.line, samples, self._setup, self._timeline, self._state, self.force)
        try:
            return attempt.run()
        except Refused as refusal:
            return attempt.outcome("refused", str(refusal))

"""One fine-tuning job, from the ledger to a promoted version. Where annotations come from is not its business."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from fine_tune.data import synthetic_scenes
from fine_tune.data.project_samples import Samples, Source, SourceError
from fine_tune.project import gate
from fine_tune.project.acceptance import facts
from fine_tune.project.gate import Limits, Measured, Verdict
from fine_tune.project.ledger import Ledger
from fine_tune.project.outcome import Outcome
from fine_tune.training import fine_tuner
from fine_tune.training.fine_tuner import Effort
from fine_tune.training.recipe import Progress
from fine_tune.training.trainer import SceneSource
from model.engines.base import Engine
from model.engines.factory import create_engine
from model.errors import ClickmaskError
from model.scene import Sample
from model.versions import checkpoint
from model.versions.assemble import Loaded, assemble
from model.versions.checkpoint import LOOKS, CheckpointError
from model.versions.registry import Registry, Version

log = logging.getLogger(__name__)

# Of the way from the base model to the tuned one, tried in turn. All of it is tried first where that surely answers
# better, as on images that the base model knows nothing of (docs/fine-fine_tuner.md).
ALPHAS = (0.75, 0.5, 0.25)
Report = Callable[..., None]  # report(phase, share, **facts); what it raises ends the job


class Cancelled(ClickmaskError, RuntimeError):
    """Somebody asked for the job to end."""


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
        general: the fixed general set.
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
    general: Sequence[Sample] = field(default_factory=synthetic_scenes.samples)


@dataclass(frozen=True)
class Model:
    """A version, loaded; `general` answers for images that are not of its domain, see `model.inference.routing`."""

    version: Version
    network: nn.Module
    card: dict[str, Any]
    general: Loaded | None = None


def fine_tune(project: int, source: Source, setup: Setup, report: Report, force: bool = False) -> Outcome:
    """Run one job.

    Args:
        report: told about every step; raises `Cancelled` to end the job.
        force: train though nothing is new, and serve the result whatever the gate says of it.

    Raises:
        SourceError: Label Studio does not answer; nothing has changed, try again later.
        OSError: a version cannot be written (disk full); nothing has changed.
        CheckpointError: not even the base model can be loaded.
    """
    report("comparing with Label Studio", 0.0)
    accepted = _accepted(project, source, setup)
    if not (force or setup.ledger.fresh(project, setup.accept) & accepted.keys()):
        return Outcome("skipped", "no accepted annotation is new since the last job")
    samples = _gather(source, set(accepted), report)
    if samples.train:
        outcome = _attempt(project, samples, setup, report, force)
    else:
        outcome = Outcome(
            "refused", "there is no object to train on", "", samples.count(), {}, samples.problems
        )
    setup.ledger.mark_seen(project, accepted)
    return outcome


def _accepted(project: int, source: Source, setup: Setup) -> dict[int, str]:
    """Bring the ledger up to date, and return id -> updated_at of what counts, as the source has it at hand.

    An annotation that is saved while Label Studio is asked is in the ledger by its webhook, but not, or not as it is
    now, among what is trained on: it stays new.
    """
    listed: dict[int, str] = {}

    def listing() -> list[Mapping[str, Any]]:
        found = source.annotations()
        listed.update({a["id"]: facts(a)["updated_at"] for a in found})
        return found

    setup.ledger.reconcile(project, listing)
    counted = setup.ledger.accepted(project, setup.accept)
    return {number: updated for number, updated in counted.items() if listed.get(number) == updated}


def _gather(source: Source, accepted: set[int], report: Report) -> Samples:
    samples = Samples()
    for done, example in enumerate(source.examples(accepted, samples.problems.append)):
        samples.add(example)
        report("fetching images", done / len(accepted))
    if accepted and len(samples.problems) > len(accepted) / 2:
        raise SourceError(f"most annotations cannot be read; the first one: {samples.problems[0]}")
    return samples


def _attempt(project: int, samples: Samples, setup: Setup, report: Report, force: bool) -> Outcome:
    line, counts = f"project-{project}", samples.count()
    served = setup.registry.current(line)
    base, parent = _models(setup.registry, line, samples.problems)
    try:
        tuned = _train(base, parent, samples, setup, report)
    except FloatingPointError as error:
        return Outcome("refused", f"training failed: {error}", "", counts, {}, samples.problems)
    card = _card(base, parent, setup, samples)
    network, metrics = _candidate(base, parent, tuned, card, samples, setup, report)
    if network is None:
        reason = "the tuned model forgets the general case, even close to the base model"
        return Outcome("refused", reason, "", counts, metrics, samples.problems)
    candidate = dataclasses.replace(parent, network=network, card=card, general=(base.network, base.card))
    verdict, figures = _judge(parent, candidate, samples, setup, report)
    metrics |= {**figures, "gate": verdict.as_json()}
    report("writing the version", 1.0)
    version = setup.registry.add(line, network, {**card, "metrics": metrics})
    setup.registry.refresh(line)
    wanted, overtaken = verdict.promoted or force, setup.registry.current(line) != served
    if wanted and not overtaken:
        setup.registry.promote(version)
    setup.registry.prune(line, setup.keep)
    status = "promoted" if wanted and not overtaken else "kept back"
    reason = verdict.reason + (" (forced)" if force and not verdict.promoted else "")
    if wanted and overtaken:
        reason = f"another version was chosen while this one was trained, and not compared with it; {reason}"
    return Outcome(status, reason, version.name, counts, metrics, samples.problems)


def _models(registry: Registry, line: str, problems: list[str]) -> tuple[Model, Model]:
    """The base model and the one that the project is served with; a damaged one of its own is passed over."""
    version = registry.ensure_base()
    base = Model(version, *checkpoint.load(version.path))
    current = registry.current(line)
    if current is None:
        return base, base
    try:
        network, card = checkpoint.load(current.path)
        found = registry.fallback(card)
        return base, Model(current, network, card, checkpoint.load(found.path) if found else None)
    except CheckpointError as error:
        problems.append(f"{current.name} is passed over, training starts from {version.name}: {error}")
        return base, base


def _train(base: Model, parent: Model, samples: Samples, setup: Setup, report: Report) -> nn.Module:
    recipe = setup.effort.recipe(samples.count()["train_objects"], parent.card["size"])
    anchor = base.network if _alike(base, parent) else parent.network

    def on_step(progress: Progress) -> None:
        left = progress.seconds * (1 - progress.share) / max(progress.share, 1e-3)
        report(
            "training", progress.share, step=progress.step, loss=round(progress.loss, 4), eta_s=round(left)
        )

    scenes = fine_tuner.blended(samples.draw, setup.replay, setup.effort.rehearsal)
    return fine_tuner.tune(parent.network, anchor, scenes, recipe, setup.effort, on_step)


def _candidate(
    base: Model,
    parent: Model,
    tuned: nn.Module,
    card: dict[str, Any],
    samples: Samples,
    setup: Setup,
    report: Report,
) -> tuple[nn.Module | None, dict[str, Any]]:
    """The tuned network, moved towards the base as far as the general set demands, None where that is in vain;
    and the figures."""
    anchor = base if _alike(base, parent) else parent

    def candidate(share: float) -> Model:
        network = fine_tuner.interpolate_weights(anchor.network, tuned, share)
        return dataclasses.replace(parent, network=network, card=card, general=(base.network, base.card))

    far = _goes_all_the_way(candidate, samples, setup, report)
    total, done = len(setup.general) * len(gate.CLICKERS), 0

    def on_object() -> None:
        nonlocal done
        done += 1
        report("judging on the general set", min(done / (2 * total), 1.0))

    before = _measure(base, setup.general, setup, on_object)
    figures: dict[str, Any] = {"general": {"before": before.as_json()}}
    for share in (1.0, *ALPHAS) if far else ALPHAS:
        mixed = candidate(share)
        after = _measure(mixed, setup.general, setup, on_object)
        figures["general"]["after"], figures["share"] = after.as_json(), share
        if gate.keeps_general(before, after, setup.limits):
            return mixed.network, figures
    return None, figures


def _goes_all_the_way(
    candidate: Callable[[float], Model], samples: Samples, setup: Setup, report: Report
) -> bool:
    """Whether all of the way to the tuned weights surely answers a few clicks better than the first of ALPHAS."""
    judged = samples.judged(setup.limits.objects)
    if len(judged) < setup.limits.few:
        return False
    total, done = 2 * len(judged) * len(gate.CLICKERS), 0

    def on_object() -> None:
        nonlocal done
        done += 1
        report("choosing how far to go", done / total)

    few = dataclasses.replace(setup, limits=dataclasses.replace(setup.limits, clicks=gate.EARLY))
    near, far = (_measure(candidate(share), judged, few, on_object) for share in (ALPHAS[0], 1.0))
    return gate.surely_earlier(near, far)


def _judge(
    parent: Model, candidate: Model, samples: Samples, setup: Setup, report: Report
) -> tuple[Verdict, dict[str, Any]]:
    judged = samples.judged(setup.limits.objects)
    if not judged:
        return Verdict(False, gate.too_few(0, 0, setup.limits), 0, 0), {}
    total, done = 2 * len(judged) * len(gate.CLICKERS), 0

    def on_object() -> None:
        nonlocal done
        done += 1
        report("judging on held-out images", done / total)

    before = _measure(parent, judged, setup, on_object)
    after = _measure(candidate, judged, setup, on_object)
    return gate.judge(before, after, setup.limits), {"before": before.as_json(), "after": after.as_json()}


def _measure(
    model: Model, samples: Sequence[Sample], setup: Setup, on_object: Callable[[], None]
) -> Measured:
    def engine(network: nn.Module, size: int) -> Engine:
        return create_engine(network, size, setup.device, None, setup.threads, setup.precision)

    predictor = assemble((model.network, model.card), model.general, engine)
    return gate.measure(predictor, samples, setup.limits.clicks, on_object)


def _alike(one: Model, other: Model) -> bool:
    return one.card["architecture"] == other.card["architecture"]


def _card(base: Model, parent: Model, setup: Setup, samples: Samples) -> dict[str, Any]:
    recipe = setup.effort.recipe(samples.count()["train_objects"], parent.card["size"])
    keys = ("architecture", "encoding", "size", *LOOKS)
    described = {key: parent.card[key] for key in keys if key in parent.card}
    return {
        **described,
        "parent": parent.version.name,
        "general": base.version.name,
        "domain": samples.domain().as_json(),
        "training": {
            **samples.count(),
            "images": sorted(kept.digest for kept in samples.train),
            "held_out": sorted(kept.digest for kept in samples.held_out),
            "steps": recipe.steps,
            "minutes": recipe.minutes,
            "batch": recipe.batch,
            "rate": recipe.rate,
            "accepted": setup.accept,
        },
    }

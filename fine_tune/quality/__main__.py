"""`python -m fine_tune.quality simulate | train | report`: makes the shipped quality model and its report."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.progress import track

from fine_tune.data import bundle
from fine_tune.quality import annotators, dataset, network
from model.engines.factory import DEVICES, create_engine
from model.inference.predictor import Predictor
from model.versions import checkpoint
from model.versions.assemble import assemble

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group()
def main() -> None:
    """Predicted quality of annotations: simulate annotators, train the predictor, report."""


@main.command()
@click.argument("out", type=FILE)
@click.option("--model", "weights", type=FOLDER, required=True, help="Folder of a click model's weights.")
@click.option(
    "--bundle", "archive", type=FILE, help="Objects of a training bundle (`clickmask train --bundle`)."
)
@click.option("--folder", "folders", type=FOLDER, multiple=True, help="All objects of an evaluation set.")
@click.option("--kinds", type=click.Choice(["seen", "unseen"]), default="seen", show_default=True)
@click.option("--proposed", is_flag=True, help="Begin with proposals; those that nobody clicks are left out.")
@click.option("--count", default=1500, show_default=True, help="Objects.")
@click.option("--seed", default=0, show_default=True)
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
def simulate(
    out: Path, weights: Path, archive: Path | None, folders: tuple[Path, ...], **options: Any
) -> None:
    """Annotate objects with simulated annotators and the click model; append to OUT as they are done."""
    if (archive is None) == (not folders):
        raise click.UsageError("give either --bundle or --folder")
    torch.set_num_threads(1)
    count, seed = options["count"], options["seed"]
    if archive is not None:
        source = dataset.draw_subjects(bundle.read(archive), np.random.default_rng(seed))
    else:
        source = itertools.cycle(itertools.chain.from_iterable(map(dataset.read_subjects, folders)))
    kinds = annotators.SEEN if options["kinds"] == "seen" else annotators.UNSEEN
    predictor = _predictor(weights, options["device"])
    subjects = itertools.islice(source, count)
    records = dataset.simulate(subjects, kinds, predictor, seed, options["proposed"])
    with out.open("a") as file:
        for record in track(records, total=count, description="annotating"):
            file.write(record.to_json() + "\n")
            file.flush()


def _predictor(weights: Path, device: str) -> Predictor:
    loaded = checkpoint.load(weights)
    return assemble(loaded, None, lambda network, size: create_engine(network, size, device, threads=1))


@main.command()
@click.argument("records", type=FILE)
@click.option("--out", type=FILE, default=network.WEIGHTS, show_default=False)
@click.option("--clicks-from", required=True, help="Name of the click model the annotations were made with.")
@click.option("--members", default=4, show_default=True)
@click.option("--epochs", default=25, show_default=True)
def train(records: Path, out: Path, clicks_from: str, members: int, epochs: int) -> None:
    """Fit the predictor to RECORDS, a file that `simulate` made, and write it."""
    from fine_tune.quality import report, training  # they need scikit-learn, which `simulate` does without

    torch.set_num_threads(1)
    known = dataset.read_records(records)
    model = training.fit(known, members, epochs)
    model.save(
        out,
        {
            "trained on": report.composition(known),
            "click model": clicks_from,
            "members": members,
            "epochs": epochs,
        },
    )
    click.echo(f"{out}: {report.composition(known)}")


@main.command("report")
@click.argument("trained", type=FILE)
@click.argument("tested", type=FILE, nargs=-1, required=True)
@click.option("--weights", type=FILE, default=network.WEIGHTS, show_default=False)
@click.option("--picture", type=FILE, default=Path("docs/quality.png"), show_default=True)
def report_command(trained: Path, tested: tuple[Path, ...], weights: Path, picture: Path) -> None:
    """Print the tables for every TESTED file (baselines learn from TRAINED) and draw the curves."""
    from fine_tune.quality import report

    torch.set_num_threads(1)
    model, known, parts = network.QualityModel.load(weights), dataset.read_records(trained), {}
    click.echo(
        f"Click model: {network.card(weights)['click model']}\n\nTrained on {report.composition(known)}."
    )
    for path in tested:
        test = dataset.read_records(path)
        scores = report.score_all(model, known, test)
        parts[path.stem] = (test, scores)
        rows, ahead = report.bootstrap(test, scores)
        click.echo(f"\n### {path.stem}\n\n{report.composition(test)}.\n\n{report.table(rows)}\n")
        click.echo(f"{report.OURS} minus each:\n\n{report.table(ahead)}\n")
        click.echo(report.by_kind(test, scores[report.OURS]))
    report.draw(parts, picture)


if __name__ == "__main__":
    main()

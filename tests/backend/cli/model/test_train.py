"""`clickmask train`, run as a user would on a set of a few images."""

import csv
import json
import zipfile
from functools import partial

import pytest
import torch
from click.testing import CliRunner

from backend.cli import main
from backend.cli.model.first_weights import ENCODING
from fine_tune.training import inheritance
from model.networks import build
from model.versions import checkpoint
from tests import commands
from tests.fine_tune.mask_sets import write_set
from tests.model.official_checkpoints import SMALL_VIT, small_vit

SHORT = ["--batch", "2", "--sizes", "64", "--accelerator", "cpu"]


@pytest.fixture
def imagenet(tmp_path):
    """A file in the form of the ImageNet weights: the encoder's own entries under their names there."""
    torch.manual_seed(0)
    entries = build("lite0-fpn").encoder.state_dict()
    torch.save(entries, tmp_path / "lite0.pth")
    return ["--imagenet", str(tmp_path / "lite0.pth")]


def run(*arguments: str):
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def test_a_run_ends_with_a_checkpoint_and_can_be_extended(tmp_path, imagenet):
    data, out = write_set(tmp_path / "cats", side=160), tmp_path / "run"
    result = run("--data", data, "--out", out, "--steps", "2", *SHORT, *imagenet)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["step"] == 2
    _, card = checkpoint.load(out / "checkpoint")
    assert card["architecture"]["name"] == "lite0-fpn"
    assert card["training"]["items"] == {"cats": 3}
    assert run("--out", out, "--steps", "3", *SHORT, *imagenet).exit_code == 0  # the bundle is there already
    steps = [int(row["step"]) for row in csv.DictReader((out / "log.csv").open())]
    assert steps == [2, 3]


def test_a_run_starts_from_a_checkpoint(tmp_path, imagenet):
    data, first, second = write_set(tmp_path / "cats", side=160), tmp_path / "first", tmp_path / "second"
    assert run("--data", data, "--out", first, "--steps", "1", *SHORT, *imagenet).exit_code == 0
    begun, _ = checkpoint.load(first / "checkpoint")
    result = run(
        "--bundle", first / "bundle.zip", "--init", first, "--out", second, "--steps", "1",
        "--rate", "1e-9", "--late-sizes", "96", *SHORT,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    ended, card = checkpoint.load(second / "checkpoint")
    assert card["size"] == 96
    for old, new in zip(begun.parameters(), ended.parameters(), strict=True):
        torch.testing.assert_close(old, new, atol=1e-6, rtol=0)


def test_a_slimmer_network_starts_from_a_checkpoint_and_learns_from_it(tmp_path, imagenet, monkeypatch):
    few = partial(inheritance.annotated_views, batches=2, batch=2, sizes=(96, 64))
    monkeypatch.setattr(inheritance, "annotated_views", few)
    data, first, second = write_set(tmp_path / "cats", side=160), tmp_path / "first", tmp_path / "second"
    assert run("--data", data, "--out", first, "--steps", "1", *SHORT, *imagenet).exit_code == 0
    begun, _ = checkpoint.load(first / "checkpoint")
    result = run(
        "--bundle", first / "bundle.zip", "--init", first / "checkpoint", "--network", "lite0-fpn2",
        "--teacher", first / "checkpoint", "--out", second, "--steps", "1", "--rate", "1e-9", *SHORT,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "detail.guide.weight" in result.stderr  # what found nothing to take over is named
    ended, card = checkpoint.load(second / "checkpoint")
    assert card["architecture"] == {"name": "lite0-fpn2", "params": {}}
    torch.testing.assert_close(begun.top[0].weight, ended.top[0].weight, atol=1e-6, rtol=0)


def test_what_is_trained_on_patches_can_be_used_at_every_side_of_its_card(tmp_path):
    data, first, out = write_set(tmp_path / "cats", side=160), tmp_path / "first", tmp_path / "run"
    card = {"architecture": SMALL_VIT, "encoding": ENCODING, "size": 224}
    checkpoint.save(first, small_vit(), card)
    options = ["--batch", "2", "--sizes", "224", "--accelerator", "cpu", "--steps", "1"]
    result = run("--data", data, "--init", first, "--out", out, *options)
    assert result.exit_code == 0, result.output
    network, card = checkpoint.load(out / "checkpoint")
    for key in ("size", "later", "closer"):
        image, guide = torch.rand(2, 1, 3, card[key], card[key])
        assert network(image, guide).shape == (1, 1, card[key], card[key])


def test_only_a_bundle(tmp_path):
    data = write_set(tmp_path / "cats")
    result = run("--data", data, "--bundle", tmp_path / "b.zip")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "b.zip").stat().st_size > 1000
    assert not (tmp_path / "b.part").exists()


def test_a_bundle_of_other_data_is_not_trained_on_unnoticed(tmp_path):
    data, path = write_set(tmp_path / "cats"), tmp_path / "b.zip"
    again = ["--data", data, "--bundle", path]
    assert run(*again).exit_code == 0
    packed = path.read_bytes()
    assert run(*again).exit_code == 0, "the same command goes on"
    items = json.loads((data / "items.json").read_bytes())
    mask = data / items[0]["mask"]
    changes = [
        lambda: write_set(tmp_path / "other" / "cats", side=160),
        lambda: (data / "items.json").write_text(json.dumps(items[1:])),
        lambda: mask.write_bytes((data / items[1]["mask"]).read_bytes() + b"\0"),
    ]
    asked = [["--data", tmp_path / "other" / "cats", "--bundle", path], again, again]
    for change, arguments in zip(changes, asked, strict=True):
        change()
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert "remove it to have it packed anew" in " ".join(result.output.split())
        (data / "items.json").write_text(json.dumps(items))
    assert run(*again, "--side", "99").exit_code == 2
    assert path.read_bytes() == packed
    assert run("--bundle", path).exit_code == 0, "whoever names the bundle alone wants it"
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b""
    assert run(*again, "--side", "99").exit_code == 0, "an earlier release wrote it"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "nothing to do"), (["--out", "run"], "give --data"), (["--bundle", "b.zip"], "give --data")],
)
def test_missing_arguments_are_named(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_run_without_a_length_says_so(tmp_path, imagenet):
    result = run(
        "--data", write_set(tmp_path / "cats", side=160), "--out", tmp_path / "run", *SHORT, *imagenet
    )
    assert result.exit_code == 2
    assert "steps or minutes" in result.output


def test_two_devices_make_one_checkpoint(tmp_path, imagenet):
    data, out = write_set(tmp_path / "cats", side=160), tmp_path / "run"
    arguments = ["--data", data, "--out", out, "--steps", "2", "--devices", "2", *SHORT, *imagenet]
    # In a process of its own: Fabric starts the command line again for the second device.
    ended = commands.run({}, "train", *arguments)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["step"] == 2, "only the first device speaks"
    assert checkpoint.load(out / "checkpoint")[1]["training"]["step"] == 2
    assert [int(row["step"]) for row in csv.DictReader((out / "log.csv").open())] == [2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sizes", "abc"], "write numbers with commas"),
        (["--sizes", ","], "write numbers with commas"),
        (["--sizes", "100"], "multiple of 32"),
        (["--accelerator", "tpu"], "'tpu' is not one of"),
        (["--devices", "0"], "'--devices'"),
        (["--batch", "0"], "'--batch'"),
        (["--workers", "0"], "'--workers'"),
        (["--warmup", "0"], "'--warmup'"),
        (["--minutes", "nan"], "steps or minutes"),
        (["--steps", "-3"], "'--steps'"),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, list) else "",
)
def test_what_cannot_be_trained_with_is_one_sentence(options, said, tmp_path, imagenet):
    data = write_set(tmp_path / "cats", side=160)
    length = [] if {"--minutes", "--steps"} & set(options) else ["--steps", "1"]
    result = run("--data", data, "--out", tmp_path / "run", *length, *SHORT, *imagenet, *options)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.output.split())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(tmp_path, imagenet):
    data = write_set(tmp_path / "cats", side=160)
    result = run(
        "--data", data, "--out", tmp_path / "run", "--steps", "1", "--accelerator", "cuda", *imagenet
    )
    assert result.exit_code == 2
    assert "--accelerator cuda cannot be used" in result.output


def test_a_loss_that_is_no_number_is_one_sentence(tmp_path, imagenet):
    data, out = write_set(tmp_path / "cats", side=160), tmp_path / "run"
    result = run(
        "--data", data, "--out", out, "--steps", "9", "--rate", "1e30", "--warmup", "1", *SHORT, *imagenet
    )
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), "no traceback"
    assert "lower the rate" in result.output

"""Numbers on the command line."""

import click
import pytest
from click.testing import CliRunner

from backend.cli.model.numbers import counts


@click.command()
@click.option("--sides", callback=counts)
def command(sides: tuple[int, ...]) -> None:
    click.echo(repr(sides))


@pytest.mark.parametrize(
    ("arguments", "numbers"), [([], "()"), (["--sides", ""], "()"), (["--sides", "64, 32"], "(64, 32)")]
)
def test_numbers_are_read(arguments, numbers):
    assert CliRunner().invoke(command, arguments).output.strip() == numbers


@pytest.mark.parametrize("text", ["many", "1,,2", "0", "-1", "1;2", "1.5"])
def test_others_are_refused(text):
    result = CliRunner().invoke(command, ["--sides", text])
    assert result.exit_code == 2
    assert "write numbers with commas" in result.output

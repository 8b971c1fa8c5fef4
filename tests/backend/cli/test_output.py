"""Tables fit the terminal, and go whole into files and pipes."""

from rich.table import Table

from backend.cli.output import output


def _printed(capsys) -> list[str]:
    table = Table("job", "why", box=None)
    table.add_row("fine-tune-3", "[bold]" + 200 * "x ")
    output().print(table)
    return capsys.readouterr().out.splitlines()


def test_a_pipe_gets_whole_lines(capsys):
    head, row = _printed(capsys)
    assert head.split() == ["job", "why"]
    assert row.strip() == "fine-tune-3  [bold]" + (200 * "x ").strip()


def test_a_terminal_gets_lines_of_its_width(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes what is captured for a terminal
    monkeypatch.setenv("TERM", "dumb")  # of 80 columns, without escape sequences
    lines = _printed(capsys)
    assert len(lines) > 2 and max(map(len, lines)) <= 80

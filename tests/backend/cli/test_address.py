"""What --url takes, in every command that has it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from backend.cli import main
from backend.cli.address import Address


@pytest.mark.parametrize("command", [["connect", "3"], ["doctor"], ["bench"]], ids=" ".join)
@pytest.mark.parametrize(
    ("address", "fix"),
    [
        ("192.168.1.5:9090", "starting with http:// or https://"),
        ("clickmask.internal:9090", "starting with http:// or https://"),
        ("http://[::1", "a port is a number"),
        ("http://ann:hidden-word@host:99999", "a port is a number"),
    ],
)
def test_what_is_no_address_is_wrong_usage(command: list[str], address: str, fix: str) -> None:
    result = CliRunner().invoke(main, [*command, "--url", address])
    assert (result.exit_code, fix in result.output, "hidden-word" in result.output) == (2, True, False)


def test_an_account_of_a_proxy_before_the_backend_is_kept() -> None:
    given = "https://ann:a%20b@proxy.example/clickmask/"
    assert Address().convert(given, None, None) == given.rstrip("/")

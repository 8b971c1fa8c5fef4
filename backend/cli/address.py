"""An address on the command line, read as the settings read theirs."""

from __future__ import annotations

from typing import Any

import click


class Address(click.ParamType):
    """Takes a full http(s) address; with an account where a proxy before the backend wants one."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the address without a slash at its end; wrong usage, with the fix, where it is none."""
        from backend.settings import values
        from backend.settings.masking import without_password

        try:
            return values.url("http", "https", account=True)(str(value).strip())
        except ValueError as error:
            self.fail(f"{without_password(str(value))!r}: {error}", param, ctx)

"""The page of the settings."""

import dataclasses

from backend.settings import Settings
from backend.settings.reference import MEANINGS, PAGE, page


def test_every_setting_has_a_meaning_and_no_other_has():
    assert set(MEANINGS) == {field.metadata["variable"] for field in dataclasses.fields(Settings)}


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run `make format`"


def test_defaults_are_those_of_the_class():
    rows = dict(line.split("|")[1:3] for line in page().splitlines() if line.startswith("| `"))
    for field in dataclasses.fields(Settings):
        shown = rows[f" `{field.metadata['variable']}` "].strip()
        if shown and field.name != "home":
            assert field.metadata["parse"](shown) == field.default

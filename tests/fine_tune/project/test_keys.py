"""Keys in Redis outlive versions of the code: their texts are written down here once more."""

import fnmatch

import pytest

from fine_tune.project import keys


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (keys.PROJECTS, "clickmask:ledger:projects"),
        (keys.records(3), "clickmask:ledger:3:annotations"),
        (keys.seen(3), "clickmask:ledger:3:seen"),
        (keys.fresh(3, "submitted"), "clickmask:ledger:3:fresh:submitted"),
        (keys.indexed(3), "clickmask:ledger:3:indexed"),
        (keys.lock(3), "clickmask:fine-tune:3:turn"),
        (keys.guard(3), "clickmask:fine-tune:3:guard"),
        (keys.latest(3), "clickmask:fine-tune:3:waiting"),
        (keys.ended(3), "clickmask:fine-tune:3:ended"),
        (keys.failures(3), "clickmask:fine-tune:3:failures"),
        (keys.outcomes(3), "clickmask:fine-tune:3:outcomes"),
        (keys.cancelled("abc"), "clickmask:fine-tune:cancel:abc"),
    ],
)
def test_a_key_keeps_its_text(made: str, text: str):
    assert made == text


def test_the_pattern_finds_the_records_of_every_project_and_nothing_else():
    assert fnmatch.fnmatch(keys.records(314), keys.ANNOTATION_PATTERN)
    assert keys.projects_of([keys.records(314).encode()]) == {314}
    for other in (keys.PROJECTS, keys.seen(3), keys.fresh(3, "submitted"), keys.indexed(3)):
        assert not fnmatch.fnmatch(other, keys.ANNOTATION_PATTERN)


def test_what_names_no_project_is_left_out(caplog: pytest.LogCaptureFixture):
    junk = [keys.records("x").encode(), b"junk", b"\xff", b""]  # type: ignore[arg-type]
    assert keys.projects_of([b"3", *junk, keys.records(4).encode()]) == {3, 4}
    assert caplog.text.count("is no id of a project") == len(junk)

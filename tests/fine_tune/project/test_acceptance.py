import pytest

from fine_tune.project.acceptance import RULES, accepts, facts

PLAIN = {"task": 1, "updated_at": "2026", "result": [{"type": "brushlabels"}]}


@pytest.mark.parametrize(
    ("annotation", "rules"),
    [
        (PLAIN, {"submitted"}),
        ({**PLAIN, "was_cancelled": True, "ground_truth": True}, set()),
        ({**PLAIN, "result": []}, set()),
        ({"task": 1, "result_count": 0}, set()),
        ({"task": 1, "result_count": 2}, {"submitted"}),
        ({**PLAIN, "ground_truth": True}, {"submitted", "ground-truth"}),
        ({**PLAIN, "reviews": [{"accepted": False}, {"accepted": True}]}, {"submitted", "reviewed"}),
        ({**PLAIN, "reviews": [{"accepted": True}, {"accepted": False}]}, {"submitted"}),
    ],
)
def test_what_counts(annotation: dict, rules: set):
    assert {rule for rule in RULES if accepts(rule, facts(annotation))} == rules


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="CLICKMASK_ACCEPT is 'all'"):
        accepts("all", facts(PLAIN))

"""Which of several controls with a label a mask goes to."""

from __future__ import annotations

import pytest

from backend.label_studio.label_config import LabelConfig

LEVELS = '<Label value="minor"/><Label value="major"/>'
GROUP = f"""<View visibleWhen="choice-selected" whenChoiceValue="%s">
  <BrushLabels name="b%s" toName="i">{LEVELS}</BrushLabels>
  <KeyPointLabels name="k%s" toName="i">{LEVELS}</KeyPointLabels></View>"""
FLAT = """<BrushLabels name="b1" toName="i"><Label value="tumor"/><Label value="unknown"/></BrushLabels>
  <BrushLabels name="b2" toName="i"><Label value="good"/><Label value="unknown"/></BrushLabels>
  <KeyPointLabels name="k1" toName="i"><Label value="tumor"/><Label value="unknown"/></KeyPointLabels>
  <KeyPointLabels name="k2" toName="i"><Label value="good"/><Label value="unknown"/></KeyPointLabels>"""
ROWS = """<Labels name="b1" toName="i"><Label value="tumor"/><Label value="unknown"/></Labels>
  <Labels name="b2" toName="i"><Label value="good"/><Label value="unknown"/></Labels>
  <Brush name="b" toName="i"/><KeyPoint name="k" toName="i"/>"""


@pytest.mark.parametrize(
    ("tags", "label", "asking"),
    [
        (GROUP % ("crack", 1, 1) + GROUP % ("dent", 2, 2), "minor", ("k%d",)),
        (FLAT, "unknown", ("k%d",)),
        (ROWS, "unknown", ("k", "b%d")),
    ],
)
def test_of_several_controls_with_a_label_the_one_most_like_the_prompts_is_taken(
    tags: str, label: str, asking: tuple[str, ...]
) -> None:
    config = LabelConfig.parse(f'<View><Image name="i" value="$image"/>{tags}</View>')
    for number in (1, 2):
        names = [name.replace("%d", str(number)) for name in asking]
        (output,) = config.asked_with(names).outputs("i", (label,))
        assert (output.name or output.mask).name == f"b{number}"
    assert config.asked_with(()) == config


@pytest.mark.parametrize("second", [' value="$defects"/>', '><Label value="rot"/></BrushLabels>'])
def test_a_control_whose_labels_the_task_brings_takes_no_others(second: str) -> None:
    xml = f"""<View><Image name="i" value="$image"/><BrushLabels name="species" toName="i" value="$species"/>
        <BrushLabels name="defects" toName="i"{second}</View>"""
    data = {"species": [{"value": "oak"}], "defects": [{"value": "rot"}]}
    assert [output.mask.name for output in LabelConfig.parse(xml, data).outputs("i", ("rot",))] == ["defects"]

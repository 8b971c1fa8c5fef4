"""What `doctor` and `connect` say of a labeling config that Label Studio takes."""

import pytest

from backend.label_studio.label_config import LabelConfig, LabelConfigError
from tests.backend.predict_bodies import CONFIG

NO_ROW = """<View><Image name="i" value="$image"/><Polygon name="p" toName="i" smart="false"/>
  <KeyPointLabels name="k" toName="i"><Label value="Cup"/>%s</KeyPointLabels></View>"""


def test_labels_that_no_mask_can_have_are_none_of_a_click() -> None:
    """Else a click into a mask would look for one with that label, of which there is none."""
    one, two = LabelConfig.parse(NO_ROW % ""), LabelConfig.parse(NO_ROW % '<Label value="Dog"/>')
    assert one.meant("i", [("Cup",)]) == two.meant("i", [("Dog",)]) == ()
    assert one.problems() == []
    (problem,) = two.problems()
    assert (
        problem
        == '<KeyPointLabels name="k">: <Polygon name="p"> keeps none of its labels; add <Labels> with them'
    )


@pytest.mark.parametrize(
    ("tag", "place"),
    [
        ('<Labels name="l"><Label value="Cup"/></Labels>', '<Labels name="l">'),
        ('<BrushLabels name="bl"><Label value="Cup"/></BrushLabels>', '<BrushLabels name="bl">'),
    ],
)
def test_a_label_is_not_lost_where_masks_have_others(tag: str, place: str) -> None:
    config = LabelConfig.parse(f'<View><Image name="i" value="$image"/>{tag}<Brush name="b"/></View>')
    with pytest.raises(LabelConfigError, match=f"label 'Fork' is not in {place}"):
        config.outputs("i", config.meant("i", [("Fork",)]))


LEFT_AND_RIGHT = """<View><Image name="left" value="$a"/><Image name="right" value="$b"/>
  <KeyPoint name="kl" toName="left"/><KeyPoint name="kr" toName="right"/>
  <Labels name="l" toName="left"><Label value="Cup"/></Labels>
  <Labels name="r" toName="right"><Label value="Cup"/></Labels>
  <Brush name="b" toName="left,right" smart="false"/></View>"""


@pytest.mark.parametrize(
    ("one", "several", "tag"),
    [
        (
            '<KeyPoint name="kl" toName="left"',
            '<KeyPoint name="kl" toName="left, right"',
            '<KeyPoint name="kl">',
        ),
        ('<Labels name="l" toName="left"', '<Labels name="l" toName="left,right"', '<Labels name="l">'),
    ],
)
def test_the_editor_connects_prompts_and_rows_to_one_image_alone(one: str, several: str, tag: str) -> None:
    """A click would come without its label, or not at all; a mask for either image is taken."""
    assert LabelConfig.parse(LEFT_AND_RIGHT).problems() == []
    (problem,) = LabelConfig.parse(LEFT_AND_RIGHT.replace(one, several)).problems()
    assert problem == f'{tag}: the editor finds no image "left,right"; give each a tag of its own'


@pytest.mark.parametrize(
    ("xml", "problem"),
    [
        ("<View/>", "there is no <Image>"),
        ('<View><Image name="i" value="$x"/></View>', 'add <KeyPoint name="kp" toName="i"'),
        (CONFIG.replace('<Label value="Dog"/></BrushLabels>', "</BrushLabels>"), "label 'Dog' is not in"),
        (CONFIG.replace('"kp" toName="image"', '"kp" toName="photo"'), 'no <Image name="photo">'),
        (CONFIG.replace('smart="true"', 'smart="false"'), "nothing to click with"),
    ],
)
def test_problems_say_what_to_add(xml: str, problem: str) -> None:
    assert any(problem in sentence for sentence in LabelConfig.parse(xml).problems())


@pytest.mark.parametrize(
    ("xml", "tag"),
    [
        (CONFIG.replace('smart="false"', ""), '<BrushLabels name="brush">'),
        (CONFIG.replace("<BrushLabels", '<MagicWand name="w"/><BrushLabels'), '<MagicWand name="w">'),
    ],
)
def test_a_smart_tool_that_does_nothing_keeps_no_click_from_its_mask(xml: str, tag: str) -> None:
    config = LabelConfig.parse(xml)
    assert config.problems() == []
    assert config.warnings() == [f'{tag} offers a smart tool that does nothing; add smart="false" to it']


def test_the_labels_of_masks_are_none_of_clicks() -> None:
    """The editor takes them away as soon as the tool to click with is chosen: all masks would have one label."""
    alone = CONFIG.replace("KeyPointLabels", "KeyPoint")
    assert LabelConfig.parse(alone).problems() == [
        '<KeyPoint name="kp">: no click can be given a label; add <Labels> with those that masks have'
    ]
    beside = '<View><KeyPointLabels name="kl"><Label value="Cat"/></KeyPointLabels>'
    assert LabelConfig.parse(alone.replace("<View>", beside)).problems() == []
    assert LabelConfig.parse(alone.replace('<Label value="Dog"/>', "")).problems() == []


def test_the_editor_has_no_smart_tool_for_polygons() -> None:
    polygons = CONFIG.replace("BrushLabels", "PolygonLabels").replace('smart="false"', "")
    assert LabelConfig.parse(polygons).problems() == LabelConfig.parse(polygons).warnings() == []


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ('<KeyPointLabels name="k" value="$x"/><BrushLabels name="m" value="$x" smart="false"/>', ""),
        (
            '<KeyPoint name="k"/><Labels name="l" value="$x"/><BrushLabels name="m" value="$x" smart="false"/>',
            "",
        ),
        ('<KeyPointLabels name="k" value="$x"/><Labels name="l" value="$x"/><Polygon name="m"/>', ""),
        (
            '<KeyPointLabels name="k" value="$x"/><Polygon name="m"/>',
            "keeps none of its labels; add <Labels>",
        ),
        ('<KeyPointLabels name="k" value="$x"/>', "add one with label '$x'"),
    ],
)
def test_labels_that_a_task_brings_are_no_problem(tags: str, problem: str) -> None:
    """Which they are is not known without a task; whether masks may have them is."""
    problems = LabelConfig.parse(f'<View><Image name="i" value="$image"/>{tags}</View>').problems()
    assert [problem in sentence for sentence in problems] == [True] * bool(problem)

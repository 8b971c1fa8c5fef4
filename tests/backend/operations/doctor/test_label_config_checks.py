"""What `doctor` and `connect` say of a labeling config that Label Studio takes."""

import re

import pytest

from backend.label_studio.label_config import LabelConfig, LabelConfigError, Output
from backend.operations.doctor.label_config_checks import problems, warnings
from tests.backend.predict_bodies import CONFIG

NO_ROW = """<View><Image name="i" value="$image"/><Polygon name="p" toName="i" smart="false"/>
  <KeyPointLabels name="k" toName="i"><Label value="Cup"/>%s</KeyPointLabels></View>"""


def test_labels_that_no_mask_can_have_are_none_of_a_click() -> None:
    """Else a click into a mask would look for one with that label, of which there is none."""
    one, two = NO_ROW % "", NO_ROW % '<Label value="Dog"/>'
    assert (
        LabelConfig.parse(one).meant("i", [("Cup",)]) == LabelConfig.parse(two).meant("i", [("Dog",)]) == ()
    )
    assert problems(one) == []
    (problem,) = problems(two)
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
            '<KeyPoint name="kl" toName="left,right"',
            '<KeyPoint name="kl">',
        ),
        ('<Labels name="l" toName="left"', '<Labels name="l" toName="left,right"', '<Labels name="l">'),
    ],
)
def test_the_editor_connects_prompts_and_rows_to_one_image_alone(one: str, several: str, tag: str) -> None:
    """A click would come without its label, or not at all; a mask for either image is taken."""
    assert problems(LEFT_AND_RIGHT) == []
    (problem,) = problems(LEFT_AND_RIGHT.replace(one, several))
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
    assert any(problem in sentence for sentence in problems(xml))


@pytest.mark.parametrize(
    ("xml", "tag"),
    [
        (CONFIG.replace('smart="false"', ""), '<BrushLabels name="brush">'),
        (
            CONFIG.replace("<BrushLabels", '<MagicWand name="w" toName="image"/><BrushLabels'),
            '<MagicWand name="w">',
        ),
    ],
)
def test_a_smart_tool_that_does_nothing_keeps_no_click_from_its_mask(xml: str, tag: str) -> None:
    assert problems(xml) == []
    assert warnings(xml) == [f'{tag} offers a smart tool that does nothing; add smart="false" to it']


def test_the_labels_of_masks_are_none_of_clicks() -> None:
    """The editor takes them away as soon as the tool to click with is chosen: all masks would have one label."""
    alone = CONFIG.replace("KeyPointLabels", "KeyPoint")
    assert problems(alone) == [
        '<KeyPoint name="kp">: no click can be given a label; add <Labels> with those that masks have'
    ]
    beside = '<View><KeyPointLabels name="kl" toName="image"><Label value="Cat"/></KeyPointLabels>'
    assert problems(alone.replace("<View>", beside)) == []
    assert problems(alone.replace('<Label value="Dog"/>', "")) == []


def test_the_editor_has_no_smart_tool_for_polygons() -> None:
    polygons = CONFIG.replace("BrushLabels", "PolygonLabels").replace('smart="false"', "")
    assert problems(polygons) == warnings(polygons) == []


WORDS = '<Text name="words" value="$words"/>'


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ('<TextArea name="t" toName="image"/>', '<TextArea name="t"> takes a mask away'),
        ('<TextArea name="t" toName="image" smart="false"/>', ""),
        ('<TextArea name="t" toName="image" perRegion="true"/>', ""),
        ('<TextArea name="t" toName="words" perRegion="true"/>', '<TextArea name="t"> takes a mask away'),
        (
            '<Labels name="l" toName="words"><Label value="a"/></Labels>',
            '<Labels name="l"> takes a mask away',
        ),
        ('<HyperTextLabels name="l" toName="words"/>', '<HyperTextLabels name="l"> takes a mask away'),
        ('<ParagraphLabels name="l" toName="words" smart="false"/>', ""),
        ('<Choices name="c" toName="words"/><Rating name="r" toName="image"/>', ""),
    ],
)
def test_what_takes_a_mask_away_is_named_with_its_remedy(tags: str, said: str) -> None:
    """Label Studio asks about it, and shows what is answered in place of the suggestion."""
    xml = CONFIG.replace("</View>", f"{WORDS}{tags}</View>")
    assert problems(xml) == []
    found = warnings(xml)
    assert [said in sentence and 'add smart="false" to it' in sentence for sentence in found] == [
        True
    ] * bool(said)


def test_a_tool_that_is_not_smart_is_to_become_it() -> None:
    """Label Studio takes no second tag of the same name."""
    xml = '<View><Image name="i" value="$x"/><KeyPointLabels name="kp" toName="i" smart="false"/></View>'
    (problem,) = problems(xml)
    assert problem == 'there is nothing to click with; <KeyPointLabels name="kp"> needs smart="true"'


@pytest.mark.parametrize("tag", ["BrushLabels", "KeyPointLabels"])
def test_the_editor_needs_to_know_what_a_tool_is_for(tag: str) -> None:
    """Label Studio takes such a config, and its editor stays empty."""
    found = problems(re.sub(f'(<{tag} name="\\w+") toName="image"', r"\1", CONFIG))
    assert [re.sub('name="[a-z]+"', "", problem) for problem in found] == [
        f'the editor does not open with <{tag} >; add toName="image" to it'
    ]


@pytest.mark.parametrize(
    ("tag", "given"),
    [
        ("KeyPointLabels", 'smart="True"'),
        ("KeyPointLabels", 'smartOnly="1"'),
        ("BrushLabels", 'smart="FALSE"'),
        ("Image", 'zoomControl="yes"'),
        ("Image", 'zoom=""'),
        ("Image", 'showLabels="0"'),
        ("Label", 'showAlias="True"'),
    ],
)
def test_the_editor_takes_two_words_alone_for_what_is_on_or_off(tag: str, given: str) -> None:
    name = given.split("=")[0]
    xml = re.sub(rf'(<{tag}[^>]*?)(?: {name}="\w+")?(/?>)', rf"\1 {given}\2", CONFIG)
    first, *_ = problems(xml)
    assert first == f'the editor does not open with {given} in <{tag}>; write {name}="true" or {name}="false"'
    assert problems(xml.replace(given, f'{name}="true"')) == []


@pytest.mark.parametrize(
    ("attribute", "xml"),
    [
        ("alias", CONFIG.replace('value="Cat"', 'value="Cat" alias="true"', 1)),
        ("name", CONFIG.replace('name="image"', 'name="true"')),
        ("whenChoiceValue", f'<View><View whenChoiceValue="true"/>{CONFIG}</View>'),
    ],
)
def test_the_editor_takes_the_same_two_words_for_no_text(attribute: str, xml: str) -> None:
    said = f'the editor does not open with {attribute}="true" in <'
    assert [problem.startswith(said) for problem in problems(xml)][:1] == [True]
    assert not any(
        "not open" in problem
        for problem in problems(xml.replace(f'{attribute}="true"', f'{attribute}="True"'))
    )
    assert problems(CONFIG.replace('value="Cat"', 'value="true"')) == []


def test_many_labels_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one, 5,000 took most of a minute."""
    asked: list[int] = []
    outputs = LabelConfig.outputs

    def counting(config: LabelConfig, to_name: str, labels: tuple[str, ...]) -> tuple[Output, ...]:
        asked.append(len(labels))
        return outputs(config, to_name, labels)

    monkeypatch.setattr(LabelConfig, "outputs", counting)
    tags = "".join(f'<Label value="{number}"/>' for number in range(100))
    xml = f"""<View><Image name="i" value="$x"/><BrushLabels name="b" toName="i" smart="false">{tags}</BrushLabels>
      <KeyPointLabels name="k" toName="i">{tags}{tags.replace('="', '="x')}</KeyPointLabels></View>"""
    (problem,) = problems(xml)
    assert "label 'x0', 'x1', 'x2', 'x3', 'x4' and 95 more is not in <BrushLabels name=\"b\">" in problem
    assert asked == [100, 100]


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        (
            '<KeyPointLabels name="k" value="$x"/><BrushLabels name="m" value="$x" smart="false"/>',
            "",
        ),
        (
            '<KeyPoint name="k"/><Labels name="l" value="$x"/><BrushLabels name="m" value="$x" smart="false"/>',
            "",
        ),
        (
            '<KeyPointLabels name="k" value="$x"/><Labels name="l" value="$x"/><Polygon name="m"/>',
            "",
        ),
        (
            '<KeyPointLabels name="k" value="$x"/><Polygon name="m"/>',
            "keeps none of its labels; add <Labels>",
        ),
        ('<KeyPointLabels name="k" value="$x"/>', "add one with label '$x'"),
    ],
)
def test_labels_that_a_task_brings_are_no_problem(tags: str, problem: str) -> None:
    """Which they are is not known without a task; whether masks may have them is."""
    tags = re.sub(r"<(KeyPoint|Brush|Polygon)(\w*) ", r'<\1\2 toName="i" ', tags)
    found = problems(f'<View><Image name="i" value="$image"/>{tags}</View>')
    assert [problem in sentence for sentence in found] == [True] * bool(problem)

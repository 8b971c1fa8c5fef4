from __future__ import annotations

import pytest

from backend.label_studio.label_config import LabelConfig, LabelConfigError
from backend.operations.doctor.label_config_checks import problems
from tests.backend import recordings
from tests.backend.predict_bodies import CONFIG


def test_recorded_config_is_read_and_has_no_problems() -> None:
    xml = recordings.body("20_")["label_config"]
    config = LabelConfig.parse(xml)
    assert [tag.name for tag in config.images] == ["image"]
    assert [(c.kind, c.name, c.labels, c.smart) for c in config.controls] == [
        ("brushlabels", "brush", ("Cat", "Dog"), False),
        ("keypointlabels", "kp", ("Cat", "Dog"), True),
        ("rectanglelabels", "rect", ("Cat", "Dog"), True),
    ]
    assert [output.mask.name for output in config.outputs("image", ("Dog",))] == ["brush"]
    assert problems(xml) == []


def test_recorded_polygon_config_gives_polygons() -> None:
    config = LabelConfig.parse(recordings.body("43_")["label_config"])
    assert [output.mask.kind for output in config.outputs("image", ("Cat",))] == ["polygonlabels"]


def test_brush_comes_before_polygon_and_one_of_each_kind_is_enough() -> None:
    config = LabelConfig.parse(
        """<View><Image name="i" value="$image"/>
        <PolygonLabels name="p" toName="i"><Label value="Cat"/></PolygonLabels>
        <BrushLabels name="other" toName="i"><Label value="Dog"/></BrushLabels>
        <BrushLabels name="b" toName="i"><Label value="Cat"/></BrushLabels>
        <BrushLabels name="b2" toName="i"><Label value="Cat"/></BrushLabels></View>"""
    )
    assert [output.mask.name for output in config.outputs("i", ("Cat",))] == ["b", "p"]


def test_a_label_is_kept_by_a_row_that_has_it_and_by_no_other() -> None:
    xml = """<View><Image name="i" value="$image"/><Brush name="b" toName="i"/>
        <Labels name="l" toName="i"><Label value="Cat"/></Labels></View>"""
    config = LabelConfig.parse(xml)
    assert config.named("i", ("Cat",)) == config.outputs("i", ("Cat",))
    assert config.named("i", ()) == config.outputs("i", ())
    without = LabelConfig.parse(xml.replace('<Labels name="l" toName="i"><Label value="Cat"/></Labels>', ""))
    assert without.outputs("i", ("Dog",))
    with pytest.raises(LabelConfigError, match="no <Labels> has label 'Dog'"):
        without.named("i", ("Dog",))


def test_control_of_another_image_does_not_count() -> None:
    config = LabelConfig.parse(
        """<View><Image name="left" value="$a"/><Image name="right" value="$b"/>
        <BrushLabels name="l" toName="left"><Label value="Cat"/></BrushLabels>
        <BrushLabels name="r" toName="right"><Label value="Cat"/></BrushLabels></View>"""
    )
    assert [output.mask.name for output in config.outputs("right", ("Cat",))] == ["r"]


def test_controls_that_do_not_name_their_image_belong_to_the_only_one() -> None:
    xml = CONFIG.replace(' toName="image"', "")
    config = LabelConfig.parse(xml)
    assert [output.mask.name for output in config.outputs("image", ("Cat",))] == ["brush"]
    several = LabelConfig.parse(xml.replace("<View>", '<View><Image name="other" value="$other"/>'))
    with pytest.raises(LabelConfigError, match='no <BrushLabels> or <PolygonLabels> has toName="image"'):
        several.outputs("image", ("Cat",))


def test_space_around_an_address_is_none_of_it() -> None:
    """As tables leave it behind; browsers do not see it."""
    tag = LabelConfig.parse(CONFIG).image("image")
    assert tag.url({"image": " /data/upload/1/a b.png\r\n"}) == "/data/upload/1/a b.png"
    with pytest.raises(LabelConfigError, match="no image address"):
        tag.url({"image": " \n"})


def test_label_without_a_control_says_where_to_add_it() -> None:
    config = LabelConfig.parse(CONFIG)
    with pytest.raises(LabelConfigError, match=r"label 'Cow' is not in <BrushLabels name=\"brush\">"):
        config.outputs("image", ("Cow",))
    without = LabelConfig.parse('<View><Image name="image" value="$image"/></View>')
    with pytest.raises(LabelConfigError, match=r'no <BrushLabels> or <PolygonLabels> has toName="image"'):
        without.outputs("image", ("Cat",))


def test_names_are_compared_without_regard_to_case_and_alias_replaces_value() -> None:
    config = LabelConfig.parse(
        '<view><image name="i" value="$image"/>'
        '<brushlabels name="b" toname="i"><label value="A long name" alias="cat"/></brushlabels></view>'
    )
    assert config.controls[0].labels == ("cat",)
    assert config.outputs("i", ("cat",))


def test_a_config_with_a_namespace_is_read() -> None:
    config = LabelConfig.parse(CONFIG.replace("<View>", '<View xmlns="http://x">'))
    assert config == LabelConfig.parse(CONFIG)


def test_labels_and_addresses_may_be_text_in_their_tags() -> None:
    xml = (
        '<View><Image name="i">$image</Image><KeyPoint name="k" toName="i"/>'
        '<Labels name="l"><Label>Cat</Label>'
        '<Label value="Dog">My dog</Label><Label alias="cow">A cow</Label></Labels>'
        '<Brush name="b" toName="i" smart="false"/></View>'
    )
    config = LabelConfig.parse(xml)
    assert config.labels("i") == ("Cat", "My dog", "cow")
    assert config.image("i").url({"image": "/a.jpg"}) == "/a.jpg"
    assert problems(xml) == []


def test_labels_from_task_data_may_be_any() -> None:
    xml = '<View><Image name="i" value="$image"/><BrushLabels name="b" toName="i" value="$labels"/></View>'
    assert LabelConfig.parse(xml).outputs("i", ("whatever",))[0].mask.source == "$labels"
    assert LabelConfig.parse(xml, {"labels": None}).outputs("i", ("whatever",))
    with pytest.raises(LabelConfigError, match="label 'whatever' is not in"):
        LabelConfig.parse(xml, {"labels": [{"value": "Cup"}]}).outputs("i", ("whatever",))


@pytest.mark.parametrize(
    ("source", "data", "index", "url"),
    [
        ("$image", {"image": "/a.jpg"}, None, "/a.jpg"),
        ("$image", {"image": ["/0", "/1"]}, 1, "/1"),
        ("$image", {"image": ["/0", "/1"]}, None, "/0"),
        ("https://host/$name.jpg", {"name": "a"}, None, "https://host/a.jpg"),
    ],
)
def test_image_address(source: str, data: dict[str, object], index: int | None, url: str) -> None:
    config = LabelConfig.parse(f'<View><Image name="i" value="{source}"/></View>')
    assert config.image("i").url(data, index) == url


ROW = """<View><Labels name="label" toName="i"><Label value="Cup"/><Label value="Spoon"/></Labels>
  <Image name="i" value="$image"/><KeyPoint name="kp" toName="i" smart="true"/>%s</View>"""
CUP = '<Label value="Cup"/>'
OUTPUTS = [
    # Tags beside the row; the controls that take a mask with the label Cup, and who names it.
    ('<Brush name="b" toName="i" smart="false"/>', [("b", "label")]),
    ('<Polygon name="p" toName="i"/><Bitmask name="m" toName="i"/>', [("m", "label")]),
    ('<Polygon name="p" toName="i"/><Brush name="b" toName="i"/>', [("b", "label")]),
    ('<Polygon name="p" toName="i"/>', [("p", "label")]),
    (f'<BrushLabels name="bl" toName="i">{CUP}</BrushLabels><Brush name="b" toName="i"/>', [("bl", None)]),
    (f'<BitmaskLabels name="ml" toName="i">{CUP}</BitmaskLabels>', [("ml", None)]),
    (
        f'<BitmaskLabels name="ml" toName="i">{CUP}</BitmaskLabels>'
        f'<BrushLabels name="bl" toName="i">{CUP}</BrushLabels>'
        f'<PolygonLabels name="pl" toName="i">{CUP}</PolygonLabels>',
        [("ml", None), ("pl", None)],
    ),
    ('<BrushLabels name="bl" toName="i"/><Brush name="b" toName="i"/>', [("b", "label")]),
]


@pytest.mark.parametrize(("tags", "expected"), OUTPUTS)
def test_a_row_of_labels_beside_any_tag_is_answered(
    tags: str, expected: list[tuple[str, str | None]]
) -> None:
    config = LabelConfig.parse(ROW % tags)
    outputs = config.outputs("i", ("Cup",))
    assert [(o.mask.name, o.name.name if o.name else None) for o in outputs] == expected
    assert all(output.renamable for output in outputs)


def test_tags_without_any_labels_take_masks_without() -> None:
    xml = (
        '<View><Image name="i" value="$image"/><KeyPoint name="k" toName="i"/>'
        '<Brush name="b" toName="i" smart="false"/></View>'
    )
    config = LabelConfig.parse(xml)
    assert config.labels("i") == ()
    (output,) = config.outputs("i", ())
    assert (output.mask.kind, output.name, output.renamable) == ("brush", None, False)
    assert problems(xml) == []


def test_labels_that_a_mask_may_have() -> None:
    row = ROW % '<BrushLabels name="b" toName="i"><Label value="Spoon"/><Label value="Cup"/></BrushLabels>'
    assert LabelConfig.parse(row).labels("i") == ("Spoon", "Cup")
    assert LabelConfig.parse(ROW % '<Brush name="b" toName="i"/>').labels("i") == ("Cup", "Spoon")
    assert LabelConfig.parse(CONFIG).labels("image") == ("Cat", "Dog")
    assert LabelConfig.parse(CONFIG).labels("other") == ()


def test_labels_may_come_from_the_task() -> None:
    xml = '<View><Image name="i" value="$image"/><BrushLabels name="b" toName="i" value="$classes"/></View>'
    data = {"classes": [{"value": "Cup"}, {"value": "Spoon", "alias": "spoon"}, "Fork", None, 5]}
    assert LabelConfig.parse(xml, data).labels("i") == ("Cup", "spoon", "Fork", "5")
    assert LabelConfig.parse(xml, {"classes": "x"}).labels("i") == ()


COND = '<Labels name="cond" toName="i"><Label value="occluded"/><Label value="blurred"/></Labels>'
CUPS = f'<BrushLabels name="b" toName="i" smart="false">{CUP}<Label value="Spoon"/></BrushLabels>'
PROMPT = f'<KeyPointLabels name="kl" toName="i">{CUP}</KeyPointLabels>'
ONLY_COND = f'<View>{COND}<Image name="i" value="$image"/>{CUPS}%s</View>'


def test_a_row_whose_labels_no_mask_may_have_makes_remarks() -> None:
    for xml in (ROW % (COND + CUPS), ONLY_COND % PROMPT):
        config = LabelConfig.parse(xml)
        assert config.remarks("i") == {"occluded", "blurred"}
        assert problems(xml) == []
    assert LabelConfig.parse(ROW % CUPS).remarks("i") == frozenset()
    assert LabelConfig.parse(ROW % (COND + '<Brush name="b" toName="i"/>')).remarks("i") == frozenset()
    from_task = ROW % (COND + '<BrushLabels name="b" toName="i" value="$classes"/>')
    assert LabelConfig.parse(from_task).remarks("i") == frozenset()
    assert LabelConfig.parse(from_task, {"classes": ["Cup"]}).remarks("i") == {"occluded", "blurred"}


def test_a_row_that_makes_remarks_renames_nothing() -> None:
    (output,) = LabelConfig.parse(ONLY_COND % PROMPT).outputs("i", ("Cup",))
    assert not output.renamable
    (output,) = LabelConfig.parse(ROW % (COND + CUPS)).outputs("i", ("Cup",))
    assert output.renamable


@pytest.mark.parametrize(
    ("xml", "given", "meant"),
    [
        (ROW % (COND + CUPS), [("occluded",), ("occluded",), ("Cup",)], ("Cup",)),
        (ROW % (COND + CUPS), [("Spoon", "occluded"), ("Cup",)], ("Spoon",)),
        (ROW % (COND + CUPS), [("occluded",), ("occluded",)], ()),
        (ROW % (COND + CUPS), [(), ("Fork",)], ("Fork",)),
        (ROW % (COND + CUPS), [], ()),
        (ONLY_COND % PROMPT, [(), ("occluded",)], ()),
        (ONLY_COND % PROMPT, [("Spoon",), ("occluded",)], ("Spoon",)),
        # Nobody could choose a label that masks have: the config is wrong.
        (ONLY_COND % '<KeyPoint name="k" toName="i"/>', [("occluded",)], ("occluded",)),
        (ROW % (COND + '<Brush name="b" toName="i"/>'), [("Cup", "occluded")], ("Cup",)),
        (ROW % (COND + '<Brush name="b" toName="i"/>'), [("Cup", "Spoon")], ("Cup", "Spoon")),
        (ROW % (COND + '<Brush name="b" toName="i"/>'), [("occluded",), ("Cup",)], ("occluded",)),
        (ROW % (COND + '<Brush name="b" toName="i"/>'), [("Fork",)], ("Fork",)),
    ],
)
def test_what_a_mask_is_called_among_the_labels_that_are_selected(
    xml: str, given: list[tuple[str, ...]], meant: tuple[str, ...]
) -> None:
    assert LabelConfig.parse(xml).meant("i", given) == meant


PAGES = """<View><Repeater on="$pages" indexFlag="{{idx}}"><Image name="page_{{idx}}" value="$pages[{{idx}}].image"/>
  <KeyPointLabels name="kp_{{idx}}" toName="page_{{idx}}" smart="true"><Label value="Cup"/></KeyPointLabels>
  <BrushLabels name="brush_{{idx}}" toName="page_{{idx}}" smart="false"><Label value="Cup"/></BrushLabels>
</Repeater></View>"""


def test_pages_of_a_repeater_have_controls_of_their_own() -> None:
    data = {"pages": [{"image": "/0"}, {"image": "/1"}]}
    config = LabelConfig.parse(PAGES, data)
    assert [tag.url(data) for tag in config.images] == ["/0", "/1"]
    assert [o.mask.name for o in config.outputs("page_1", ("Cup",))] == ["brush_1"]
    with pytest.raises(LabelConfigError, match='no <Image name="page_2">'):
        config.image("page_2")


def test_problems_of_pages_are_found_without_a_task() -> None:
    assert problems(PAGES) == []
    without = PAGES.replace('toName="page_{{idx}}" smart="false"', 'toName="page" smart="false"')
    assert any("page_0" in problem for problem in problems(without))


@pytest.mark.parametrize("data", [{}, {"image": 5}, {"image": ""}, {"image": ["/0"]}])
def test_missing_image_address_is_named(data: dict[str, object]) -> None:
    config = LabelConfig.parse('<View><Image name="i" value="$image"/></View>')
    with pytest.raises(LabelConfigError, match=r'<Image name="i" value="\$image"> \(item 3\)'):
        config.image("i").url(data, 3)


def test_the_data_of_a_task_is_not_printed_whole() -> None:
    data = {f"key-{number}": "x" * 1000 for number in range(1000)}
    with pytest.raises(LabelConfigError) as error:
        LabelConfig.parse('<View><Image name="i" value="$doc.image"/></View>').image("i").url(data)
    assert len(str(error.value)) < 500


def test_unknown_image_lists_the_known_ones() -> None:
    with pytest.raises(LabelConfigError, match=r'no <Image name="photo">; it has: image'):
        LabelConfig.parse(CONFIG).image("photo")


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<View>",
        '<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><View>&b;</View>',
        '<!DOCTYPE v SYSTEM "file:///etc/passwd"><View/>',
    ],
)
def test_broken_or_hostile_xml_is_refused(xml: str) -> None:
    with pytest.raises(LabelConfigError):
        LabelConfig.parse(xml)


def test_names_count_as_they_are_written() -> None:
    """Label Studio's server takes a space in them, and its editor sends it."""
    xml = '<View><Image name="i " value="$image"/><BrushLabels name="b" toName="i ">%s</BrushLabels></View>'
    config = LabelConfig.parse(xml % '<Label value="Cup"/>')
    assert [output.mask.name for output in config.outputs("i ", ("Cup",))] == ["b"]

from __future__ import annotations

import pytest

from backend.label_studio.config_tree import (
    LabelConfigError,
    attributes,
    has_repeaters,
    is_on,
    look_up,
    parse,
    placed,
    write_out,
)

DOC = {"image": "/b", "pages": [{"image": "/0"}, {"image": "/1"}]}
DATA = {"image": "/a", "doc": DOC, "a.b": "/flat", "a": {"b": 1}}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$image", "/a"),
        ("$doc.image", "/b"),
        ("$doc.pages[1].image", "/1"),
        ("$doc.pages", [{"image": "/0"}, {"image": "/1"}]),
        ("$a.b", "/flat"),  # a key that is written so comes before the path
        ("$doc.pages[7].image", None),
        (f"$doc.pages[{'9' * 5000}].image", None),
        ("$doc.pages[x]", None),
        ("$image.more", None),
        ("$nothing", None),
        ("https://host$image", "https://host/a"),
        ("https://host$image.jpg", "https://host/a.jpg"),
        ("plain", "plain"),
    ],
)
def test_data_is_looked_up_as_the_editor_does(source: str, value: object) -> None:
    assert look_up(source, DATA) == value


REPEATED = """<View><Repeater on="$doc.pages" indexFlag="{{n}}" mode="pagination">
  <Image name="page_{{n}}" value="$doc.pages[{{n}}].image"/></Repeater></View>"""


def test_a_repeater_is_written_out_for_every_page() -> None:
    assert has_repeaters(REPEATED)
    found = [tag.attrib for tag in write_out(parse(REPEATED), DATA).iter("Image")]
    assert found == [
        {"name": "page_0", "value": "$doc.pages[0].image"},
        {"name": "page_1", "value": "$doc.pages[1].image"},
    ]
    assert [tag.attrib["name"] for tag in parse(REPEATED).iter("Image")] == ["page_{{n}}"]


def test_a_repeater_in_another_one_is_written_out_too() -> None:
    xml = """<View><Repeater on="$books"><Repeater on="$books[{{idx}}].pages" indexFlag="{{p}}">
      <Image name="i{{idx}}_{{p}}" value="$x"/></Repeater></Repeater></View>"""
    data = {"books": [{"pages": [1]}, {"pages": [1, 2]}]}
    assert [tag.attrib["name"] for tag in write_out(parse(xml), data).iter("Image")] == [
        "i0_0",
        "i1_0",
        "i1_1",
    ]


def test_the_number_of_a_page_is_written_as_often_as_the_editor_does() -> None:
    xml = """<View><Repeater on="$doc.pages"><Image name="{{idx}}_{{idx}}_{{idx}}"/>
      <View><Image name="{{idx}}_{{idx}}"/></View></Repeater></View>"""
    found = [tag.attrib["name"] for tag in write_out(parse(xml), DATA).iter("Image")]
    assert found == ["0_0_{{idx}}", "0_{{idx}}", "1_1_{{idx}}", "1_{{idx}}"]


def test_a_list_that_is_none_makes_no_pages() -> None:
    assert list(write_out(parse(REPEATED), {"doc": 5}).iter("Image")) == []


def test_a_repeater_cannot_fill_the_memory() -> None:
    with pytest.raises(LabelConfigError, match="more than 20000 tags"):
        write_out(parse(REPEATED), {"doc": {"pages": [None] * 20_000}})


def test_namespaces_change_nothing_as_for_the_editor() -> None:
    xml = REPEATED.replace("<View>", '<View xmlns="http://www.w3.org/1999/xhtml">')
    assert has_repeaters(xml)
    assert [tag.tag for tag in write_out(parse(xml), DATA).iter()] == ["View", *("View", "Image") * 2]


@pytest.mark.parametrize(
    ("xml", "value"),
    [
        ("<Label>Cat</Label>", "Cat"),
        ('<Label Value="Cat">\n My cat\n</Label>', "My cat"),
        ("<Label>A &amp; B</Label>", "A &amp; B"),
        ('<Label value="A &amp; B">\n</Label>', "A & B"),
        ('<Labels value="$classes">of <Label value="Cat"/></Labels>', "$classes"),
        ("<Label/>", None),
    ],
)
def test_text_in_a_tag_is_its_value_as_for_the_editor(xml: str, value: str | None) -> None:
    assert attributes(parse(xml)).get("value") == value


@pytest.mark.parametrize(
    "xml",
    [
        "<!-- <!DOCTYPE html> and <!ENTITY x> --><View/>",
        "<View><![CDATA[<!DOCTYPE html>]]></View>",
        '<?xml version="1.0" encoding="UTF-8"?><View/>',
        '<?xml version="1.0" encoding="UTF-16"?><View/>',
        "<View><Header value='Zeichne einen Umriß: “Tür” 🚪'/></View>",
    ],
)
def test_what_only_looks_like_a_declaration_is_read(xml: str) -> None:
    assert parse(xml).tag == "View"


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("<!DOCTYPE v><View/>", "document type definition"),
        ('<!DOCTYPE v [<!ENTITY a "aaaa">]><View>&a;</View>', "document type definition"),
        ('<!DOCTYPE v SYSTEM "file:///etc/passwd"><View/>', "document type definition"),
        ("<View>&a;</View>", "not XML"),
        ("<View>\ud800</View>", "not XML"),
        ("", "not XML"),
    ],
)
def test_declarations_and_what_is_no_xml_are_refused(xml: str, reason: str) -> None:
    with pytest.raises(LabelConfigError, match=reason):
        parse(xml)


def test_tags_stand_in_order_with_those_around_them() -> None:
    tags = list(placed(parse("<View><A><B/></A><C/></View>")))
    assert [(element.tag, place) for element, place in tags] == [
        ("View", (0,)),
        ("A", (0, 1)),
        ("B", (0, 1, 2)),
        ("C", (0, 3)),
    ]
    deep = parse("<View>" * 200 + "</View>" * 200)
    assert max(len(place) for _, place in placed(deep)) == 32


def test_what_is_on_or_off_is_read_as_meant() -> None:
    given = {"smart": "TRUE", "perregion": "False", "allowempty": "true"}
    assert [is_on(given, name) for name in (*given, "required")] == [True, False, True, False]
    assert is_on(given, "required", default=True) and not is_on(given, "perregion", default=True)

"""Reads the XML of a labeling config as the editor does, with its Repeaters written out and data looked up."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

from model.errors import ClickmaskError

# What the editor takes for a reference to the task's data.
REFERENCE = re.compile(r"\$[\w[\].{}]+")
_STEP = re.compile(r"[^.[\]]+")
_INDEX_FLAG = "{{idx}}"
_MOST_TAGS = 20_000  # that Repeaters may make of a config


class LabelConfigError(ClickmaskError, ValueError):
    """A labeling config that cannot be read, or that has no place for an answer. One sentence with the fix."""


@lru_cache(maxsize=64)
def parse(xml: str | None) -> Element:
    """Parse a labeling config; nobody may change what is returned.

    Raises:
        LabelConfigError: none at all, not XML, or XML with a document type declaration.
    """
    xml = xml or ""
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(xml.encode(), True)
        return ElementTree.fromstring(xml.encode(), ElementTree.XMLParser(encoding="utf-8"))
    except (expat.ExpatError, ElementTree.ParseError, UnicodeError) as error:
        raise LabelConfigError(
            f"the labeling config is not XML ({error}); copy it from the project settings"
        ) from None


@lru_cache(maxsize=64)
def has_repeaters(xml: str) -> bool:
    """Tell whether the tags of a config depend on the task; errors as for `parse`."""
    return any(_tag(element) == "repeater" for element in parse(xml).iter())


def write_out(root: Element, data: Mapping[str, Any]) -> Element:
    """Return a config with every Repeater replaced by its content, once for each element of a list in the data.

    Raises:
        LabelConfigError: that makes too many tags.
    """
    whole = copy.deepcopy(root)
    left = _MOST_TAGS
    waiting = [whole]
    while waiting:
        element = waiting.pop()
        for place, child in reversed(list(enumerate(element))):
            if _tag(child) == "repeater":
                pages = list(_pages(child, data, left))
                left -= sum(1 for page in pages for _ in page.iter())
                element[place : place + 1] = pages
        waiting.extend(element)
    return whole


def attributes(element: Element) -> dict[str, str]:
    """Return a tag's attributes by their names in lower case."""
    return {key.lower(): value for key, value in element.attrib.items()}


def look_up(source: str, data: Mapping[str, Any]) -> Any:
    """Return what an attribute such as ``$doc.pages[0].image`` stands for in a task's data; None for nothing.

    A key that is written with dots comes before a path of that form. Text around references stays.
    """
    if REFERENCE.fullmatch(source):
        return _find(source[1:], data)
    return REFERENCE.sub(lambda match: _text(_find_start(match[0][1:], data)), source)


def _refuse_doctype(*_: Any) -> None:
    raise LabelConfigError(
        "a labeling config with a document type definition is refused; remove <!DOCTYPE ...>"
    )


def _tag(element: Element) -> str:
    return str(element.tag).lower()


def _repeated(repeater: Element, data: Mapping[str, Any]) -> list[Any]:
    found = look_up(attributes(repeater).get("on", ""), data)
    return found if isinstance(found, list) else []


def _pages(repeater: Element, data: Mapping[str, Any], most: int) -> Iterator[Element]:
    flag = attributes(repeater).get("indexflag", _INDEX_FLAG)
    size = sum(1 for _ in repeater.iter())
    pages = len(_repeated(repeater, data))
    if pages * size > most:
        raise LabelConfigError(
            f"a <Repeater> of the labeling config makes more than {_MOST_TAGS} tags of {pages} pages: split the task"
        )
    for number in range(pages):
        page = Element("View")
        page.extend(copy.deepcopy(list(repeater)))
        for element in (*page.iter(), *page):
            # Once in each attribute, and twice in those of the outermost tags, as the editor does.
            element.attrib = {
                key: value.replace(flag, str(number), 1) for key, value in element.attrib.items()
            }
        yield page


def _find(path: str, data: Any) -> Any:
    if isinstance(data, Mapping) and path in data:
        return data[path]
    for step in _STEP.findall(path):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isdecimal() and len(step) < 10 and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data


def _find_start(path: str, data: Mapping[str, Any]) -> Any:
    """Look up a reference inside a text, where a dot may also belong to the text: ``$name.jpg``."""
    found = _find(path, data)
    if found is None and "." in path:
        start, dot, rest = path.rpartition(".")
        found = _find_start(start, data)
        return None if found is None else f"{_text(found)}{dot}{rest}"
    return found


def _text(value: Any) -> str:
    return "" if value is None else str(value)

"""Reads the XML of a labeling config as the editor does, with its Repeaters written out and data looked up."""

from __future__ import annotations

import copy
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat
from xml.sax.saxutils import escape

from model.errors import ClickmaskError

# What the editor takes for a reference to the task's data.
REFERENCE = re.compile(r"\$[\w[\].{}]+")
_STEP = re.compile(r"[^.[\]]+")
_INDEX_FLAG = "{{idx}}"
_MOST_TAGS = 20_000  # that Repeaters may make of a config
_MOST_LEVELS = 32  # that tell where a tag stands


class LabelConfigError(ClickmaskError, ValueError):
    """A labeling config that cannot be read, or that has no place for an answer. One sentence with the fix."""


@lru_cache(maxsize=64)
def parse(xml: str | None) -> Element:
    """Parse a labeling config, without its namespaces; nobody may change what is returned.

    Raises:
        LabelConfigError: none at all, not XML, or XML with a document type declaration.
    """
    xml = xml or ""
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(xml.encode(), True)
        root = ElementTree.fromstring(xml.encode(), ElementTree.XMLParser(encoding="utf-8"))
    except (expat.ExpatError, ElementTree.ParseError, UnicodeError) as error:
        raise LabelConfigError(
            f"the labeling config is not XML ({error}); copy it from the project settings"
        ) from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # the editor goes by the name that is written
    return root


@lru_cache(maxsize=64)
def has_repeaters(xml: str) -> bool:
    """Tell whether the tags of a config depend on the task; errors as for `parse`."""
    return any(_tag(element) == "repeater" for element in parse(xml).iter())


@dataclass(frozen=True)
class ImageTag:
    """An ``<Image>`` tag.

    Attributes:
        name: what ``toName`` and ``to_name`` refer to.
        source: its ``value`` (or ``valueList``), normally ``$key`` with ``key`` a key of the task's data.
        attribute: which of the two it is.
    """

    name: str
    source: str
    attribute: str = "value"

    def indices(self, data: Mapping[str, Any]) -> Sequence[int | None]:
        """Return the positions of its images in a task's ``data``: those in a list, or None alone for one image."""
        value = look_up(self.source, data)
        return range(len(value)) if isinstance(value, list) else (None,)

    def url(self, data: Mapping[str, Any], item_index: int | None = None) -> str:
        """Return the image's address in a task's ``data``; ``item_index`` picks one of a list.

        Raises:
            LabelConfigError: the data has no such key or no address there.
        """
        value = look_up(self.source, data)
        if isinstance(value, list):
            index = item_index or 0
            value = value[index] if 0 <= index < len(value) else None
        address = value.strip() if isinstance(value, str) else ""  # as browsers read it
        if not address:
            at = "" if item_index is None else f" (item {item_index})"
            raise LabelConfigError(
                f'the task has no image address for <Image name="{self.name}" value="{self.source}">{at}; '
                f"its data has the keys {_keys(data)}"
            )
        return address


class _FirstPages(dict[str, Any]):
    """Data in which every list has one element, so that a config can be looked at without a task."""

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> Any:
        return [{}]


def write_out(root: Element, data: Mapping[str, Any] | None) -> Element:
    """Return a config with every Repeater replaced by its content, once for each element of a list in the data.

    Without data it is written out once.

    Raises:
        LabelConfigError: that makes too many tags.
    """
    whole, data = copy.deepcopy(root), _FirstPages() if data is None else data
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


def placed(root: Element) -> Iterator[tuple[Element, tuple[int, ...]]]:
    """Yield every tag in order, with the numbers of those around it and its own; the outermost 32 are enough."""
    waiting: list[tuple[Element, tuple[int, ...]]] = [(root, ())]
    for number in count():
        if not waiting:
            return
        element, around = waiting.pop()
        place = (*around, number)[:_MOST_LEVELS]
        yield element, place
        waiting += [(child, place) for child in reversed(element)]


def attributes(element: Element) -> dict[str, str]:
    """Return a tag's attributes by their names in lower case.

    Text in a tag without further tags is its value, whatever the attribute says; the editor takes it as it is written
    in XML, with ``&amp;`` for an ampersand.
    """
    found = {key.lower(): value for key, value in element.attrib.items()}
    text = "" if len(element) else escape((element.text or "").strip())
    return {**found, "value": text} if text else found


def is_on(given: Mapping[str, str], name: str, default: bool = False) -> bool:
    """Tell whether an attribute is meant to be on; with another spelling than "true" or "false" no editor opens."""
    return given.get(name, str(default)).lower() == "true"


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


def _keys(data: Mapping[str, Any]) -> str:
    shown = reprlib.Repr()
    shown.maxlist, shown.maxstring = 12, 40
    return shown.repr(sorted(map(str, data)))

"""Label Studio's labeling config: which image tags there are and which control carries a label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any
from xml.etree import ElementTree

from model.errors import ClickmaskError

BRUSH, POLYGON, KEYPOINT, RECTANGLE = "brushlabels", "polygonlabels", "keypointlabels", "rectanglelabels"
_TAGS = {
    BRUSH: "BrushLabels",
    POLYGON: "PolygonLabels",
    KEYPOINT: "KeyPointLabels",
    RECTANGLE: "RectangleLabels",
}
_VARIABLE = re.compile(r"\$(\w+)")


class LabelConfigError(ClickmaskError, ValueError):
    """A labeling config that cannot be read, or that has no place for an answer. One sentence with the fix."""


@dataclass(frozen=True)
class ImageTag:
    """An ``<Image>`` tag.

    Attributes:
        name: what ``toName`` and ``to_name`` refer to.
        source: its ``value`` (or ``valueList``), normally ``$key`` with ``key`` a key of the task's data.
    """

    name: str
    source: str

    def url(self, data: Mapping[str, Any], item_index: int | None = None) -> str:
        """Return the image's address in a task's ``data``; ``item_index`` picks one of a list.

        Raises:
            LabelConfigError: the data has no such key or no address there.
        """
        whole = _VARIABLE.fullmatch(self.source)
        value = (
            data.get(whole[1]) if whole else _VARIABLE.sub(lambda key: str(data.get(key[1], "")), self.source)
        )
        if isinstance(value, list):
            index = item_index or 0
            value = value[index] if 0 <= index < len(value) else None
        if not isinstance(value, str) or not value:
            at = "" if item_index is None else f" (item {item_index})"
            raise LabelConfigError(
                f'the task has no image address for <Image name="{self.name}" value="{self.source}">{at}; '
                f"its data has the keys {sorted(map(str, data))}"
            )
        return value


@dataclass(frozen=True)
class Control:
    """A control tag with labels.

    Attributes:
        kind: the result type it makes: ``brushlabels``, ``polygonlabels``, ``keypointlabels``, ``rectanglelabels``.
        name: what ``from_name`` refers to.
        to_names: names of the image tags it draws on.
        labels: label names as they appear in results (a label's ``alias`` where it has one), in order.
        dynamic: True where labels come from the task's data, so that any label may be used.
        smart: True where Label Studio may use it to prompt the backend.
    """

    kind: str
    name: str
    to_names: tuple[str, ...]
    labels: tuple[str, ...]
    dynamic: bool = False
    smart: bool = True

    def carries(self, label: str) -> bool:
        """Tell whether results of this control may hold ``label``."""
        return self.dynamic or label in self.labels


@dataclass(frozen=True)
class LabelConfig:
    """The part of a labeling config that click segmentation needs."""

    images: tuple[ImageTag, ...] = ()
    controls: tuple[Control, ...] = ()

    @staticmethod
    def parse(xml: str) -> LabelConfig:
        """Read a labeling config; tag and attribute names are compared without regard to case.

        Raises:
            LabelConfigError: not XML, or XML with a document type definition.
        """
        return _parse(xml)

    def image(self, to_name: str) -> ImageTag:
        """Return the image tag of that name; LabelConfigError when there is none."""
        for tag in self.images:
            if tag.name == to_name:
                return tag
        known = ", ".join(tag.name for tag in self.images) or "none"
        raise LabelConfigError(f'the labeling config has no <Image name="{to_name}">; it has: {known}')

    def outputs(self, to_name: str, labels: tuple[str, ...]) -> tuple[Control, ...]:
        """Return the controls that take a mask with all of ``labels`` on ``to_name``: a brush, a polygon, or both.

        Raises:
            LabelConfigError: there is none; the sentence says what to add to the config.
        """
        found = [self._first(kind, to_name, labels) for kind in (BRUSH, POLYGON)]
        controls = tuple(control for control in found if control is not None)
        if not controls:
            raise LabelConfigError(self._missing(to_name, labels))
        return controls

    def problems(self) -> list[str]:
        """Return what keeps clicks from working in a project with this config; one sentence with the fix each."""
        if not self.images:
            return ['there is no <Image>; add <Image name="image" value="$image"/>']
        prompts = [
            control for control in self.controls if control.kind in (KEYPOINT, RECTANGLE) and control.smart
        ]
        found = []
        if not prompts:
            found.append(
                'there is nothing to click with; add <KeyPointLabels name="kp" toName="image" smart="true">'
            )
        for control in prompts:
            for to_name, label in product(control.to_names, control.labels):
                try:
                    self.image(to_name)
                    self.outputs(to_name, (label,))
                except LabelConfigError as error:
                    found.append(f'<{_TAGS[control.kind]} name="{control.name}">: {error}')
        for control in self.controls:
            if control.kind in (BRUSH, POLYGON) and control.smart:
                name = f'<{_TAGS[control.kind]} name="{control.name}">'
                found.append(f'{name} offers a smart tool that does nothing; add smart="false" to it')
        return found

    def _first(self, kind: str, to_name: str, labels: tuple[str, ...]) -> Control | None:
        for control in self.controls:
            if control.kind == kind and to_name in control.to_names and all(map(control.carries, labels)):
                return control
        return None

    def _missing(self, to_name: str, labels: tuple[str, ...]) -> str:
        wanted = ", ".join(repr(label) for label in labels)
        takers = [c for c in self.controls if c.kind in (BRUSH, POLYGON) and to_name in c.to_names]
        if not takers:
            return f'no <BrushLabels> or <PolygonLabels> has toName="{to_name}"; add one with label {wanted}'
        names = " or ".join(f'<{_TAGS[c.kind]} name="{c.name}">' for c in takers)
        return f"label {wanted} is not in {names}; give it the same labels as the prompt tool"


@lru_cache(maxsize=64)
def _parse(xml: str) -> LabelConfig:
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise LabelConfigError(
            "a labeling config with a document type definition is refused; remove <!DOCTYPE ...>"
        )
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise LabelConfigError(
            f"the labeling config is not XML ({error}); copy it from the project settings"
        ) from None
    images, controls = [], []
    for element in root.iter():
        attributes = _attributes(element)
        kind, name = str(element.tag).lower(), attributes.get("name", "")
        if kind == "image":
            images.append(ImageTag(name, attributes.get("valuelist") or attributes.get("value", "")))
        elif kind in _TAGS:
            controls.append(_control(kind, name, attributes, element))
    return LabelConfig(tuple(images), tuple(controls))


def _control(kind: str, name: str, attributes: dict[str, str], element: ElementTree.Element) -> Control:
    labels = [_attributes(child) for child in element.iter() if str(child.tag).lower() == "label"]
    return Control(
        kind=kind,
        name=name,
        to_names=tuple(part.strip() for part in attributes.get("toname", "").split(",")),
        labels=tuple(label.get("alias") or label.get("value", "") for label in labels),
        dynamic=attributes.get("value", "").startswith("$"),
        # Label Studio 1.23 takes every control for smart unless it says otherwise.
        smart=attributes.get("smart", "true").lower() == "true",
    )


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    return {key.lower(): value for key, value in element.attrib.items()}

"""Knows a labeling config: which image tags there are, and which controls take a mask with a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

from backend.label_studio import config_tree
from backend.label_studio.config_tree import ImageTag, LabelConfigError, attributes, is_on, look_up

# Shapes that a control draws. A result is of the type "brush", or "brushlabels" where the control has labels itself.
BRUSH, BITMASK, POLYGON = "brush", "bitmask", "polygon"
KEYPOINT, RECTANGLE = "keypoint", "rectangle"
MASKS, PROMPTS = (BRUSH, BITMASK, POLYGON), (KEYPOINT, RECTANGLE)
LABELS = "labels"  # the type of a control that names what others draw
WAND = "magicwand"  # annotators draw masks like those of a brush with it; none of ours become its own
MOST_NAMED = 5  # labels in one sentence
_TAGS = {KEYPOINT: "KeyPoint", WAND: "MagicWand"}  # those with a capital inside


def shape_of(kind: str) -> str:
    """Return the shape in a result's type: ``brush`` of ``brush`` and ``brushlabels``; "" of ``labels``."""
    return kind.removesuffix(LABELS)


@dataclass(frozen=True)
class Control:
    """A control tag that draws masks or prompts, or names them.

    Attributes:
        kind: the type of the results it makes: ``brushlabels``, ``brush``, ``keypoint``, ``labels`` ...
        name: what ``from_name`` refers to.
        to_names: names of the image tags it draws on.
        labels: label names as they appear in results (a label's ``alias`` where it has one), in order.
        source: where labels come from a task's data that is not known, so that it may have any: ``$key``; else "".
        smart: True where Label Studio may use it to prompt the backend.
        allows_none: whether its results may have no label, for which annotators choose the label "blank": the editor
            shows it where ``allowEmpty="true"``, and for a label without a name.
        place: numbers of the tags around it and its own, see `config_tree.placed`.
    """

    kind: str
    name: str
    to_names: tuple[str, ...]
    labels: tuple[str, ...] = ()
    source: str = ""
    smart: bool = True
    allows_none: bool = False
    place: tuple[int, ...] = ()

    @property
    def shape(self) -> str:
        """What it draws; "" for a control that only names."""
        return shape_of(self.kind)

    @property
    def labelled(self) -> bool:
        """Whether its results hold labels."""
        return self.kind.endswith(LABELS)

    @property
    def tag(self) -> str:
        """The tag as it stands in the config, with its name."""
        return f'<{_TAGS.get(self.shape, self.shape.title())}{"Labels" if self.labelled else ""} name="{self.name}">'

    def carries(self, labels: tuple[str, ...]) -> bool:
        """Tell whether results of this control may hold all of some labels."""
        return self.labelled and (bool(self.source) or set(labels) <= set(self.labels))

    def likeness(self, other: Control) -> tuple[int, int]:
        """Return how many labels two controls have in common, and how many of the tags around them."""
        return len({*self.labels} & {*other.labels}), len({*self.place} & {*other.place})


@dataclass(frozen=True)
class Output:
    """Where a mask goes.

    Attributes:
        mask: the control that draws it.
        name: the one that names it, where the first has no labels.
        renamable: whether there is a ``<Labels>`` with which annotators may rename it.
    """

    mask: Control
    name: Control | None = None
    renamable: bool = False


@dataclass(frozen=True)
class LabelConfig:
    """The part of a labeling config that click segmentation needs, for one task."""

    images: tuple[ImageTag, ...] = ()
    controls: tuple[Control, ...] = ()

    @staticmethod
    def parse(xml: str, data: Mapping[str, Any] | None = None) -> LabelConfig:
        """Read a labeling config; tag and attribute names are compared without regard to case.

        Args:
            data: of the task, for its pages of Repeaters and its labels; None reads one page, and no such labels.

        Raises:
            LabelConfigError: not XML, or XML with a document type declaration.
        """
        repeated = config_tree.has_repeaters(xml)
        config = _read(config_tree.write_out(config_tree.parse(xml), data)) if repeated else _parse(xml)
        return replace(config, controls=tuple(_with_labels(c, data or {}) for c in config.controls))

    def image(self, to_name: str) -> ImageTag:
        """Return the image tag of that name; LabelConfigError when there is none."""
        for tag in self.images:
            if tag.name == to_name:
                return tag
        known = ", ".join(tag.name for tag in self.images) or "none"
        raise LabelConfigError(f'the labeling config has no <Image name="{to_name}">; it has: {known}')

    def asked_with(self, names: Sequence[str]) -> LabelConfig:
        """Return the config for a prompt that controls of these names made: those most like them come first."""
        made = [c for c in self.controls if c.name in names]
        ranked = sorted(self.controls, key=lambda c: max(map(c.likeness, made), default=(0, 0)), reverse=True)
        return replace(self, controls=tuple(ranked))

    def outputs(self, to_name: str, labels: tuple[str, ...]) -> tuple[Output, ...]:
        """Return where a mask with all of ``labels`` on ``to_name`` goes.

        Controls with these labels come first: the first brush or bitmask, and the first polygon. Else it is one
        control without labels, a brush before a bitmask before a polygon, beside a ``<Labels>`` that has them.

        Raises:
            LabelConfigError: there is none; the sentence says what to add to the config.
        """
        takers = self.takers(to_name)
        carriers = [c for c in takers if (c.carries(labels) if labels else c.allows_none)]
        pixels = [c for c in carriers if c.shape != POLYGON][:1]
        polygons = [c for c in carriers if c.shape == POLYGON][:1]
        if carriers:
            remarks = self.remarks(to_name)
            renamable = any(row.source or set(row.labels) - remarks for row in self.rows(to_name))
            return tuple(Output(control, None, renamable) for control in pixels + polygons)
        plain = sorted((c for c in takers if not c.labelled), key=lambda c: MASKS.index(c.shape))
        if plain:
            rows = self.rows(to_name)
            names = [c for c in rows if labels and c.carries(labels)]
            labelled = [c for c in rows + takers if c.labelled]
            if labels and labelled and not names:
                raise LabelConfigError(self._missing(to_name, labels, labelled))
            return (Output(plain[0], names[0] if names else None, bool(names)),)
        raise LabelConfigError(self._missing(to_name, labels, takers))

    def named(self, to_name: str, labels: tuple[str, ...]) -> tuple[Output, ...]:
        """Return where a mask goes that keeps all of ``labels``, see `outputs`; an error, too, where it would not."""
        outputs = self.outputs(to_name, labels)
        if labels and not (outputs[0].mask.labelled or outputs[0].name):
            raise LabelConfigError(f"no <Labels> has label {', '.join(map(repr, labels))}")
        return outputs

    def labels(self, to_name: str) -> tuple[str, ...]:
        """Return the labels that a mask on ``to_name`` may have, in order."""
        takers = [c for c in self.takers(to_name) if c.labelled]
        rows = [] if takers and takers == self.takers(to_name) else self.rows(to_name)
        return tuple(dict.fromkeys(label for control in rows + takers for label in control.labels))

    def remarks(self, to_name: str) -> frozenset[str]:
        """Return the labels that say something else of an object than what it is, such as "occluded".

        They are those of a ``<Labels>`` of which a mask on ``to_name`` may have none.
        """
        masks = set(self.labels(to_name))
        rows = [row.labels for row in self.rows(to_name)]
        return frozenset(label for row in rows if masks and not masks & set(row) for label in row)

    def blank(self, to_name: str) -> bool:
        """Tell whether a mask on ``to_name`` may have no label."""
        return any(c.allows_none or not c.labelled for c in self.takers(to_name))

    def meant(self, to_name: str, given: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        """Return the labels that a mask on ``to_name`` is to have; () where none is chosen.

        Args:
            given: labels that a prompt has of different controls, those that come first count; some are remarks.
        """
        remarks = self.remarks(to_name)
        names = next(filter(None, (tuple(n for n in labels if n not in remarks) for labels in given)), ())
        if not names and not self.choice(to_name):
            return next(filter(None, given), ())  # the config is wrong: what was chosen has no mask
        if all(c.labelled for c in self.takers(to_name)):
            return names
        # One row names a mask of a control without labels.
        rows = self.rows(to_name)
        named = max((tuple(n for n in names if row.carries((n,))) for row in rows), key=len, default=())
        return named or (names if self.labels(to_name) else ())

    def choice(self, to_name: str) -> list[str]:
        """Return the labels that people choose from, without remarks."""
        remarks = self.remarks(to_name)
        givers = [c for c in self.controls if c.shape not in MASKS and to_name in c.to_names]
        return [label for giver in givers for label in giver.labels if label not in remarks]

    def takers(self, to_name: str) -> list[Control]:
        """Return the controls that draw masks on ``to_name``."""
        return [c for c in self.controls if c.shape in MASKS and to_name in c.to_names]

    def rows(self, to_name: str) -> list[Control]:
        """Return the controls that name what others draw on ``to_name``."""
        return [c for c in self.controls if c.kind == LABELS and to_name in c.to_names]

    def _missing(self, to_name: str, labels: tuple[str, ...], takers: list[Control]) -> str:
        more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
        wanted = ", ".join(map(repr, labels[:MOST_NAMED])) + more or "(none)"
        if not takers:
            return f'no <BrushLabels> or <PolygonLabels> has toName="{to_name}"; add one with label {wanted}'
        names = " or ".join(control.tag for control in takers)
        return f"label {wanted} is not in {names}; give it the same labels as the prompt tool"


@lru_cache(maxsize=64)
def _parse(xml: str) -> LabelConfig:
    return _read(config_tree.parse(xml))


def _read(root: Element) -> LabelConfig:
    images, controls = [], []
    for element, place in config_tree.placed(root):
        given = attributes(element)
        kind, name = str(element.tag).lower(), given.get("name", "")
        if kind == "image":
            several = given.get("valuelist")
            images.append(
                ImageTag(name, several, "valueList") if several else ImageTag(name, given.get("value", ""))
            )
        elif kind in (LABELS, WAND) or shape_of(kind) in MASKS + PROMPTS:
            controls.append(replace(_control(kind, name, given, element), place=place))
    if len(images) == 1:  # the editor connects what does not say to what
        controls = [c if any(c.to_names) else replace(c, to_names=(images[0].name,)) for c in controls]
    return LabelConfig(tuple(images), tuple(controls))


def _control(kind: str, name: str, given: dict[str, str], element: Element) -> Control:
    labels = [attributes(child) for child in element.iter() if str(child.tag).lower() == "label"]
    names = [label.get("alias") or label.get("value", "") for label in labels]
    source = given.get("value", "")
    return Control(
        kind=kind,
        name=name,
        to_names=tuple(given.get("toname", "").split(",")),
        labels=tuple(filter(None, names)),
        source=source if source.startswith("$") else "",
        # Label Studio 1.23 takes every control for smart unless it says otherwise.
        smart=is_on(given, "smart", default=True),
        allows_none=is_on(given, "allowempty") or "" in names,
    )


def _with_labels(control: Control, data: Mapping[str, Any]) -> Control:
    """Add the labels that a task brings, where it brings any."""
    found = look_up(control.source, data) if control.source else None
    if not isinstance(found, list):
        return control
    told = [e.get("alias") or e.get("value") if isinstance(e, dict) else e for e in found]
    return replace(control, labels=control.labels + tuple(str(label) for label in told if label), source="")

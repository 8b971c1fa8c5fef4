"""What keeps clicks from masks in a labeling config that Label Studio takes, and what is not as meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from backend.label_studio.config_tree import attributes, is_on, parse
from backend.label_studio.label_config import (
    BITMASK,
    BRUSH,
    LABELS,
    MASKS,
    PROMPTS,
    WAND,
    Control,
    LabelConfig,
    LabelConfigError,
    shape_of,
)

# Attributes of which the editor of Label Studio 1.23 takes "true" and "false" alone, in this spelling.
_BOOLEAN = re.compile(
    "smart(only)?|per(region|item)|allow(empty|nested|submit)|required|selected|canrotate|crosshair|grid|lazyoff"
    "|show(inline|labels|alias|fullpath|submitbutton)|smoothing|(negative)?zoom|editable|transcription|skipduplicates"
    "|(zoom|brightness|contrast|rotate|selection)control|slider|labeling|leafsonly|legacy|collapsible|bordered"
    "|accordion|open|underline|casesensetive",
    re.IGNORECASE,
)
# Attributes of which it takes any text but these two words; the value of a Label or a Choice may be one of them.
_TEXT = re.compile(
    "alias|hint|hotkey|(to)?name|placeholder|title|when(tagname|(label|choice)value)", re.IGNORECASE
)


def problems(xml: str) -> list[str]:
    """Return what keeps clicks from working in a project with this config; one sentence with the fix each.

    Raises:
        LabelConfigError: as `LabelConfig.parse`.
    """
    config = LabelConfig.parse(xml)
    if not config.images:
        return ['there is no <Image>; add <Image name="image" value="$image"/>']
    tools = [control for control in config.controls if control.shape in PROMPTS]
    prompts = [tool for tool in tools if tool.smart]
    found = []
    if tools and not prompts:  # another one of the same name would be refused
        found.append(f'there is nothing to click with; {tools[0].tag} needs smart="true"')
    elif not prompts:
        found.append(
            f'there is nothing to click with; add <KeyPoint name="kp" toName="{config.images[0].name}" '
            'smart="true" smartOnly="true"/> beside <Labels>, or <KeyPointLabels>'
        )
    found += _unopened(xml, config.images[0].name)
    found += [problem for prompt in prompts for problem in dict.fromkeys(_unanswered(config, prompt))]
    for control in (c for c in config.controls if c.shape not in MASKS and c.to_names[1:]):
        names = ",".join(control.to_names)
        found.append(f'{control.tag}: the editor finds no image "{names}"; give each a tag of its own')
    return found


def _unopened(xml: str, image: str) -> Iterator[str]:
    """Say what Label Studio takes, but its editor does not open with."""
    said = "the editor does not open with"
    for kind, tag, given in _tags(xml):
        if (kind == WAND or shape_of(kind) in MASKS + PROMPTS) and not given.get("toname"):
            yield f'{said} {tag}; add toName="{image}" to it'
    for element in parse(xml).iter():
        for name, value in element.attrib.items():
            if _BOOLEAN.fullmatch(name) and value not in ("true", "false"):
                yield f'{said} {name}="{value}" in <{element.tag}>; write {name}="true" or {name}="false"'
            elif _TEXT.fullmatch(name) and value in ("true", "false"):
                yield (
                    f'{said} {name}="{value}" in <{element.tag}>, where it wants text; write another word there, '
                    'such as "True", and in what refers to it'
                )


def warnings(xml: str) -> list[str]:
    """Return what is not as meant where clicks work nevertheless; one sentence with the fix each.

    Raises:
        LabelConfigError: as `LabelConfig.parse`.
    """
    config = LabelConfig.parse(xml)
    idle = (c for c in config.controls if c.shape in (BRUSH, BITMASK, WAND) and c.smart)
    found = [f'{c.tag} offers a smart tool that does nothing; add smart="false" to it' for c in idle]
    return found + [
        f'{tag} takes a mask away that is not accepted yet: Label Studio asks about {what}; add smart="false" to it'
        for tag, what in _asking(xml)
    ]


def _tags(xml: str) -> list[tuple[str, str, dict[str, str]]]:
    """Return kind, the tag as it is to be shown, and attributes of every tag."""
    found = [(str(element.tag), attributes(element)) for element in parse(xml).iter()]
    return [(tag.lower(), f'<{tag} name="{given.get("name", "")}">', given) for tag, given in found]


def _asking(xml: str) -> Iterator[tuple[str, str]]:
    """Yield the tags about whose results Label Studio asks as about clicks, and what these are.

    It asks about every text that belongs to no region, and about every region of what is no image.
    """
    tags = _tags(xml)
    others = {given["name"] for kind, _, given in tags if kind != "image" and "name" in given}
    for kind, tag, given in tags:
        elsewhere = given.get("toname") in others
        if not is_on(given, "smart", default=True):
            continue
        if kind == "textarea" and (elsewhere or not is_on(given, "perregion")):
            yield tag, "what is typed there"
        elif kind.endswith(LABELS) and elsewhere:
            yield tag, "what is marked with it"


def _unanswered(config: LabelConfig, prompt: Control) -> Iterator[str]:
    """Say for which labels a prompt of this control gets no mask."""
    for to_name in prompt.to_names:
        if not _nameable(config, prompt, to_name):
            yield f"{prompt.tag}: no click can be given a label; add <Labels> with those that masks have"
            continue
        rows, takers = config.rows(to_name), config.takers(to_name)
        labels = (
            prompt.labels
            or config.choice(to_name)
            or [label for row in rows for label in row.labels]
            or config.labels(to_name)
            or [c.source for c in (prompt, *rows, *takers) if c.source]  # only a task tells
        )
        for chosen in _alike(config, labels) or [()]:
            try:
                config.image(to_name)
                output, *_ = config.outputs(to_name, chosen)
                if (prompt.source or len(prompt.labels) > 1) and not config.meant(to_name, [chosen]):
                    yield f"{prompt.tag}: {output.mask.tag} keeps none of its labels; add <Labels> with them"
            except LabelConfigError as error:
                yield f"{prompt.tag}: {error}"


def _alike(config: LabelConfig, labels: Sequence[str]) -> list[tuple[str, ...]]:
    """Group labels by the controls that have them: what holds for one of a group holds for all."""
    places: dict[str, tuple[int, ...]] = {}
    for number, control in enumerate(config.controls):
        for label in set(control.labels):
            places[label] = (*places.get(label, ()), number)
    groups: dict[tuple[int, ...], list[str]] = {}
    for label in labels:
        groups.setdefault(places.get(label, ()), []).append(label)
    return [tuple(dict.fromkeys(group)) for group in groups.values()]


def _nameable(config: LabelConfig, prompt: Control, to_name: str) -> bool:
    """Tell whether prompts can be given a label where masks have several: the editor unselects other tools'."""
    remarks, kinds = config.remarks(to_name), (LABELS, prompt.shape + LABELS)
    givers = [c for c in config.controls if c.kind in kinds and to_name in c.to_names]
    return len(config.labels(to_name)) < 2 or any(c.source or set(c.labels) - remarks for c in givers)

"""Labeling configs that projects have had since before there was one row of labels, and others that people write."""

from __future__ import annotations

from collections.abc import Sequence

IMAGE = '<Image name="image" value="$image" zoom="true" zoomControl="true" rotateControl="true"/>'
CONTROLS = {"brush": "BrushLabels", "polygon": "PolygonLabels", "bitmask": "BitmaskLabels"}


def tags_of(labels: Sequence[str]) -> str:
    """Return a Label tag for each label."""
    return "".join(f'<Label value="{label}"/>' for label in labels)


def separate_rows(labels: Sequence[str], *outputs: str) -> str:
    """Return a config whose masks, clicks and boxes have a row of labels each; masks are brushes by default."""
    tags = tags_of(labels)
    masks = "".join(
        f'<{CONTROLS[output]} name="{output}" toName="image" smart="false">{tags}</{CONTROLS[output]}>'
        for output in outputs or ("brush",)
    )
    return f"""<View>
  {IMAGE}
  {masks}
  <KeyPointLabels name="kp" toName="image" smart="true" smartOnly="true">{tags}</KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true">{tags}</RectangleLabels>
</View>"""


def labels_beside(labels: Sequence[str], mask: str) -> str:
    """Return a config with one row of labels beside controls that have none, the mask's among them."""
    return f"""<View>
  {IMAGE}
  <Labels name="label" toName="image">{tags_of(labels)}</Labels>
  <{mask} name="mask" toName="image" smart="false"/>
  <KeyPoint name="kp" toName="image" smart="true" smartOnly="true"/>
  <Rectangle name="rect" toName="image" smart="true"/>
</View>"""


def pages(labels: Sequence[str]) -> str:
    """Return a config of which every page shows one image of `$pages`, with rows of its own."""
    tags = tags_of(labels)
    return f"""<View><Repeater on="$pages" indexFlag="{{{{idx}}}}" mode="pagination">
  <Image name="page_{{{{idx}}}}" value="$pages[{{{{idx}}}}].image"/>
  <KeyPointLabels name="kp_{{{{idx}}}}" toName="page_{{{{idx}}}}" smart="true">{tags}</KeyPointLabels>
  <BrushLabels name="brush_{{{{idx}}}}" toName="page_{{{{idx}}}}" smart="false">{tags}</BrushLabels>
</Repeater></View>"""

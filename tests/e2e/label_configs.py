"""Labeling configs that projects have had since before there was one row of labels."""

from __future__ import annotations

from collections.abc import Sequence

CONTROLS = {"brush": "BrushLabels", "polygon": "PolygonLabels"}


def separate_rows(labels: Sequence[str], output: str = "brush") -> str:
    """Return a config whose masks, clicks and boxes have a row of labels each."""
    tags = "".join(f'<Label value="{label}"/>' for label in labels)
    return f"""<View>
  <Image name="image" value="$image" zoom="true" zoomControl="true" rotateControl="true"/>
  <{CONTROLS[output]} name="{output}" toName="image" smart="false">{tags}</{CONTROLS[output]}>
  <KeyPointLabels name="kp" toName="image" smart="true" smartOnly="true">{tags}</KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true">{tags}</RectangleLabels>
</View>"""

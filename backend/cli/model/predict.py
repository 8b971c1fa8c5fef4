"""`clickmask predict`: one image and some clicks in, a mask out; no Label Studio needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Numbers(click.ParamType):
    """So many numbers with commas between them."""

    name = "numbers"

    def __init__(self, form: str) -> None:
        self._form = form

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self._form

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != self._form.count(",") + 1:
            self.fail(f"{value!r}: write {self._form}, in pixels from the top left corner", param, ctx)
        return numbers


@click.command("predict")
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--click", "positive", type=Numbers("x,y"), multiple=True, help="A pixel of the object. Repeatable."
)
@click.option("--negative", type=Numbers("x,y"), multiple=True, help="A pixel beside the object. Repeatable.")
@click.option("--box", type=Numbers("x0,y0,x1,y1"), help="A rectangle around the object.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Default: IMAGE-mask.png."
)
@click.option("--model", default="base", show_default=True, help="A line or a version of the registry.")
def command(image: Path, positive: Any, negative: Any, box: Any, output: Path | None, model: str) -> None:
    """Cut an object out of IMAGE: white in a PNG of the image's size (upright, if it has an EXIF orientation).

    The clicks are made in this order: box, --click from left to right, --negative from left to right.
    """
    if not positive and box is None:
        raise click.UsageError("say where the object is: --click x,y or --box x0,y0,x1,y1")
    _predict(image, positive, negative, box, output or image.with_name(f"{image.stem}-mask.png"), model)


def _predict(image: Path, positive: Any, negative: Any, box: Any, target: Path, model: str) -> None:
    from PIL import Image

    from backend.serving.loader import load
    from backend.settings import Settings
    from model.click import Click
    from model.image_file import decode
    from model.inference.clean import remove_small_regions
    from model.inference.predictor import box_prior, replay
    from model.versions.registry import Registry

    settings = Settings.from_env()
    pixels = decode(image.read_bytes(), settings.max_image_megapixels)
    height, width = pixels.shape[:2]
    clicks = [Click(x, y) for x, y in positive] + [Click(x, y, positive=False) for x, y in negative]
    for point in clicks:
        if not (0 <= point.x < width and 0 <= point.y < height):
            raise click.BadParameter(
                f"{point.x:g},{point.y:g} is outside the image, which is {width} x {height} pixels"
            )
    inside = None if box is None else _inside(box, width, height)
    registry = Registry(settings.home, settings.registry)
    registry.ensure_base()
    served = load(registry.find(model), settings)
    start = None
    if inside is not None:
        start = served.predictor.predict(pixels, [], box_prior((height, width), inside))
    probability = replay(served.predictor, pixels, clicks, start)
    mask = remove_small_regions(probability, clicks)
    try:
        Image.fromarray(mask.astype("uint8") * 255).save(target)
    except ValueError as error:  # the file's name tells its format
        raise click.BadParameter(
            f"{target}: {error}; write a name such as mask.png", param_hint="--output"
        ) from None
    click.echo(f"{target}: {mask.sum()} of {mask.size} pixels, by {served.version} on {served.device}")


def _inside(
    box: tuple[float, float, float, float], width: int, height: int
) -> tuple[float, float, float, float]:
    """Return the part of a box that lies in the image."""
    x0, y0, x1, y1 = box
    inside = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if not (inside[0] < inside[2] and inside[1] < inside[3]):  # also what is not a number
        raise click.BadParameter(
            f"{x0:g},{y0:g},{x1:g},{y1:g} holds nothing of the image, which is {width} x {height} pixels: write its "
            "top left corner, then its bottom right one",
            param_hint="--box",
        )
    return inside

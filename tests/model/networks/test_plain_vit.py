"""Windows, groups of blocks and positions of the plain ViT."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.networks.plain_vit import InputSizeError, PlainViT, grid_of, windows_of


def vit(depth: int = 8, image: tuple[int, int] = (224, 224), patch: int = 16) -> PlainViT:
    torch.manual_seed(0)
    network = PlainViT(patch, 16, depth, 2, image).eval()
    torch.nn.init.normal_(network.pos_embed)
    return network


@pytest.mark.parametrize(
    ("height", "width", "patch", "grid", "windows"),
    [
        (224, 224, 16, (14, 14), (1, 1)),
        (448, 448, 16, (28, 28), (2, 2)),
        (448, 672, 16, (28, 42), (2, 3)),
        (672, 672, 16, (42, 42), (3, 3)),
        (480, 448, 16, (30, 28), (2, 2)),  # windows of 15x14
        (448, 448, 14, (32, 32), (2, 2)),
        (672, 448, 14, (48, 32), (3, 2)),
    ],
)
def test_grid_and_windows(
    height: int, width: int, patch: int, grid: tuple[int, int], windows: tuple[int, int]
) -> None:
    assert grid_of(height, width, patch) == grid
    assert windows_of(*grid, patch) == windows


@pytest.mark.parametrize(("height", "width"), [(450, 448), (464, 448), (448, 208), (16, 16)])
def test_sides_that_do_not_divide_are_refused(height: int, width: int) -> None:
    with pytest.raises(InputSizeError, match=f"input {height}x{width}: .*multiples of"):
        vit()(torch.zeros(1, 3, height, width), torch.zeros(1, 1, 16))


@pytest.mark.parametrize(
    ("depth", "heads", "image", "patch"),
    [(6, 2, (224, 224), 16), (8, 3, (224, 224), 16), (8, 2, (224, 230), 16)],
)
def test_sizes_that_do_not_divide_are_refused(
    depth: int, heads: int, image: tuple[int, int], patch: int
) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 4"):
        PlainViT(patch, 16, depth, heads, image)


@pytest.mark.parametrize(("depth", "group"), [(8, 2), (12, 6), (24, 6), (32, 8)])
def test_the_last_block_of_a_group_is_global(depth: int, group: int) -> None:
    """Against loops over windows that cut them out of the grid one by one."""
    network, (height, width) = vit(depth), (448, 672)
    image = torch.rand(2, 3, height, width)
    with torch.inference_mode():
        tokens = network.patch_embed(image) + network._positions(28, 42)
        tokens = tokens.view(2, 28, 42, 16)
        for number, block in enumerate(network.blocks, 1):
            sides = (28, 42) if number % group == 0 else (14, 14)
            tokens = by_window(block, tokens, *sides)
        wanted = tokens.permute(0, 3, 1, 2)
        assert (network(image, torch.zeros(())) - wanted).abs().max() < 1e-5


def by_window(block: torch.nn.Module, tokens: Tensor, height: int, width: int) -> Tensor:
    result = torch.empty_like(tokens)
    for top in range(0, tokens.shape[1], height):
        for left in range(0, tokens.shape[2], width):
            part = tokens[:, top : top + height, left : left + width]
            result[:, top : top + height, left : left + width] = block(
                part.reshape(len(tokens), -1, tokens.shape[3])
            ).view(part.shape)
    return result


def test_positions_are_those_of_the_centres_of_patches() -> None:
    network = vit()
    rows, cols = torch.meshgrid(torch.arange(14.0), torch.arange(14.0), indexing="ij")
    with torch.no_grad():
        network.pos_embed[0, :, 0], network.pos_embed[0, :, 1] = rows.flatten(), cols.flatten()
        assert network._positions(14, 14) is network.pos_embed
        seen = network._positions(28, 42)[0].view(28, 42, 16)
    inner = slice(6, -6)  # bicubic resampling nearly keeps a slope where it does not touch the edge
    wanted = (torch.arange(28) + 0.5) / 2 - 0.5
    assert torch.allclose(seen[inner, 20, 0], wanted[inner], atol=0.06)
    wanted = (torch.arange(42) + 0.5) / 3 - 0.5
    assert torch.allclose(seen[10, inner, 1], wanted[inner], atol=0.06)

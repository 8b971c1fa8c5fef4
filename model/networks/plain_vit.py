"""A plain vision transformer with windowed attention, the backbone of SimpleClick (Liu et al., arXiv 2210.11006).

ViT: Dosovitskiy et al., arXiv 2010.11929. Windows that take turns with global attention: ViTDet, Li et al.,
arXiv 2203.16527. Attribute names are those of the official SimpleClick checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.errors import ClickmaskError

WINDOW_PIXELS = 224  # side of an attention window at the sizes the networks were trained with
MLP_RATIO = 4
EPS = 1e-6  # of every layer norm


class InputSizeError(ClickmaskError, ValueError):
    """An input does not divide into patches and windows; the message says which sides do."""


class Attention(nn.Module):
    """Multi-head self-attention, queries, keys and values from one projection; BxNxC -> BxNxC."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, dim = x.shape
        split = self.qkv(x).view(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).reshape(batch, count, dim))

    def extra_repr(self) -> str:
        """Tell what no tensor does: converted networks are kept by their text and tensors."""
        return f"heads={self.heads}"


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them; BxNxC -> BxNxC."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, MLP_RATIO * dim)
        self.fc2 = nn.Linear(MLP_RATIO * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A pre-norm transformer layer; BxNxC -> BxNxC."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, EPS), nn.LayerNorm(dim, EPS)
        self.attn = Attention(dim, heads)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Cut 3 channels into patches and project each; Bx3xHxW -> Bx(HW / patch^2)xC, row by row."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class PlainViT(nn.Module):
    """Tokens of equal size from the first layer to the last, no class token, no norm behind the last block.

    Blocks come in groups. The last one of a group attends to the whole image, the others to windows that do not
    overlap; how many windows there are follows from the input's size.

    Args:
        patch: side of a patch in pixels.
        dim, depth, heads: channels, blocks (a multiple of 4) and attention heads.
        image: height and width in pixels that the position embedding is stored for.

    Raises:
        ValueError: a depth, a number of heads or an image size that does not divide.
    """

    def __init__(self, patch: int, dim: int, depth: int, heads: int, image: tuple[int, int]) -> None:
        super().__init__()
        if depth % 4 or dim % heads or any(side % patch for side in image):
            raise ValueError(
                f"a plain ViT of depth {depth}, {dim} channels, {heads} heads and patch {patch} for {image} pixels: "
                "the depth must be a multiple of 4, the channels of the heads, the sides of the patch"
            )
        self.patch, self.grid = patch, (image[0] // patch, image[1] // patch)
        self.group = 6 if depth == 12 else depth // 4
        self.patch_embed = PatchEmbed(patch, dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], dim))
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, image: Tensor, marks: Tensor) -> Tensor:
        """Encode.

        Args:
            image: Bx3xHxW normalised RGB.
            marks: tokens that are added to those of the image, Bx(HW / patch^2)xC.

        Returns:
            Features of the last block, BxCx(H/patch)x(W/patch).

        Raises:
            InputSizeError: sides that do not divide into patches and windows.
        """
        height, width = grid_of(image.shape[2], image.shape[3], self.patch)
        windows = windows_of(height, width, self.patch)
        x = self.patch_embed(image) + marks + self._positions(height, width)
        inside = False  # whether the tokens are sorted by windows
        for number, block in enumerate(self.blocks, 1):
            is_global = number % self.group == 0
            if inside == is_global:
                x = (_leave if is_global else _enter)(x, (height, width), windows)
                inside = not is_global
            x = block(x)
        return x.transpose(1, 2).reshape(x.shape[0], -1, height, width)

    def _positions(self, height: int, width: int) -> Tensor:
        """Return the position embedding for a grid of tokens, 1x(height width)xC."""
        if (height, width) == self.grid:
            return self.pos_embed
        stored = self.pos_embed.transpose(1, 2).reshape(1, -1, *self.grid)
        resized = F.interpolate(stored, (height, width), mode="bicubic", align_corners=False)
        return resized.flatten(2).transpose(1, 2)


def grid_of(height: int, width: int, patch: int) -> tuple[int, int]:
    """Count the rows and columns of patches in an input of height x width pixels.

    Raises:
        InputSizeError: the sides are no multiples of the patch's.
    """
    if height % patch or width % patch:
        raise InputSizeError(
            f"input {height}x{width}: both sides must be multiples of {patch} pixels, the patch's side"
        )
    return height // patch, width // patch


def windows_of(height: int, width: int, patch: int) -> tuple[int, int]:
    """Count the windows per column and row for a grid of height x width tokens, each of about 224 x 224 pixels.

    Raises:
        InputSizeError: the grid is smaller than a window or does not divide into equal ones.
    """
    side = WINDOW_PIXELS // patch
    down, across = height // side, width // side
    if not down or not across or height % down or width % across:
        raise InputSizeError(
            f"input {height * patch}x{width * patch}: its {height}x{width} patches do not divide into equal windows "
            f"of at least {side}; use sides that are multiples of {WINDOW_PIXELS}"
        )
    return down, across


def _enter(x: Tensor, grid: tuple[int, int], windows: tuple[int, int]) -> Tensor:
    """Sort tokens by windows: BxNxC, row by row of the grid -> (B windows)x(N / windows)xC."""
    (height, width), (down, across), dim = grid, windows, x.shape[2]
    x = x.view(-1, down, height // down, across, width // across, dim).transpose(2, 3)
    return x.reshape(-1, (height // down) * (width // across), dim)


def _leave(x: Tensor, grid: tuple[int, int], windows: tuple[int, int]) -> Tensor:
    """Undo `_enter`."""
    (height, width), (down, across), dim = grid, windows, x.shape[2]
    x = x.view(-1, down, across, height // down, width // across, dim).transpose(2, 3)
    return x.reshape(-1, height * width, dim)

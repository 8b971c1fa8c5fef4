"""The network that others are thinned out of: EfficientNet-Lite0 encoder, click-aware feature pyramid, one mask head.

Feature pyramid: Lin et al., arXiv 1612.03144. Click entry: RITM, arXiv 2102.06583. Two things are ours: every
pyramid level also sees the guide, so that clicks act on the decoder without crossing the whole backbone; and
coarse levels compare each place with the features under the clicks, which carries a click across the object.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.networks.efficientnet_lite import STEM_CHANNELS, EfficientNetLite
from model.networks.entry import ClickEntry, Normalize


def conv(inp: int, out: int, kernel: int = 3) -> nn.Sequential:
    """Make a convolution that keeps the size, with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inp, out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


def guide_pyramid(guide: Tensor) -> list[Tensor]:
    """Shrink the guide to strides 2, 4, 8, 16, 32: clicks by maximum (a disk must not fade), previous mask by mean.

    Bx3xHxW in, a list of Bx3x(H/2^k)x(W/2^k) out.
    """
    pyramid = []
    for _ in range(5):
        guide = torch.cat([F.avg_pool2d(guide[:, :1], 2), F.max_pool2d(guide[:, 1:], 2)], 1)
        pyramid.append(guide)
    return pyramid


class Marks(nn.Module):
    """What the guide says about every place of one pyramid level: BxCxhxw features and Bx3xhxw guide -> BxWxhxw.

    Three kinds of evidence: the guide itself; how near a click is, by its blurred disks; and how like the places
    under each guide channel a place looks, by cosine similarity of projected features. A channel without any
    mark gives zeros for all three.
    """

    def __init__(self, channels: int, width: int, dim: int = 32) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(channels, dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.mix = nn.Sequential(nn.Conv2d(9, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        keys = F.normalize(self.project(x).flatten(2).float(), dim=1)  # B,D,N
        weights = guide.flatten(2).float()  # B,3,N
        prototypes = F.normalize(torch.bmm(weights, keys.transpose(1, 2)), dim=2, eps=1e-3)  # B,3,D
        like = torch.bmm(prototypes, keys).view(guide.shape).to(x.dtype)
        return self.mix(torch.cat([guide, like, _near(guide)], 1))


def _near(guide: Tensor) -> Tensor:
    """Each channel blurred twice by a box of half the side; peaks scaled to 1, so one small disk speaks as loud
    as a large area."""
    side = guide.shape[-1] // 4 * 2 + 1
    for _ in range(2):
        guide = F.avg_pool2d(guide, side, stride=1, padding=side // 2)
    return guide / guide.amax((2, 3), keepdim=True).clamp(min=1e-6)


class ContextBlock(nn.Module):
    """One pre-norm transformer layer (arXiv 1706.03762) on the coarsest level, positions by a depthwise
    convolution (arXiv 2102.10882); lets a click name an object whose parts are far apart."""

    def __init__(self, dim: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        batch, dim, height, width = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        split = (batch, height * width, 3, self.heads, dim // self.heads)
        q, k, v = self.qkv(self.norm1(tokens)).view(split).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, -1, dim)
        tokens = tokens + self.out(attended)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(batch, dim, height, width)


class Lite0FPN(nn.Module):
    """The larger of the click models that come with weights, about 3.5 million parameters.

    Input sides must be multiples of 32. See `model.networks` for the shapes of `forward`.
    """

    backbone_prefix = "encoder."  # parameters that were pretrained and learn at a lower rate

    def __init__(self, width: int = 64, context_layers: int = 2, context_dim: int = 128) -> None:
        super().__init__()
        self.normalize = Normalize((127 / 255,) * 3, (128 / 255,) * 3)  # what the ImageNet weights expect
        self.encoder = EfficientNetLite()
        self.entry = ClickEntry(STEM_CHANNELS)
        c2, c4, c8, c16, c32 = self.encoder.channels
        self.context_in = conv(c32, context_dim, 1)
        self.context = nn.Sequential(*(ContextBlock(context_dim) for _ in range(context_layers)))
        self.top = conv(context_dim, width, 1)
        inputs = {"16": c16, "8": c8, "4": c4}
        self.lateral = nn.ModuleDict({level: conv(c, width, 1) for level, c in inputs.items()})
        self.marks = nn.ModuleDict(
            {"32": Marks(c32, context_dim), "16": Marks(c16, width), "8": Marks(c8, width)}
        )
        self.marks["4"] = nn.Conv2d(3, width, 1)  # fine levels need no more than the guide itself
        self.smooth = nn.ModuleDict({level: conv(width, width) for level in ("16", "8", "4")})
        self.narrow = conv(width, 32, 1)  # stride 2 is where a wide decoder would cost most
        self.fine = nn.Sequential(conv(32 + c2 + 3, 32), conv(32, 32))
        self.head = nn.Conv2d(32, 1, 1)
        self.aux_head = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Bx3xHxW RGB and guide, both in 0..1 -> Bx1xHxW logits."""
        return self.forward_train(image, guide)[0]

    def forward_train(self, image: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, with the auxiliary logits of the stride-8 level beside them."""
        f2, f4, f8, f16, f32 = self.encoder(self.normalize(image), self.entry(guide))
        g2, g4, g8, g16, g32 = guide_pyramid(guide)
        x = self.context_in(f32) + self.marks["32"](f32, g32)
        x = self.top(self.context(x))
        x = self._merge(x, "16", f16, self.marks["16"](f16, g16))
        x = self._merge(x, "8", f8, self.marks["8"](f8, g8))
        aux = self.aux_head(x)
        x = self.narrow(self._merge(x, "4", f4, self.marks["4"](g4)))
        x = self.head(self.fine(torch.cat([upsample(x, 2), f2, g2], 1)))
        return upsample(x, 2), upsample(aux, 8)

    def _merge(self, coarse: Tensor, level: str, fine: Tensor, marks: Tensor) -> Tensor:
        return self.smooth[level](upsample(coarse, 2) + self.lateral[level](fine) + marks)


def upsample(x: Tensor, factor: int) -> Tensor:
    """Enlarge BxCxHxW bilinearly by an integer factor."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)

# Copyright (c) mmdefusion authors. All rights reserved.
"""A convolutional decoder with a full-resolution skip: what a token cannot carry comes from the sources themselves."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from ..layers import (
    FusionArch,
    Gradient,
    Linear,
    TokenGrid,
    forward_gradient,
    guided_filter,
    in_strips,
    init_conv,
    missing_divergence,
    reflect_pad,
    solve_screened_poisson,
    unpatchify,
)

#: Keeps the weights of the last layers, which read large features, from moving faster than all others.
_LAST_SCALE = 0.1
#: Distance in pixels over which brightness follows the gradients rather than the base.
SCREENING_LENGTH = 16
#: Pixels on each side from which the decision on brightness is smoothed, and the variance of brightness, of eight gray
#: levels, that is none to it.
DECISION_RADIUS = 64
_FLAT_VARIANCE = (8 / 255) ** 2
#: Side in pixels of the window in which the sources' gradients are compared, and the energy below which none counts: a
#: step of one gray level. At night detail is not much stronger.
_STRENGTH_WINDOW = 7
_WEAK_ENERGY = 255**-2
#: Difference of brightness beyond which one source counts as the brighter one: ten gray levels.
_BRIGHTER = 10 / 255


def _preference(query: Tensor, keys: Tensor) -> Tensor:
    """How much a query (N, C, h, w) asks for the first source's keys rather than the second's, both (2N, C, h, w).

    Returns:
        (N, 1, h, w) float32.
    """
    # Channels last in the gradient as well: mixed layouts make all that follows it several times slower.
    query, keys = query.permute(0, 2, 3, 1), keys.permute(0, 2, 3, 1)
    key1, key2 = keys.chunk(2)
    products = query * (key1 - key2)
    # A product of matrices sums bfloat16 on a CPU in half the time that the sum takes.
    return (products @ products.new_ones(products.size(-1), 1)).permute(0, 3, 1, 2).float() * keys.size(-1) ** -0.5


class _Maximum(torch.autograd.Function):
    """The larger of two tensors; where they are equal, the second one takes the gradient.

    ``torch.maximum`` shares it there, which takes eight times as long on a CPU. Sources have the stem in common, so
    that its weights get the same gradient.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x1: Tensor, x2: Tensor) -> Tensor:
        ctx.save_for_backward(x1, x2)
        return torch.maximum(x1, x2)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:
        x1, x2 = ctx.saved_tensors
        grad1 = torch.ops.aten.threshold_backward(grad, x1 - x2, 0)
        return grad1, grad - grad1


def _windowed_sum(plane: Tensor, dim: int) -> Tensor:
    """Sums of ``_STRENGTH_WINDOW`` neighbours along a dimension, zeros beyond the border."""
    half = _STRENGTH_WINDOW // 2
    ones = F.pad(plane, (half, half) if dim == -1 else (0, 0, half, half))
    size = plane.size(dim)
    # 4 + 2 + 1 neighbours: an eighth of the time of PyTorch's average pooling.
    twos = ones.narrow(dim, 0, size + 5) + ones.narrow(dim, 1, size + 5)
    fours = twos.narrow(dim, 0, size) + twos.narrow(dim, 2, size)
    return fours + twos.narrow(dim, 4, size) + ones.narrow(dim, 6, size)


def _strength(gradient: Gradient) -> Tensor:
    """Logarithm of the mean energy of the gradient (N, C, ...) around each pixel, (N, 1, H, W)."""
    along_x, along_y = (part.square().mean(1, keepdim=True) for part in gradient)
    energy = F.pad(along_x, (0, 1)) + F.pad(along_y, (0, 0, 0, 1))
    # Zeros beyond the border enter both sources' means alike. Rows, then columns: half the time of a square.
    mean = _windowed_sum(_windowed_sum(energy, -1), -2) / _STRENGTH_WINDOW**2
    return (mean + _WEAK_ENERGY).log()


def _are_gray(*images: Tensor) -> bool:
    """Whether all channels of each batch (N, C, H, W) are equal."""
    return all(torch.equal(image[:, 1:], image[:, :1].expand_as(image[:, 1:])) for image in images)


class ResidualConv(nn.Module):
    """``x + conv(relu(x))``; starts as the identity."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.conv = init_conv(dims, dims)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return self.conv(x.relu()).add_(x)


class UpConv(nn.Sequential):
    """Twice the resolution: a 1x1 convolution to four pixels each, then ``nn.PixelShuffle(2)``."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__(init_conv(coarse, 4 * fine, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2H, 2W)."""
        # Pixel by pixel rather than channel by channel, so that the channels of a pixel are moved as a whole.
        weight, bias = (part.unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1) for part in self[0].parameters())
        x = F.conv2d(x, weight, bias).permute(0, 2, 3, 1).unflatten(-1, (2, 2, -1))
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class DetailDecoder(nn.Module):
    r"""Fused image at full resolution from fused tokens and both sources, made in the gradient domain.

    The backbone's stem gives features of both sources at full, half, quarter and eighth resolution. The tokens enter at
    the coarsest one; on the way up each level adds the larger of the two sources' features. Places attend to the two
    sources: with ``k_i`` a source's own features divided by the root of their number and a query q of the decoder,
    ``q k1 - q k2`` says how much the first one is asked for. At the coarsest level that gives the brightness m, at full
    resolution the gradient g:

    .. math::
        m &= (x_1 + x_2) / 2 + \tanh(q k_1 - q k_2 + t \tanh((x_1 - x_2) / \tau)) (x_1 - x_2) \\
        g &= a (\nabla (x_1 + x_2) + \tanh(q k_1 - q k_2 + s \log(E_1 / E_2)) \nabla (x_1 - x_2)) / 2

    with E the energy of a source's gradient around the pixel, :math:`\tau` ten gray levels, and s, t and the
    amplification a learned too. The fused image is the one whose gradient is closest to g and whose coarse brightness
    is that of m (see ``solve_screened_poisson``). So a region may take its brightness from one source and its detail
    from the other without an edge in between, nothing is added that neither source has, and an untrained decoder
    already keeps the stronger detail and leans to the brighter source. Exchanging the sources changes nothing. Of gray
    sources (equal channels) the fused image is gray.

    In predictions, what the query adds to the leaning to the brighter source is smoothed by a filter that both sources
    guide (see ``guided_filter``), so that it changes where they do and not from one window of tokens to the next.

    Views of a photo are noisy where the photo is not. For them alone a restoration is added, which undoes what both
    have of that; in pairs, which nobody has degraded, it would find noise in whatever a photo does not have.

    Args:
        arch: Sizes; ``detail_dims`` is the width at full resolution.
        channels: Channels C of an image.
    """

    def __init__(self, arch: FusionArch, channels: int) -> None:
        super().__init__()
        widths = arch.detail_widths
        self.levels = len(widths) - 1
        self.token_scale = arch.detail_scale
        self.patch_size = arch.patch_size
        self.context = Linear(arch.embed_dims, widths[-1] * self.token_scale**2)
        self.refine = nn.ModuleList(ResidualConv(width) for width in widths)
        # Brightness is decided at the coarsest level, where convolutions cost next to nothing.
        self.deepen = nn.Sequential(*(ResidualConv(widths[-1]) for _ in range(2)))
        self.up = nn.ModuleList(UpConv(coarse, fine) for fine, coarse in zip(widths, widths[1:], strict=False))
        self.base_query = init_conv(widths[-1], widths[-1], kernel_size=1)
        self.gradient_query = init_conv(widths[0], widths[0], kernel_size=1)
        self.strength_scale = nn.Parameter(torch.tensor(2.0))
        self.brightness_scale = nn.Parameter(torch.tensor(0.3))
        # Its logarithm.
        self.amplification = init_conv(widths[0], 1)
        self.restoration = init_conv(widths[0], channels)
        for layer in (self.base_query, self.gradient_query, self.amplification, self.restoration):
            nn.init.zeros_(layer.weight)

    def forward(
        self,
        tokens: Tensor,
        grid: TokenGrid,
        features: list[Tensor],
        x1: Tensor,
        x2: Tensor,
        restore: bool = False,
    ) -> Tensor:
        """Decodes the fused image.

        Args:
            tokens: Fused tokens, (N, L, D).
            grid: Where they lie.
            features: Those of :class:`DetailStem` of the first and of the second sources, padded to whole patches,
                (2N, C_i, H_i, W_i).
            x1: First sources, RGB in [0, 1], (N, C, H, W).
            x2: Second sources, of the same shape.
            restore: Whether the sources are degraded views of a photo.

        Returns:
            (N, C, H, W) float32, nominally in [0, 1] but not clamped.
        """
        height, width = x1.shape[-2:]
        rows, columns = (-(-side // self.patch_size) for side in (height, width))
        x = unpatchify(self.context(tokens), grid, self.token_scale)
        x = x[..., : rows * self.token_scale, : columns * self.token_scale]
        x = x.contiguous(memory_format=torch.channels_last)
        for level in reversed(range(1, self.levels + 1)):
            x = self.refine[level](x + _Maximum.apply(*features[level].chunk(2)))
            x = (self.deepen(x) if level == self.levels else x).relu_()
            if level == self.levels:
                brightness = _preference(self.base_query(x), features[level])
            if level > 1:
                x = self.up[level - 1](x)
        finest = in_strips(partial(self._finest, restore), [x, features[0]], halo=1, step=1)
        detail, amplification = finest[:2]
        size = rows * self.patch_size, columns * self.patch_size
        planes = [reflect_pad(image.float(), *size).contiguous() for image in (x1, x2)]
        # One plane stands for three equal ones; not asked where gradients or graphs would depend on the answer.
        if not (torch.is_grad_enabled() or torch.compiler.is_compiling()) and _are_gray(*planes):
            planes = [image[:, :1] for image in planes]
        with torch.autocast(x1.device.type, enabled=False):
            scale = 2**self.levels
            leaning = self._leaning(*(F.avg_pool2d(plane, scale) for plane in planes), brightness)
            base, missing = in_strips(self._base, [*planes, leaning, detail, amplification], halo=scale, step=scale)
            fused = base.sub_(solve_screened_poisson(missing, SCREENING_LENGTH**-2))
            if restore:
                fused = fused + finest[2]
        fused = fused.expand(-1, x1.size(1), -1, -1)
        return fused[..., :height, :width]

    def _finest(self, restore: bool, x: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """Preference for the first source's gradient, logarithm of the amplification and restoration, if asked for."""
        x = self.refine[0](self.up[0](x) + _Maximum.apply(*features.chunk(2))).relu_()
        maps = [_preference(self.gradient_query(x), features), _LAST_SCALE * self.amplification(x).float()]
        if restore:
            # Plane by plane, as images are: sums of both layouts take several times as long.
            maps.append((_LAST_SCALE * self.restoration(x).float()).contiguous())
        return tuple(maps)

    def _leaning(self, x1: Tensor, x2: Tensor, preference: Tensor) -> Tensor:
        """How far brightness goes from the mean of both sources, all at the coarsest level, (N, C, h, w)."""
        gray1, gray2 = (x.mean(1, keepdim=True) for x in (x1, x2))
        brighter = self.brightness_scale * ((gray1 - gray2) / _BRIGHTER).tanh()
        asked = (preference + brighter).tanh()
        # Trained with it, a network learns to undo it.
        if not self.training:
            brighter = brighter.tanh()
            radius = DECISION_RADIUS // 2**self.levels
            smooth = guided_filter(asked - brighter, gray1, gray2, radius, _FLAT_VARIANCE)
            asked = (brighter + smooth).clamp(-1, 1)
        return asked * (x1 - x2)

    def _base(
        self, x1: Tensor, x2: Tensor, leaning: Tensor, detail: Tensor, amplification: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The base, and the divergence of what its gradient lacks to the wanted one."""
        gradient1, gradient2 = forward_gradient(x1), forward_gradient(x2)
        leaning = F.interpolate(leaning, size=x1.shape[-2:], mode='bilinear', align_corners=False)
        base = torch.add(leaning, x1 + x2, alpha=0.5)
        weight = (detail + self.strength_scale * (_strength(gradient1) - _strength(gradient2))).tanh()
        amplification = amplification.exp()
        share1, share2 = amplification * (1 + weight) / 2, amplification * (1 - weight) / 2
        gradient = Gradient(
            x=torch.addcmul(share1[..., :-1] * gradient1.x, share2[..., :-1], gradient2.x),
            y=torch.addcmul(share1[..., :-1, :] * gradient1.y, share2[..., :-1, :], gradient2.y),
        )
        return base, missing_divergence(gradient, base)

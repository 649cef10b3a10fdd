# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The effects network E: what a lesion moves, as a stationary velocity field over the scan it is put into.

    φ = exp(s · (v + G · w)),   (v, w, σ) = E(scan × brain, b, p)

v is the lesion's own effect and w remote atrophy at G = 1, both smooth by construction; s is the strength, whose
logarithm varies between people by σ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.networks.blocks import Convolution
from monai.networks.nets import DiffusionModelUNet
from monai.networks.utils import pixelshuffle, pixelunshuffle
from scipy import ndimage
from torch import nn

from mededit_monai.core.errors import InputError
from mededit_monai.networks.convolutions import quick_volumes
from mededit_monai.networks.mask_conditioned_unet import check_sizes
from mededit_monai.space.fields import smoothstep, taper
from mededit_monai.space.flow import flow

#: Depth below the brain's surface, in mm, from where on tissue moves freely.
FREE_DEPTH_MM = 5.0

#: Velocity in pixels below which an edit leaves tissue where it is. An estimate is a mean over people: where it is this
#: small nothing moves in most of them, and the share of the brain that stays is then as large as in simulated people.
STILL = 0.1

#: σ of log s that the network starts at, and by what factor it can grow or shrink.
SPREAD, SPREAD_RANGE = 0.28, 4.5

#: Feature maps that the U-Net hands to the walls' layers, and the dilations of these, at half of the grid.
WALL_FEATURES, WALL_DILATIONS = 8, (1, 2, 4)

#: Least sides in pixels of what the network sees, by the spatial dimensions: the diseases' grids, so that every brain
#: of a cohort has room. Norms count the background around a brain: trainings and edits have to show as much of it.
CANVAS = {2: (128, 128), 3: (128, 128, 112)}

#: Most cases in one call: all slices of a head at once would need memory for all of them.
PORTION = 32


@dataclass(frozen=True)
class Effects:
    """
    What the lesions of a batch move.

    Args:
        velocity: NxnxS, mm along the grid's axes at strength 1; exactly 0 outside the brain and where nothing moves.
        spread: σ of the strength's logarithm, N; 0 without lesion.
        pixel_mm: side of a grid step.
    """

    velocity: torch.Tensor
    spread: torch.Tensor
    pixel_mm: float

    def displacement(self, strength: float | Sequence[float] | torch.Tensor = 1.0) -> torch.Tensor:
        """
        u of the flow at time ``strength``, NxnxS in mm: out(r) = in(r + u(r)); exactly 0 where the velocity is.

        Args:
            strength: one for all or one a case; -1 is the inverse of 1.
        """
        scale = torch.as_tensor(strength, dtype=torch.float32, device=self.velocity.device)
        scale = scale.expand(len(self.velocity)).view(-1, *[1] * (self.velocity.ndim - 1))
        found = torch.zeros_like(self.velocity)
        for k, one in enumerate(self.velocity * (scale / self.pixel_mm)):
            box = _moving_box(one)
            if box is not None:
                found[(k, *box)] = flow(one[box][None])[0] * self.pixel_mm
        return found


class EffectsNetwork(nn.Module):
    """
    MONAI's U-Net at t = 0 behind a space-to-depth of ``patch``, a correction along walls, then a fixed Gaussian: fields
    on half of the grid.

    Fluid yields more than tissue, so the fields bend where a ventricle begins, within a pixel or two. A cell of
    ``patch`` pixels is too coarse for that: a few convolutions on half of the grid, which see the scan itself, the
    lesion, the U-Net's fields and some feature maps of it, add what it cannot draw.

    Args:
        spatial_dims: 2 for slices, 3 for volumes.
        in_channels: scan within the brain in [-1, 1] (-1 outside), brain mask, and the five of
            :func:`~mededit_monai.space.conditions.fused_channels`.
        channels, attention_levels, num_res_blocks, num_head_channels, norm_num_groups: of the U-Net, as for
            :class:`~mededit_monai.networks.mask_conditioned_unet.MaskConditionedUNet`.
        patch: side of the space-to-depth cell; even.
        wall_channels: width of the layers on half of the grid; 0: none.
        pixel_mm: side of a pixel of the model's grid.
        smooth_mm: standard deviation of the Gaussian. A wide one blurs the motion of a ventricle's walls, so that the
            ventricle changes too little.
        canvas: least sides in pixels of what an edit shows the network, and a training too; None: ``CANVAS``.

    Raises:
        InputError: sizes that do not go together.

    Example:
        >>> network = EffectsNetwork(channels=(16, 32), attention_levels=(False, False))
        >>> network(torch.zeros(1, 7, 32, 32)).shape
        torch.Size([1, 5, 16, 16])
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 7,
        channels: Sequence[int] = (48, 96, 128),
        attention_levels: Sequence[bool] = (False, False, False),
        num_res_blocks: int = 1,
        num_head_channels: int = 32,
        norm_num_groups: int = 16,
        patch: int = 4,
        wall_channels: int = 0,
        pixel_mm: float = 1.0,
        smooth_mm: float = 1.5,
        canvas: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        check_sizes(channels, attention_levels, num_res_blocks, num_head_channels, norm_num_groups, patch)
        if patch % 2:
            raise InputError(f"--patch: got {patch}, wanted an even number: the fields are on half of the grid.")
        self.canvas = tuple(CANVAS[spatial_dims] if canvas is None else canvas)
        if len(self.canvas) != spatial_dims or min(self.canvas) < 1:
            raise InputError(f"canvas: got {list(self.canvas)}, wanted {spatial_dims} sides in pixels.")
        if wall_channels < 0:
            raise InputError(f"wall_channels: got {wall_channels}, wanted 0 (none) or more.")
        self.spatial_dims, self.in_channels, self.patch, self.pixel_mm = spatial_dims, in_channels, patch, pixel_mm
        self.out_channels = 2 * spatial_dims + 1
        # Each level below the first halves the grid, so an input side must be a multiple of this.
        self.multiple = patch * 2 ** (len(channels) - 1)
        features = WALL_FEATURES if wall_channels else 0
        self.walls = _walls(spatial_dims, wall_channels) if wall_channels else None
        self.unet = DiffusionModelUNet(
            spatial_dims=spatial_dims,
            in_channels=in_channels * patch**spatial_dims,
            out_channels=(2 * spatial_dims + features) * (patch // 2) ** spatial_dims + 1,
            channels=tuple(channels),
            attention_levels=tuple(attention_levels),
            num_res_blocks=num_res_blocks,
            num_head_channels=num_head_channels,
            norm_num_groups=norm_num_groups,
            use_flash_attention=True,
        )
        self.register_buffer("kernel", gaussian_kernel(smooth_mm / (2 * pixel_mm)), persistent=False)

    @quick_volumes
    def forward(
        self, x: torch.Tensor, timesteps: torch.Tensor | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            x: Nx7xS, every side a multiple of ``self.multiple``.
            timesteps, context: unused, accepted as MONAI's inferers pass them.

        Returns:
            Nx(2n+1)x(S/2): v and w in mm, smooth but neither tapered nor cut off, and ln σ, the same everywhere.
        """
        n = self.spatial_dims
        start = torch.zeros(len(x), dtype=torch.long, device=x.device)
        raw = self.unet(pixelunshuffle(x, spatial_dims=n, scale_factor=self.patch), timesteps=start).float()
        fields = raw[:, :-1] if self.patch == 2 else pixelshuffle(raw[:, :-1], n, self.patch // 2)
        if self.walls is not None:
            lesion = nn.functional.interpolate(x[:, 2:].amax(1, keepdim=True), size=fields.shape[2:], mode="area")
            seen = torch.cat([pixelunshuffle(x[:, :1], n, 2), lesion.to(x), fields.to(x)], dim=1)
            fields = fields[:, : 2 * n] + self.walls(seen).float()
        brain = nn.functional.interpolate(x[:, 1:2].float(), size=raw.shape[2:], mode="area")
        mean = (raw[:, -1:] * brain).flatten(1).sum(1) / brain.flatten(1).sum(1).clamp(min=1e-3)
        reach = float(np.log(SPREAD_RANGE))
        spread = float(np.log(SPREAD)) + reach * torch.tanh(mean / reach)
        spread = spread.view(-1, *[1] * (n + 1)).expand(-1, 1, *fields.shape[2:])
        return torch.cat([self._smoothed(fields), spread], dim=1)

    def _smoothed(self, fields: torch.Tensor) -> torch.Tensor:
        """Gaussian along one axis after the other; in single precision, whatever the network computes in."""
        convolve = nn.functional.conv2d if self.spatial_dims == 2 else nn.functional.conv3d
        count, reach = fields.shape[1], len(self.kernel) // 2
        with torch.autocast(fields.device.type, enabled=False):
            for axis in range(self.spatial_dims):
                shape = [len(self.kernel) if other == axis else 1 for other in range(self.spatial_dims)]
                weight = self.kernel.view(1, 1, *shape).expand(count, 1, *shape)
                padding = [reach if other == axis else 0 for other in range(self.spatial_dims)]
                fields = convolve(fields, weight, padding=padding, groups=count)
        return fields

    @torch.no_grad()
    def velocity(
        self, x: torch.Tensor, global_atrophy: float | Sequence[float] | torch.Tensor = 0.0, gated: bool = True
    ) -> Effects:
        """
        v + G w on the model's grid, fading out toward the brain's surface and to exactly 0 where it is small.

        The network sees the brain in the middle of its canvas, so the grid may have any size, and a case does not
        depend on others.

        Args:
            x: Nx7xS, S the model's grid.
            global_atrophy: G, one for all or one a case.
            gated: without lesion (p = 0) nothing moves by definition; False gives what the network says.
        """
        n, size = self.spatial_dims, x.shape[2:]
        amount = torch.as_tensor(global_atrophy, dtype=torch.float32, device=x.device).expand(len(x))
        velocity = x.new_zeros(len(x), n, *size, dtype=torch.float32)
        spread = x.new_zeros(len(x), dtype=torch.float32)
        boxes = [brain_box(one[1].cpu().numpy() > 0, self.multiple, self.canvas) for one in x]
        asked = [k for k, box in enumerate(boxes) if box is not None and (not gated or bool((x[k, 2:] > 0).any()))]
        shapes = {k: tuple(side.stop - side.start for side in boxes[k]) for k in asked}  # type: ignore[union-attr]
        for shape in dict.fromkeys(shapes.values()):
            alike = [k for k in asked if shapes[k] == shape]
            for portion in (alike[first : first + PORTION] for first in range(0, len(alike), PORTION)):
                output = self(torch.stack([_cut(x[k], boxes[k]) for k in portion]))
                spread[portion] = output[:, -1].flatten(1)[:, 0].exp()
                total = output[:, :n] + amount[portion].view(-1, *[1] * (n + 1)) * output[:, n : 2 * n]
                mode = "bilinear" if n == 2 else "trilinear"
                fine = nn.functional.interpolate(total, scale_factor=2.0, mode=mode, align_corners=False)
                for k, field in zip(portion, fine):
                    _paste(velocity[k], self._tapered(field, _cut(x[k, 1:2], boxes[k])[0]), boxes[k])
        return Effects(velocity, spread, self.pixel_mm)

    def _tapered(self, field: torch.Tensor, brain: torch.Tensor) -> torch.Tensor:
        weight = taper_weight(brain.cpu().numpy() > 0, self.pixel_mm)
        return torch.from_numpy(taper(field.cpu().numpy() / self.pixel_mm, weight, STILL)).to(field) * self.pixel_mm


def _walls(spatial_dims: int, width: int) -> nn.Sequential:
    """Dilated convolutions that begin as 0, over the scan, the lesion, the U-Net's fields and its feature maps."""
    count = 2**spatial_dims + 1 + 2 * spatial_dims + WALL_FEATURES
    layers: list[nn.Module] = []
    for dilation in WALL_DILATIONS:
        layers.append(
            Convolution(spatial_dims, count, width, dilation=dilation, adn_ordering="A", act="swish", norm=None)
        )
        count = width
    last = Convolution(spatial_dims, count, 2 * spatial_dims, conv_only=True)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(*layers, last)


def gaussian_kernel(sigma: float) -> torch.Tensor:
    """Weights of a Gaussian of ``sigma`` grid steps, cut off at three of them; they add up to 1."""
    reach = max(1, int(np.ceil(3 * sigma)))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (steps / max(sigma, 1e-6)) ** 2)
    return (weights / weights.sum()).float()


def taper_weight(brain: np.ndarray, pixel_mm: float) -> np.ndarray:
    """
    How freely tissue moves: smoothstep(depth / 5 mm), 0 outside the brain; float32.

    Args:
        brain: bool S. What lies beyond the grid's edge counts as outside.
    """
    depth = ndimage.distance_transform_edt(np.pad(brain, 1), sampling=pixel_mm)
    return smoothstep(depth[(slice(1, -1),) * brain.ndim] / FREE_DEPTH_MM).astype(np.float32)


def brain_box(brain: np.ndarray, multiple: int, canvas: Sequence[int] = ()) -> tuple[slice, ...] | None:
    """
    A box with the brain in its middle, which may reach beyond the grid. None: no brain.

    Args:
        brain: bool S.
        multiple: of the sides. canvas: their least lengths.
    """
    least = canvas or (1,) * brain.ndim
    sides = []
    for axis in range(brain.ndim):
        along = np.flatnonzero(brain.any(axis=tuple(other for other in range(brain.ndim) if other != axis)))
        if not along.size:
            return None
        length = int(along[-1]) + 1 - int(along[0])
        side = -(-max(length, least[axis]) // multiple) * multiple
        first = int(along[0]) - (side - length) // 2
        sides.append(slice(first, first + side))
    return tuple(sides)


def _inside(box: tuple[slice, ...], size: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of a box that lies on the grid: on the grid, and in the box."""
    grid = [slice(max(side.start, 0), min(side.stop, length)) for side, length in zip(box, size)]
    return tuple(grid), tuple(slice(g.start - side.start, g.stop - side.start) for g, side in zip(grid, box))


def _cut(planes: torch.Tensor, box: tuple[slice, ...] | None) -> torch.Tensor:
    """A box of channels CxS; beyond the grid is background: -1 in the scan (first of several), 0 in masks."""
    assert box is not None
    grid, local = _inside(box, planes.shape[1:])
    cut = planes.new_zeros(len(planes), *(side.stop - side.start for side in box))
    if len(planes) > 1:
        cut[0] = -1
    cut[(slice(None), *local)] = planes[(slice(None), *grid)]
    return cut


def _paste(grid_field: torch.Tensor, box_field: torch.Tensor, box: tuple[slice, ...] | None) -> None:
    """Put a box's field CxS into the grid's."""
    assert box is not None
    grid, local = _inside(box, grid_field.shape[1:])
    grid_field[(slice(None), *grid)] = box_field[(slice(None), *local)]


def _moving_box(velocity: torch.Tensor) -> tuple[slice, ...] | None:
    """Where a velocity nxS is not 0, one step wider and for all components; None: nowhere. A flow stays in there."""
    moving = (velocity != 0).any(dim=0)
    if not bool(moving.any()):
        return None
    box = [slice(None)]
    for axis in range(moving.ndim):
        along = moving.any(dim=[other for other in range(moving.ndim) if other != axis]).nonzero()
        box.append(slice(max(int(along[0]) - 1, 0), int(along[-1]) + 2))
    return tuple(box)

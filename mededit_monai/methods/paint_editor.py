# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The painter: a few-step diffusion over what a lesion replaces, on a scan whose tissue has made way for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.diseases.tumor import divided_tumor
from mededit_monai.methods.editor import Edit, Editor, NetworkCalls
from mededit_monai.methods.paint import (
    CHANGE_SCALE,
    crop_around,
    limited_change,
    paint_region,
    painter_channels,
    rim_width,
)
from mededit_monai.sampling.formulas import clean_estimate
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.conditions import condition_channels, condition_width, fused_channels
from mededit_monai.space.fine_view import FineEdit, FineView
from mededit_monai.space.intensity import to_unit_range
from mededit_monai.space.stack import slices_of, volumes_of


class PaintEditor(Editor):
    """
    Denoise y0 = (counterfactual - displaced scan) / s inside the painted region and add it to the displaced scan.

    At every level the network sees [y_t, b, p, displaced scan] in a box around the region, and ŷ0 is limited to what
    keeps the counterfactual within ``clip``. Outside the painted region (see
    :func:`~mededit_monai.methods.paint.paint_region`) y0 is 0, as in training, so that y_t is pure noise of its level
    there, and the scan comes out bit for bit.

    A volume is painted as a whole, in windows where it is large, which see the same noise; on a grid of its own, finer
    than the model's, where ``edit`` is given a view of the scan. A network for slices paints it axial slice by slice;
    the rim then stays in the plane, and all slices of a case start from the same noise, so that neighbours agree.

    Args:
        scheduler, settings: as for :class:`~mededit_monai.methods.editor.Editor`.
        condition: what the pathology channels hold: ``mask``, ``box`` or ``regions``.
        draw_regions: whether the mask is of a tumour whose core, edema and rim are to be drawn before they are painted
            (:func:`~mededit_monai.diseases.tumor.divided_tumor`), anew for every seed.
        pixel_mm: side of a pixel of the model's grid; needed to draw regions.
        guidance: strength w of the lesion: the change becomes w ŷ0, 0 to 1 on the way from the displaced scan to the
            edit and beyond; without lesion nothing is painted, so that is the line through ŷ0(p = 0) = 0 and ŷ0(p).

    Raises:
        InputError: unknown condition. ValueError: regions to be drawn in something else than masks of a known scale.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        condition: str = "mask",
        draw_regions: bool = False,
        pixel_mm: float | None = None,
        steps: int = 10,
        spacing: str = "logsnr",
        sampler: str = "dpm2m",
        **settings: Any,
    ) -> None:
        condition_width(condition)
        super().__init__(scheduler, steps=steps, spacing=spacing, sampler=sampler, **settings)
        if draw_regions and (condition != "mask" or pixel_mm is None):
            raise ValueError(f"draw_regions wants masks and pixel_mm, got {condition!r} and {pixel_mm}.")
        self.condition, self.draw_regions, self.pixel_mm = condition, draw_regions, pixel_mm

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The painted region."""
        return paint_region(pathology, brain)

    def edit(
        self,
        prior: torch.Tensor,
        calls: NetworkCalls,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor,
        seeds: list[int],
        fine: Sequence[FineView | None] | None = None,
    ) -> Edit:
        """
        The lesion, denoised and added.

        Args:
            fine: a view of each row's scan to paint into, None for a row that is painted on the model's grid;
                ``extras`` of the edit then have ``fine``, a :class:`~mededit_monai.space.fine_view.FineEdit` or None a
                row, and the edit on the model's grid is its average.

        Returns:
            the edit; ``extras`` have ``regions``, if they were drawn: uint8 labels a row, on the grid painted on.
        """
        if fine is not None:
            return self._finely(prior, calls, brain, pathology, region, seeds, fine)
        planes = prior.ndim == 5 and getattr(calls.network, "spatial_dims", 3) == 2
        depth = prior.shape[-1] if planes else 1

        def rows(volumes: torch.Tensor) -> torch.Tensor:
            return slices_of(volumes) if planes else volumes

        def volumes(rows: torch.Tensor) -> torch.Tensor:
            return volumes_of(rows, depth) if planes else rows

        scan, inside, lesion = rows(prior), rows(brain), rows(pathology)
        painted = paint_region(lesion, inside) & rows(region)
        told, drawn = self._told(pathology, seeds, self.pixel_mm)
        image = self._painted(scan, inside, rows(told), painted, calls, [seed for seed in seeds for _ in range(depth)])
        return Edit(volumes(image), volumes(painted), calls.count, {"regions": drawn} if drawn else {})

    def _finely(
        self,
        prior: torch.Tensor,
        calls: NetworkCalls,
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor,
        seeds: list[int],
        fine: Sequence[FineView | None],
    ) -> Edit:
        """Each row on the grid of its view, or of the model."""
        edits: list[FineEdit | None] = []
        images, regions, limit, most = [], [], paint_region(pathology, brain) & region, 0
        for k, (view, seed) in enumerate(zip(fine, seeds)):
            if view is None:
                row = [part[k : k + 1] for part in (brain, pathology, region)]
                made = self.edit(prior[k : k + 1], calls.anew(), *row, [seed])
                edits.append(None)
                images.append(made.image[0])
                regions += made.extras.get("regions", [])
                most = max(most, made.evaluations)
                continue
            scan, inside, lesion = view.tensors(prior)
            painted, own = paint_region(lesion, inside, rim_width(view.box.pixel_mm)), calls.anew(windows=True)
            told, drawn = self._told(lesion, [seed], view.box.pixel_mm)
            regions += drawn
            seen = painter_channels(scan, inside, told)
            whole = {0: tuple(slice(0, side) for side in view.box.shape)}
            image = scan.clone()
            if bool(painted.any()):
                image[0] = self._denoised(scan, seen, painted, whole, own, [seed])[0]
            one = FineEdit(view, to_unit_range(image)[0, 0].float().cpu().numpy(), painted[0, 0].cpu().numpy())
            edits.append(one)
            change = torch.from_numpy(2 * view.box.to_model(one.change, view.space)).to(prior)
            images.append(prior[k] + torch.where(limit[k], change, 0))
            most = max(most, own.count)
        image = torch.stack(images)
        image = image if self.clip is None else image.clamp(*self.clip)
        extras = {"fine": edits, **({"regions": regions} if regions else {})}
        return Edit(torch.where(limit, image, prior), limit, calls.count + most, extras)

    def _told(
        self, lesion: torch.Tensor, seeds: Sequence[int], pixel_mm: float | None
    ) -> tuple[torch.Tensor, list[np.ndarray]]:
        """What the network is told of each row's lesion, Nx5xS, and the regions that were drawn, if any were."""
        if not self.draw_regions:
            return fused_channels(lesion, self.condition), []
        drawn = [
            divided_tumor(one[0].cpu().numpy() > 0, float(pixel_mm or 1), np.random.default_rng((seed, 3)))
            for one, seed in zip(lesion, seeds)
        ]
        channels = [condition_channels(torch.from_numpy(one)[None], "regions") for one in drawn]
        return fused_channels(torch.stack(channels).to(lesion), "regions"), drawn

    def _painted(
        self,
        prior: torch.Tensor,
        brain: torch.Tensor,
        told: torch.Tensor,
        painted: torch.Tensor,
        calls: NetworkCalls,
        seeds: list[int],
    ) -> torch.Tensor:
        """All rows, those whose boxes have the same size together; a row's box depends on nothing but the row."""
        image, seen = prior.clone(), painter_channels(prior, brain, told)
        boxes = {k: crop_around(one[0].cpu().numpy()) for k, one in enumerate(painted) if bool(one.any())}
        sizes = {k: tuple(side.stop - side.start for side in box) for k, box in boxes.items()}
        most = 0
        for size in dict.fromkeys(sizes.values()):
            alike = {k: box for k, box in boxes.items() if sizes[k] == size}
            asked = calls.anew(windows=prior.ndim == 5)
            parts = self._denoised(prior, seen, painted, alike, asked, seeds)
            for (k, box), part in zip(alike.items(), parts):
                image[(k, slice(None), *box)] = part
            most = max(most, asked.count)
        calls.count += most
        return image

    def _denoised(
        self,
        prior: torch.Tensor,
        seen: torch.Tensor,
        painted: torch.Tensor,
        boxes: Mapping[int, tuple[slice, ...]],
        calls: NetworkCalls,
        seeds: Sequence[int],
    ) -> torch.Tensor:
        """The boxes of some rows, all of one size, with the change added inside the painted region."""
        rows, drawn = list(boxes), CaseNoise([seeds[k] for k in boxes], prior[list(boxes)])

        def cut(planes: torch.Tensor) -> torch.Tensor:
            return torch.stack([one[(slice(None), *box)] for box, one in zip(boxes.values(), planes)])

        def noise() -> torch.Tensor:
            return cut(drawn())  # of the whole grid, so that neighbouring slices agree whatever their boxes

        prior, seen, painted = (cut(one[rows]) for one in (prior, seen, painted))

        def estimate(y_t: torch.Tensor, level: int) -> torch.Tensor:
            output = calls(torch.cat([y_t, seen], dim=1), level)
            y0 = clean_estimate(output, y_t, self.levels.alpha_bar(level), str(self.scheduler.prediction_type))
            return torch.where(painted, limited_change(y0, prior, self.clip), 0)

        change = limited_change(self.guidance * self.denoise(noise(), noise, estimate), prior, self.clip)
        edited = prior + CHANGE_SCALE * change
        edited = edited if self.clip is None else edited.clamp(*self.clip)
        return torch.where(painted, edited, prior)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Synthesized volumes on the mask's own grid, with a picture and what made them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.core.errors import InputError, say
from mededit_monai.core.paths import user_path
from mededit_monai.handlers.evaluator import EDIT
from mededit_monai.io.atomic import replacing
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.nifti import NativeCopy, save_synthetic
from mededit_monai.io.provenance import DISCLAIMER, write_provenance
from mededit_monai.reports.plain_text import PLAIN
from mededit_monai.reports.preview import lesion_planes, upright
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.intensity import to_unit_range
from mededit_monai.synthesis.labels import tumor_of


class SynthesisWriter:
    """
    Writes for each mask ``MODALITY.nii.gz`` (float32, 0 to 1, 0 outside the brain, on the mask's own grid),
    ``preview.png`` and ``provenance.json``; of several samples each in ``sample_0``, ….

    Args:
        output_dir: folder; gets one a case, whole or not at all.
        modalities: names of a volume's channels.
        seed, samples: of the run.
        overwrite: replace a result that was changed by hand.

    Attributes:
        written: folders, in the order of the cases.
    """

    def __init__(
        self,
        output_dir: str | Path,
        modalities: list[str],
        seed: int = 0,
        samples: int = 1,
        overwrite: bool = False,
    ) -> None:
        self.output_dir, self.modalities = user_path(output_dir), list(modalities)
        self.seed, self.samples, self.overwrite = seed, samples, overwrite
        self.written: list[Path] = []
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._started = time.perf_counter()

    def __call__(self, engine: Engine) -> None:
        made, cases = engine.state.output[EDIT], engine.state.batch["cases"]
        volumes = to_unit_range(made.image).clamp(0, 1).float().cpu().numpy()
        seconds = (time.perf_counter() - self._started) / len(volumes)
        facts = {"nfe": made.evaluations, "seconds": round(seconds, 3), "modalities": self.modalities}
        for number, case in enumerate(cases):
            self._write(case, volumes[number * self.samples : (number + 1) * self.samples], facts)

    def _write(self, case: dict[str, Any], volumes: np.ndarray, facts: dict[str, Any]) -> None:
        if not np.isfinite(volumes).all():
            raise InputError(f"{case['case_id']}: the network gave NaN or infinite values; check --weights.")
        space, mask = case["space"], case["volume"]
        facts = {"case_id": case["case_id"], "files": case["files"], "model_pixel_mm": space.pixel_mm, **facts}
        owner = {"scan": case["owner"]} if case.get("owner") else {}
        with finished_folder(self.output_dir / case["case_id"], self.overwrite, clear=False, **owner) as unfinished:
            for sample, volume in enumerate(volumes):
                folder = unfinished if self.samples == 1 else unfinished / f"sample_{sample}"
                folder.mkdir(exist_ok=True)
                native = [
                    np.where(case["labels"] > 0, space.to_native(one[None], case["labels"].shape).clip(0, 1), 0)
                    for one in volume
                ]
                for name, image in zip(self.modalities, native):
                    stored = NativeCopy.to_native(image.astype(np.float32), mask)
                    save_synthetic(stored, mask.native_affine, folder / f"{name}.nii.gz")
                save_volume_preview(
                    dict(zip(self.modalities, native)), case["labels"], mask.spacing, folder / "preview.png"
                )
                own = {"sample": sample, "case_seed": case_seed(self.seed, case["noise_name"], sample)}
                write_provenance(folder, case["request"], facts | own | {"warnings": case["warnings"]})
            if self.samples > 1:
                write_provenance(unfinished, case["request"], facts | {"warnings": case["warnings"]})
        for warning in case["warnings"]:
            say(f"{case['case_id']}: warning: {warning}")
        self.written.append(self.output_dir / case["case_id"])


def save_volume_preview(
    volumes: dict[str, np.ndarray], labels: np.ndarray, spacing: tuple[float, float, float], path: Path
) -> None:
    """
    Three planes through the tumour, or the middle of the brain, of every modality and of the labels.

    Args:
        volumes: by name, XxYxZ in [0, 1], RAS order; labels: uint8, the same.
        path: PNG to write, whole or not at all.
    """
    tumor = tumor_of(labels)
    place = lesion_planes(tumor if tumor.any() else labels > 0)
    columns = {**volumes, "mask": labels / 4}
    sides = [size * step for size, step in zip(labels.shape, spacing)]
    heights = [sides[1], sides[2], sides[2]]
    scale = 2.4 / max(sides)
    figure = Figure(figsize=(2.5 * len(columns), scale * sum(heights) + 0.9), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(columns), squeeze=False, gridspec_kw={"height_ratios": heights})
    for row, axis in enumerate((2, 1, 0)):
        at = tuple(place[axis] if k == axis else slice(None) for k in range(3))
        steps = [step for k, step in enumerate(spacing) if k != axis]
        for column, (name, volume) in enumerate(columns.items()):
            panel = axes[row, column]
            colours = {"cmap": "gray"} if name != "mask" else {"cmap": "nipy_spectral"}
            panel.imshow(upright(volume[at]), vmin=0, vmax=1, aspect=steps[1] / steps[0], **colours)
            panel.axis("off")
            if row == 0:
                panel.set_title(name, color="white", fontsize=8)
    figure.text(0.5, 0.01, DISCLAIMER, color="#b0b0b0", fontsize=7.5, ha="center", **PLAIN)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    with replacing(path) as unfinished:
        figure.savefig(unfinished, facecolor="black", format="png")

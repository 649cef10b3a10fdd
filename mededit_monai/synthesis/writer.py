# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Synthesized volumes on the mask's own grid, with a picture and what made them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.core.errors import InputError, say
from mededit_monai.core.paths import user_path
from mededit_monai.handlers.case_writer import CaseWriter
from mededit_monai.handlers.evaluator import EDIT
from mededit_monai.handlers.portions import samples_of
from mededit_monai.io.atomic import replacing
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.nifti import NativeCopy, save_synthetic
from mededit_monai.io.provenance import DISCLAIMER, write_provenance
from mededit_monai.reports.edit_summary import FAILED_FILE, require_free_summary, write_failures
from mededit_monai.reports.plain_text import PLAIN
from mededit_monai.reports.preview import lesion_planes, upright
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.intensity import to_unit_range
from mededit_monai.synthesis.labels import tumor_of


class SynthesisWriter(CaseWriter):
    """
    Writes for each mask ``MODALITY.nii.gz`` (float32, 0 to 1, 0 outside the brain, on the mask's own grid),
    ``preview.png`` and ``provenance.json``; of several samples each in ``sample_0``, ….

    Args:
        output_dir: folder; gets one a case, whole or not at all.
        modalities: names of a volume's channels.
        seed, samples: of the run.
        overwrite: replace a result that was changed by hand.
        keep_going: whether a case of a list that fails is noted, in ``failed.json``, and the others go on.
        many: whether the cases are those of a list, of which ``failed.json`` will tell.

    Raises:
        InputError: a volume with NaN or infinite values, a result folder that is not ours to replace.
    """

    def __init__(
        self,
        output_dir: str | Path,
        modalities: list[str],
        seed: int = 0,
        samples: int = 1,
        overwrite: bool = False,
        keep_going: bool = False,
        many: bool = False,
    ) -> None:
        super().__init__(user_path(output_dir), samples, keep_going and many)
        self.modalities, self.seed, self.overwrite, self.many = list(modalities), seed, overwrite, many

    def require_free(self, names: Sequence[str]) -> None:
        """
        Before a run over a list: refuse a file of somebody's in the place of ``failed.json``.

        Args:
            names: of its cases.

        Raises:
            InputError: names the file, or a case that is called like it.
        """
        if self.many:
            require_free_summary(self.output_dir, names, self.overwrite, (FAILED_FILE,))

    def summarize(self, done: Sequence[str] = ()) -> None:
        """
        At the end of a run over a list, or where it was interrupted: bring ``failed.json`` up to date.

        Args:
            done: names of the cases that were done before.
        """
        if self.many:
            write_failures(self.output_dir, {*done, *(folder.name for folder in self.written)}, self.failed)

    def parts(
        self, batch: Mapping[str, Any], output: Mapping[str, Any], seconds: float
    ) -> list[tuple[np.ndarray, dict[str, Any]]]:
        """See :meth:`CaseWriter.parts`: volumes, and facts of how they were made."""
        volumes = to_unit_range(output[EDIT].image).clamp(0, 1).float().cpu().numpy()
        facts = {"nfe": output[EDIT].evaluations, "seconds": round(seconds / len(volumes), 3)}
        count = len(samples_of(batch, self.samples))
        return [(volumes[k * count : (k + 1) * count], facts) for k in range(len(batch["cases"]))]

    def writing(self, case: Mapping[str, Any]) -> Generator[None, tuple[np.ndarray, dict[str, Any]], None]:
        """See :meth:`CaseWriter.writing`."""
        volumes, made = yield
        known = {"case_id": case["case_id"], "files": case["files"], "model_pixel_mm": case["space"].pixel_mm}
        owner = {"scan": case["owner"]} if case.get("owner") else {}
        final, first, seconds = self.output_dir / case["case_id"], 0, 0.0
        with finished_folder(final, self.overwrite, clear=False, **owner) as unfinished:
            for sample in range(self.samples):
                if sample - first == len(volumes):
                    del volumes  # before the next portion is made
                    (volumes, made), first = (yield), sample
                folder = unfinished if self.samples == 1 else unfinished / f"sample_{sample}"
                folder.mkdir(exist_ok=True)
                seconds += made["seconds"]
                seed = case_seed(self.seed, case["noise_name"], sample)
                facts = {**known, **made, "modalities": self.modalities, "warnings": case["warnings"]}
                self._write_volume(folder, case, volumes[sample - first])
                write_provenance(folder, case["request"], facts | {"sample": sample, "case_seed": seed})
            if self.samples > 1:
                mean = {"seconds": round(seconds / self.samples, 3)}
                write_provenance(unfinished, case["request"], facts | mean)
        for warning in case["warnings"]:
            say(f"{case['case_id']}: warning: {warning}")
        self.written.append(final)

    def _write_volume(self, folder: Path, case: Mapping[str, Any], volume: np.ndarray) -> None:
        if not np.isfinite(volume).all():
            raise InputError(f"{case['case_id']}: the network gave NaN or infinite values; check --weights.")
        space, mask = case["space"], case["volume"]
        native = [
            np.where(case["labels"] > 0, space.to_native(one[None], case["labels"].shape).clip(0, 1), 0)
            for one in volume
        ]
        for name, image in zip(self.modalities, native):
            stored = NativeCopy.to_native(image.astype(np.float32), mask)
            save_synthetic(stored, mask.native_affine, folder / f"{name}.nii.gz")
        save_volume_preview(dict(zip(self.modalities, native)), case["labels"], mask.spacing, folder / "preview.png")


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

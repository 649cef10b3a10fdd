# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Writes every edited case: same-grid NIfTI, model-space slice, region, preview and provenance."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from mededit_monai.inferers.noise import case_seed
from mededit_monai.reports.preview import edit_preview
from mededit_monai.reports.provenance import write_provenance
from mededit_monai.transforms.intensity import to_unit_range
from mededit_monai.transforms.nifti import NativeCopy, replace_folder, save_synthetic
from mededit_monai.transforms.restore import restore_slices


class EditWriter:
    """
    Restore and write the cases of each batch, folder by folder; a folder appears only when it is complete.

    Args:
        output_dir: gets ``<case>/edited.nii.gz``, ``edited_slice.nii.gz``, ``edit_region.nii.gz``, ``preview.png``,
            ``provenance.json``; with several samples ``<case>/sample_k/…`` and ``mean.nii.gz``, ``sd.nii.gz``.
        inferer: its ``nfe`` is recorded; where it has an ``edit_region`` of the last call, that is the region written,
            sample by sample, instead of the batch's.
        seed, samples: as given to ``EditPrepareBatch``.
        restore: ``residual`` or ``replace``.
    """

    def __init__(self, output_dir: str | Path, inferer: Any, seed: int, samples: int, restore: str) -> None:
        self.output_dir, self.inferer = Path(output_dir), inferer
        self.seed, self.samples, self.restore = seed, samples, restore
        self.written: list[Path] = []
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Attach to a ``SupervisedEvaluator``."""
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._started = time.perf_counter()

    def __call__(self, engine: Engine) -> None:
        seconds = time.perf_counter() - self._started
        # The prior as the inferer saw it, so that what was not edited differs by exactly nothing.
        prior = to_unit_range(engine.state.output[CommonKeys.IMAGE]).float().cpu().numpy()[:, 0]
        edits = to_unit_range(engine.state.output[CommonKeys.PRED]).float().cpu().numpy()[:, 0]
        batch, row, first = engine.state.batch, 0, 0
        found = getattr(self.inferer, "edit_region", None)
        for case in batch["cases"]:
            count = len(case["slices"])
            masks = {k: batch[k][first : first + count, 0].numpy() > 0 for k in ("brain", "pathology", "region")}
            block = slice(row, row + count * self.samples)
            shape = (self.samples, count, *edits.shape[1:])
            region = masks.pop("region")[None].repeat(self.samples, axis=0)
            if found is not None:
                region = found[block, 0].cpu().numpy().reshape(shape)
            self._write_case(case, prior[block].reshape(shape)[0], edits[block].reshape(shape), masks, region, seconds)
            row, first = row + count * self.samples, first + count

    def _write_case(
        self,
        case: Mapping[str, Any],
        prior: np.ndarray,
        edits: np.ndarray,
        masks: Mapping[str, np.ndarray],
        regions: np.ndarray,
        seconds: float,
    ) -> None:
        final = self.output_dir / case["case_id"]
        unfinished = self.output_dir / f".{case['case_id']}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        edits = np.where(masks["brain"], edits, prior)  # everything outside the brain is composited back
        facts = {
            "case_id": case["case_id"],
            "files": case["files"],
            "brain_source": case["brain_source"],
            "slices": case["slices"],
            "model_pixel_mm": case["grid"].pixel_mm,
            "nfe": self.inferer.nfe,
            "seconds": round(seconds, 3),
        }
        volumes = []
        for k in range(self.samples):
            folder = unfinished if self.samples == 1 else unfinished / f"sample_{k}"
            folder.mkdir(exist_ok=True)
            sample_facts = facts | {"case_seed": case_seed(self.seed, case["case_id"], k), "sample": k}
            sample_masks = {**masks, "region": regions[k]}
            volumes.append(self._write_sample(folder, case, prior, edits[k], sample_masks, sample_facts))
        if self.samples > 1:
            stack, affine = np.stack(volumes), case["scan"].native_affine
            save_synthetic(stack.mean(0, dtype=np.float64).astype(np.float32), affine, unfinished / "mean.nii.gz")
            save_synthetic(stack.std(0, dtype=np.float64).astype(np.float32), affine, unfinished / "sd.nii.gz")
            union = {**masks, "region": regions.any(axis=0)}
            self._preview(unfinished, case, prior, edits.mean(0), union, f"mean of {self.samples} samples")
            write_provenance(unfinished, case["request"], facts | {"warnings": case["warnings"]})
        replace_folder(unfinished, final)
        self.written.append(final)

    def _write_sample(
        self,
        folder: Path,
        case: Mapping[str, Any],
        prior: np.ndarray,
        edit: np.ndarray,
        masks: Mapping[str, np.ndarray],
        facts: dict[str, Any],
    ) -> np.ndarray:
        """One counterfactual; returns the edited volume as stored on disk, scaled, native order, float32."""
        scan, grid, slices = case["scan"], case["grid"], case["slices"]
        copy = NativeCopy(scan.path)
        restored = restore_slices(
            copy, case["brain_volume"], grid, slices, case["ceilings"], prior, edit, masks["region"], self.restore
        )
        copy.save(folder / "edited.nii.gz")
        region = NativeCopy.to_native(restored.region, scan)
        save_synthetic(region.astype(np.uint8), scan.native_affine, folder / "edit_region.nii.gz")
        affine = grid.model_affine(scan.affine, slices[0])
        save_synthetic(edit.transpose(1, 2, 0).astype(np.float32), affine, folder / "edited_slice.nii.gz")
        self._preview(folder, case, prior, edit, masks, "")
        write_provenance(folder, case["request"], facts | {"warnings": [*case["warnings"], *restored.warnings]})
        return copy.native_volume()

    def _preview(
        self,
        folder: Path,
        case: Mapping[str, Any],
        prior: np.ndarray,
        edit: np.ndarray,
        masks: Mapping[str, np.ndarray],
        note: str,
    ) -> None:
        shown = int(masks["pathology"].sum(axis=(1, 2)).argmax())  # the slice with the most lesion
        options = case["request"]["options"]
        title = f"{case['case_id']}  slice {case['slices'][shown]}  {options.get('method', '')}  {note}"
        edit_preview(
            prior[shown], edit[shown], masks["pathology"][shown], masks["region"][shown], folder / "preview.png", title
        )

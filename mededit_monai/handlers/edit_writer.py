# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Writes every edited case: same-grid NIfTI, model-space slice, region, preview and provenance."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from mededit_monai.core.errors import InputError, find_input_error, say
from mededit_monai.io.atomic import write_json
from mededit_monai.io.claims import exclusive
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.nifti import NativeCopy, save_synthetic
from mededit_monai.io.outputs import OutputFolder, remove_listed_file
from mededit_monai.io.provenance import write_provenance
from mededit_monai.io.whole import is_whole
from mededit_monai.prepare.one_by_one import refuse_warnings
from mededit_monai.reports.preview import edit_preview
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.intensity import to_unit_range
from mededit_monai.space.restore import restore_slices

#: In the output folder, after ``--keep_going``: the cases that failed, each with its sentence.
FAILED_FILE = "failed.json"


class EditWriter:
    """
    Restore and write the cases of each batch, folder by folder; a folder appears only when it is complete.

    Args:
        output_dir: gets ``<case>/edited.nii.gz``, ``edited_slice.nii.gz``, ``edit_region.nii.gz``, ``preview.png``,
            ``provenance.json``; with several samples ``<case>/sample_k/…`` and ``mean.nii.gz``, ``sd.nii.gz``
            (the spread of the samples, a fraction of their error: not a map of uncertainty).
        inferer: its ``nfe`` is recorded; where it has an ``edit_region`` of the last call, that is the region written,
            sample by sample, instead of the batch's.
        seed, samples: as given to ``EditPrepareBatch``.
        restore: ``residual`` or ``replace``.
        strict: whether a case with a warning is refused.
        keep_going: whether a case that is refused is noted, in ``failed.json``, and the others go on.
        overwrite: whether a result that somebody changed, or another scan's, may be replaced.

    Raises:
        InputError: an edit with NaN or infinite values, a result folder that is not ours to replace.
    """

    def __init__(
        self,
        output_dir: str | Path,
        inferer: Any,
        seed: int,
        samples: int,
        restore: str,
        strict: bool = False,
        keep_going: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.output_dir, self.inferer = Path(output_dir), inferer
        self.seed, self.samples, self.restore = seed, samples, restore
        self.strict, self.keep_going, self.overwrite = strict, keep_going, overwrite
        self.written: list[Path] = []
        self.failed: list[dict[str, str]] = []
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Attach to a ``SupervisedEvaluator``."""
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._started = time.perf_counter()

    def __call__(self, engine: Engine) -> None:
        seconds = time.perf_counter() - self._started
        self.failed += engine.state.batch.get("failed", [])
        if not engine.state.batch["cases"]:
            return
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
            try:
                self._write_case(
                    case, prior[block].reshape(shape)[0], edits[block].reshape(shape), masks, region, seconds
                )
            except Exception as error:
                bad_input = find_input_error(error)
                if bad_input is None or not self.keep_going:
                    raise
                self.failed.append({"case_id": case["case_id"], "failed": " ".join(str(bad_input).split())})
            row, first = row + count * self.samples, first + count

    def report_failures(self) -> None:
        """
        At the end of a run that kept going: list the cases that failed in ``failed.json``, or remove an older list.

        Raises:
            InputError: if any case failed.
        """
        if not self.keep_going:
            return
        place = self.output_dir / FAILED_FILE
        with exclusive(self.output_dir):  # other shards write to the same list
            OutputFolder(self.output_dir).require_free([FAILED_FILE])
            mine = {folder.name for folder in self.written} | {one["case_id"] for one in self.failed}
            before = json.loads(place.read_bytes()) if is_whole(place) else []
            listed = [*(one for one in before if one["case_id"] not in mine), *self.failed]
            if listed:
                OutputFolder(self.output_dir).reserve([FAILED_FILE])
                write_json(place, listed)
            else:
                remove_listed_file(place)
        if not self.failed:
            return
        for one in self.failed:
            say(f"{one['case_id']}: {one['failed']}")
        raise InputError(
            f"{len(self.failed)} of {len(self.failed) + len(self.written)} cases failed, the others are done; "
            f"{place} lists them."
        )

    def _write_case(
        self,
        case: Mapping[str, Any],
        prior: np.ndarray,
        edits: np.ndarray,
        masks: Mapping[str, np.ndarray],
        regions: np.ndarray,
        seconds: float,
    ) -> None:
        if not np.isfinite(edits).all():
            share = np.mean(~np.isfinite(edits))
            raise InputError(
                f"{case['case_id']}: the network gave NaN or infinite values in {share:.0%} of the edit, so nothing "
                f"was "
                f"written; check --weights and options such as --guidance."
            )
        final = self.output_dir / case["case_id"]
        edits = np.where(masks["brain"], edits, prior)  # everything outside the brain is composited back
        facts = {
            "case_id": case["case_id"],
            "files": case["files"],
            "brain_source": case["brain_source"],
            "slices": case["slices"],
            "lesion_share_edited": round(case["lesion_share"], 6),
            "model_pixel_mm": case["grid"].pixel_mm,
            "nfe": self.inferer.nfe,
            "seconds": round(seconds, 3),
        }
        warnings = [*case["warnings"], *self._lesion_warnings(case, edits, masks)]
        owner = {"scan": case["owner"]} if case.get("owner") else {}
        with finished_folder(final, self.overwrite, clear=False, **owner) as unfinished:
            volumes = []
            for k in range(self.samples):
                folder = unfinished if self.samples == 1 else unfinished / f"sample_{k}"
                folder.mkdir(exist_ok=True)
                seed = case_seed(self.seed, case.get("noise_name", case["case_id"]), k)
                sample_facts = facts | {"case_seed": seed, "sample": k}
                sample_masks = {**masks, "region": regions[k]}
                volume, found = self._write_sample(folder, case, prior, edits[k], sample_masks, sample_facts, warnings)
                volumes.append(volume)
                warnings = list(dict.fromkeys([*warnings, *found]))
            if self.samples > 1:
                stack, affine = np.stack(volumes), case["scan"].native_affine
                save_synthetic(stack.mean(0, dtype=np.float64).astype(np.float32), affine, unfinished / "mean.nii.gz")
                save_synthetic(stack.std(0, dtype=np.float64).astype(np.float32), affine, unfinished / "sd.nii.gz")
                union = {**masks, "region": regions.any(axis=0)}
                self._preview(unfinished, case, prior, edits.mean(0), union, f"mean of {self.samples} samples")
                write_provenance(unfinished, case["request"], facts | {"warnings": warnings})
            refuse_warnings(warnings, self.strict)
        for warning in warnings:
            say(f"{case['case_id']}: warning: {warning}")
        self.written.append(final)

    def _lesion_warnings(
        self, case: Mapping[str, Any], edits: np.ndarray, masks: Mapping[str, np.ndarray]
    ) -> list[str]:
        """A stroke is darker than the brain around it; one that is not says that the intensities were not T1's."""
        if case["request"]["options"].get("disease") != "stroke":
            return []
        lesion = masks["pathology"] & masks["brain"]
        around = masks["brain"] & ~masks["pathology"]
        if not lesion.any() or not around.any():
            return []
        inside, outside = float(edits[:, lesion].mean()), float(edits[:, around].mean())
        if inside < outside:
            return []
        return [
            f"the lesion came out no darker than the brain around it ({inside:.2f} against {outside:.2f} of the scan's "
            f"range); check that the scan is T1-weighted and its intensities begin at 0."
        ]

    def _write_sample(
        self,
        folder: Path,
        case: Mapping[str, Any],
        prior: np.ndarray,
        edit: np.ndarray,
        masks: Mapping[str, np.ndarray],
        facts: dict[str, Any],
        warnings: list[str],
    ) -> tuple[np.ndarray, list[str]]:
        """One counterfactual; returns the edited volume (scaled, native order, float32) and what is odd about it."""
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
        found = [*warnings, *restored.warnings]
        facts = facts | {"voxels_changed": restored.changed, "warnings": list(dict.fromkeys(found))}
        write_provenance(folder, case["request"], facts)
        return copy.native_volume(), restored.warnings

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

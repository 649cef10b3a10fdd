# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Writes every edited case: same-grid NIfTI, the model's slice or volume, region, what moved, preview, provenance."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from mededit_monai.core.errors import InputError, SomeFailed, say
from mededit_monai.diseases import DISEASES
from mededit_monai.handlers.edit_previews import save_model_preview, save_volume_preview
from mededit_monai.handlers.edited_case import EditedCase
from mededit_monai.handlers.effects_files import Moved, write_effects
from mededit_monai.handlers.evaluator import EDIT
from mededit_monai.handlers.preparation_files import write_preparation
from mededit_monai.io.atomic import write_bytes, written_aside
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.nifti import NativeCopy, save_synthetic
from mededit_monai.io.provenance import write_provenance
from mededit_monai.prepare.native import Native
from mededit_monai.prepare.one_by_one import failed_case, refuse_warnings
from mededit_monai.reports.edit_summary import FAILED_FILE, require_free_summary, write_summary
from mededit_monai.reports.view_edit import VIEWER_FILE, edit_page, write_edit_view
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.intensity import to_unit_range
from mededit_monai.space.restore import labels_on_scan, restore
from mededit_monai.space.stack import CaseStack


class EditWriter:
    """
    Restore and write the cases of each batch, folder by folder; a folder appears only when it is complete.

    Args:
        output_dir: gets ``<case>/edited.nii.gz`` (``.mgz`` and so on where the scan is and that format is written;
            all other images are NIfTI), ``edited_slice.nii.gz`` (of a volume ``edited_model.nii.gz``),
            ``edit_region.nii.gz``, ``preview.png``, ``provenance.json``; with several samples ``<case>/sample_k/…`` and
            ``mean.nii.gz``, ``sd.nii.gz`` (the spread of the samples: how people differ, as far as the editor knows
            it, not the editor's error). Of a course ``<case>/course_k/…``. Where the lesion moved tissue,
            ``displacement.nii.gz``, ``inverse_displacement.nii.gz``, ``effects.json`` and ``carried/`` too
            (:func:`~mededit_monai.handlers.effects_files.write_effects`). Of a lesion that was asked for in words
            ``pathology.nii.gz``, the mask that was used; of a tumour whose regions were drawn ``regions.nii.gz``.
        seed, samples, course: as given to ``EditPrepareBatch``.
        restore: ``residual`` or ``replace``.
        strict: whether a case with a warning is refused.
        keep_going: whether a case that fails is noted, in ``failed.json``, and the others go on.
        overwrite: whether a result that somebody changed, or another scan's, may be replaced.
        many: whether the cases are those of a list, of which ``summary.csv`` and ``summary.html`` will tell.
        html: whether each case gets ``viewer.html``, a page to look at it.

    Raises:
        InputError: an edit with NaN or infinite values, a displacement that folds, a result folder that is not ours to
            replace.
    """

    def __init__(
        self,
        output_dir: str | Path,
        seed: int,
        samples: int,
        restore: str,
        strict: bool = False,
        keep_going: bool = False,
        overwrite: bool = False,
        course: int = 0,
        many: bool = False,
        html: bool = False,
    ) -> None:
        self.output_dir, self.many, self.html = Path(output_dir), many, html
        self.seed, self.samples, self.course, self.restore = seed, course or samples, course, restore
        self.strict, self.keep_going, self.overwrite = strict, keep_going, overwrite
        self.written: list[Path] = []
        self.failed: list[dict[str, str]] = []
        self._started = 0.0

    @property
    def _kind(self) -> str:
        return "course" if self.course else "sample"

    def attach(self, engine: Engine) -> None:
        """Attach to an ``EditEvaluator``."""
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        self._started = time.perf_counter()

    def __call__(self, engine: Engine) -> None:
        seconds = time.perf_counter() - self._started
        self.failed += engine.state.batch.get("failed", [])
        if not engine.state.batch["cases"]:
            return
        batch, output = engine.state.batch, engine.state.output
        stack = CaseStack.of(batch["cases"], self.samples)
        # The prior as the editor saw it, so that what was not edited differs by exactly nothing.
        priors, edits = (
            stack.of_samples(to_unit_range(output[key]).float().cpu().numpy()[:, 0])
            for key in (CommonKeys.IMAGE, CommonKeys.PRED)
        )
        regions = stack.of_samples(output[EDIT].region.cpu().numpy()[:, 0] > 0)
        brains, lesions = (stack.of_case(batch[key].numpy()[:, 0] > 0) for key in ("brain", "pathology"))
        facts = {"nfe": output[EDIT].evaluations, "seconds": round(seconds, 3)}
        moved = Moved.of(output[EDIT].extras, stack) or [None] * len(batch["cases"])
        fine = output[EDIT].extras.get("fine")
        labels = output[EDIT].extras.get("regions")
        drawn = stack.of_items(labels) if labels else None
        for number, case in enumerate(batch["cases"]):
            parts = (part[number] for part in (edits, brains, lesions, regions))
            mine = fine and fine[number * self.samples : (number + 1) * self.samples]  # volumes: a row a sample
            own = drawn and [np.stack(sample) for sample in drawn[number]]
            edited = EditedCase(case, priors[number][0], *parts, facts, moved[number], mine, own)
            try:
                self._write_case(edited)
            except Exception as error:
                if not self.keep_going:
                    raise
                self.failed.append(failed_case(case["case_id"], error))

    def require_free(self, names: Sequence[str]) -> None:
        """
        Before a run over a list: refuse files of somebody's in the place of those that will say what became of it.

        Args:
            names: of its cases.

        Raises:
            InputError: names the file, or a case that is called like one.
        """
        if self.many:
            require_free_summary(self.output_dir, names, self.overwrite)

    def add_pages(self, done: Sequence[str]) -> None:
        """
        At the end of a run: give the cases that were done before their pages, if cases are to have them.

        Args:
            done: names of the cases that were done before.
        """
        for folder in (self.output_dir / name for name in done if self.html):
            if not (folder / VIEWER_FILE).exists():
                write_edit_view(folder)

    def summarize(self, done: Sequence[str] = ()) -> None:
        """
        At the end of a run over a list, or where it was interrupted: write ``failed.json``, ``summary.csv`` and
        ``summary.html``, which tell of all results in the folder.

        Args:
            done: names of the cases that were done before.
        """
        if self.many:
            made = {folder.name for folder in self.written}
            write_summary(self.output_dir, made, done, self.failed, self.overwrite)

    def report_failures(self, before: int = 0) -> None:
        """
        At the end of a run that kept going.

        Args:
            before: how many cases were done before.

        Raises:
            SomeFailed: if any case failed.
        """
        if not self.failed:
            return
        for one in self.failed:
            say(f"{one['case_id']}: {one['failed']}", error=True)
        raise SomeFailed(self.written, self.failed, before, self.output_dir / FAILED_FILE)

    def _write_case(self, edited: EditedCase) -> None:
        case = edited.case
        if not np.isfinite(edited.edits).all():
            share = np.mean(~np.isfinite(edited.edits))
            raise InputError(
                f"{case['case_id']}: the network gave NaN or infinite values in {share:.0%} of the edit, so nothing "
                f"was written; check --weights and options such as --guidance."
            )
        final = self.output_dir / case["case_id"]
        # Everything outside the brain is composited back.
        edited = replace(edited, edits=np.where(edited.brain, edited.edits, edited.prior))
        facts = {
            "case_id": case["case_id"],
            "files": case["files"],
            "scan_format": case["scan"].kind,
            "edited": f"edited{case['scan'].ending}",
            "brain_source": case["brain_source"],
            "slices": case["slices"],
            "lesion_ml": round(float(case["lesion_volume"].sum()) * case["scan"].voxel_ml, 6),
            "lesion_share_edited": round(case["lesion_share"], 6),
            "model_pixel_mm": case["space"].pixel_mm,
            **({"preparation": case["preparation"].facts()} if "preparation" in case else {}),
            **edited.facts,
        }
        facts |= {"lesion_made": case["lesion_facts"]} if "lesion_facts" in case else {}
        warnings = [*case["warnings"], *_lesion_warnings(edited)]
        owner = {"scan": case["owner"]} if case.get("owner") else {}
        with finished_folder(final, self.overwrite, clear=False, **owner) as unfinished:
            if "preparation" in case:
                write_preparation(unfinished / "prepare", case["preparation"])
            if "lesion_facts" in case:
                native = Native.of(case)
                mask = case.get("regions") if native.regions is None else native.regions
                mask = NativeCopy.to_native((native.lesion if mask is None else mask).astype(np.uint8), native.scan)
                save_synthetic(mask, native.scan.native_affine, unfinished / "pathology.nii.gz")
            volumes = []
            for k in range(self.samples):
                folder = unfinished if self.samples == 1 else unfinished / f"{self._kind}_{k}"
                folder.mkdir(exist_ok=True)
                seed = case_seed(self.seed, case.get("noise_name", case["case_id"]), 0 if self.course else k)
                volume, found = self._write_sample(
                    folder, edited, k, facts | {"case_seed": seed, self._kind: k}, warnings
                )
                volumes.append(volume)
                warnings = list(dict.fromkeys([*warnings, *found]))
            if self.course:
                note = f"last of {self.samples} steps of a course"
                save_model_preview(
                    unfinished, edited, edited.edits[-1], edited.regions[-1], note, edited.moved and edited.moved[-1]
                )
                write_provenance(unfinished, case["request"], facts | {"warnings": warnings})
            elif self.samples > 1:
                stack, affine = np.stack(volumes), Native.of(case).scan.native_affine
                save_synthetic(stack.mean(0, dtype=np.float64).astype(np.float32), affine, unfinished / "mean.nii.gz")
                save_synthetic(stack.std(0, dtype=np.float64).astype(np.float32), affine, unfinished / "sd.nii.gz")
                note = f"mean of {self.samples} samples"
                save_model_preview(unfinished, edited, edited.edits.mean(0), edited.regions.any(axis=0), note)
                write_provenance(unfinished, case["request"], facts | {"warnings": warnings})
            refuse_warnings(warnings, self.strict)
            if self.html:
                write_bytes(unfinished / VIEWER_FILE, edit_page(unfinished))
        for warning in warnings:
            say(f"{case['case_id']}: warning: {warning}")
        self.written.append(final)

    def _write_sample(
        self, folder: Path, edited: EditedCase, sample: int, facts: dict[str, Any], warnings: list[str]
    ) -> tuple[np.ndarray | None, list[str]]:
        """One counterfactual; of samples the edited volume (scaled, native order, float32), and what is odd of it."""
        case, edit, region = edited.case, edited.edits[sample], edited.regions[sample]
        space, native = case["space"], Native.of(case)
        scan, copy = native.scan, NativeCopy(native.scan)
        moved = edited.moved[sample] if edited.moved else None
        with written_aside() as write:
            base, painted, displaced = edited.prior, region, None
            fine = edited.fine[sample] if edited.fine else None
            if moved:
                shape = case["brain_volume"].shape
                flow = moved.on_scan(space, native, shape, case["case_id"], fine and fine.view.flow)
                write_effects(folder, case, moved, flow, write)
                displaced = fine.view.displaced if fine and not native.upright else native.displaced(flow)
                base, painted = moved.displaced, moved.painted
                facts = facts | {"strength": moved.strength}
            at, final = space, edit
            if fine:
                at, base, final, painted = fine.view.box, fine.view.image[None], fine.edit[None], fine.painted[None]
                facts = facts | {"paint_pixel_mm": fine.view.box.pixel_mm, "paint_box": list(fine.view.box.shape)}
            noise = facts["case_seed"] if fine and self.restore == "residual" else None
            levels, there = case["ceilings"], native.grid(at)
            restored = restore(
                copy, native.brain, there, levels, base, final, painted, self.restore, displaced, noise, native.gain
            )
            write(copy.save, folder / f"edited{scan.ending}")
            changed = NativeCopy.to_native(restored.region, scan).astype(np.uint8)
            write(save_synthetic, changed, scan.native_affine, folder / "edit_region.nii.gz")
            if edited.drawn:
                labels = NativeCopy.to_native(labels_on_scan(edited.drawn[sample], there, native.lesion), scan)
                write(save_synthetic, labels, scan.native_affine, folder / "regions.nii.gz")
            model = np.moveaxis(space.planes(edit), 0, -1).astype(np.float32)
            name = "edited_slice.nii.gz" if space.spatial_dims == 2 else "edited_model.nii.gz"
            write(save_synthetic, model, space.affine, folder / name)
            if space.spatial_dims == 3:
                save_volume_preview(folder, edited, copy, restored.region, flow if moved else None)
            else:
                save_model_preview(folder, edited, edit, region, "", moved)
        found = [*warnings, *restored.warnings]
        if native.upright:  # the model's slices are of the upright copy
            facts = facts | {"slices": np.flatnonzero(restored.region.any(axis=(0, 1))).tolist()}
        facts = facts | {"voxels_changed": restored.changed, "warnings": list(dict.fromkeys(found))}
        write_provenance(folder, case["request"], facts)
        needed = self.samples > 1 and not self.course
        return copy.native_volume() if needed else None, restored.warnings


def _lesion_warnings(edited: EditedCase) -> list[str]:
    """A dark lesion, such as a stroke, that came out bright says that the intensities were not T1's."""
    disease = edited.case["request"]["options"].get("disease")
    if disease not in DISEASES or not DISEASES[disease].lesion_is_dark:
        return []
    lesion, around = edited.pathology & edited.brain, edited.brain & ~edited.pathology
    if not lesion.any() or not around.any():
        return []
    inside, outside = float(edited.edits[:, lesion].mean()), float(edited.edits[:, around].mean())
    if inside < outside:
        return []
    return [
        f"the lesion came out no darker than the brain around it ({inside:.2f} against {outside:.2f} of the scan's "
        f"range); check that the scan is T1-weighted and its intensities begin at 0."
    ]

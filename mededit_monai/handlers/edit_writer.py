# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Writes every edited case: same-grid NIfTI, the model's slice or volume, region, what moved, preview, provenance."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import CommonKeys

from mededit_monai.core.errors import InputError, say
from mededit_monai.diseases import DISEASES
from mededit_monai.handlers.case_writer import CaseWriter
from mededit_monai.handlers.edit_previews import save_model_preview, save_volume_preview
from mededit_monai.handlers.edited_case import EditedCase
from mededit_monai.handlers.effects_files import Moved, write_effects
from mededit_monai.handlers.evaluator import EDIT
from mededit_monai.handlers.portions import samples_of
from mededit_monai.handlers.preparation_files import write_preparation
from mededit_monai.handlers.sample_spread import Spread
from mededit_monai.io.atomic import write_bytes, written_aside
from mededit_monai.io.finished import finished_folder
from mededit_monai.io.nifti import NativeCopy, save_synthetic
from mededit_monai.io.provenance import write_provenance
from mededit_monai.prepare.native import Native
from mededit_monai.prepare.one_by_one import refuse_warnings
from mededit_monai.reports.edit_summary import require_free_summary, write_summary
from mededit_monai.reports.view_edit import VIEWER_FILE, edit_page, write_edit_view
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.intensity import to_unit_range
from mededit_monai.space.restore import labels_on_scan, restore
from mededit_monai.space.stack import CaseStack


class EditWriter(CaseWriter):
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
        super().__init__(Path(output_dir), course or samples, keep_going)
        self.seed, self.course, self.restore, self.many = seed, course, restore, many
        self.strict, self.overwrite, self.html = strict, overwrite, html

    @property
    def _kind(self) -> str:
        return "course" if self.course else "sample"

    def parts(self, batch: Mapping[str, Any], output: Mapping[str, Any], seconds: float) -> list[EditedCase]:
        """See :meth:`CaseWriter.parts`."""
        count = len(samples_of(batch, self.samples))
        stack = CaseStack.of(batch["cases"], count)
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
        found = []
        for number, case in enumerate(batch["cases"]):
            parts = (part[number] for part in (edits, brains, lesions, regions))
            mine = fine and fine[number * count : (number + 1) * count]  # volumes: a row a sample
            own = drawn and [np.stack(sample) for sample in drawn[number]]
            found.append(EditedCase(case, priors[number][0], *parts, facts, moved[number], mine, own))
        return found

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

    def writing(self, case: Mapping[str, Any]) -> Generator[None, EditedCase, None]:
        """See :meth:`CaseWriter.writing`."""
        edited = self._composited((yield))
        facts, seconds = _facts(edited), edited.facts["seconds"]
        # Of samples that come in portions, what is odd of the lesion is said of the first ones.
        warnings = [*case["warnings"], *_lesion_warnings(edited)]
        owner = {"scan": case["owner"]} if case.get("owner") else {}
        final = self.output_dir / case["case_id"]
        with finished_folder(final, self.overwrite, clear=False, **owner) as unfinished:
            _write_inputs(unfinished, case)
            spread, first = Spread(), 0
            for k in range(self.samples):
                if k - first == len(edited.edits):
                    del edited  # before the next portion is made
                    edited, first = self._composited((yield)), k
                    facts["nfe"] = max(facts["nfe"], edited.facts["nfe"])
                    seconds += edited.facts["seconds"]
                folder = unfinished if self.samples == 1 else unfinished / f"{self._kind}_{k}"
                folder.mkdir(exist_ok=True)
                seed = case_seed(self.seed, case.get("noise_name", case["case_id"]), 0 if self.course else k)
                own = facts | edited.facts | {"case_seed": seed, self._kind: k}
                volume, found = self._write_sample(folder, edited, k - first, own, warnings)
                if volume is not None:
                    spread.add(volume, edited.edits[k - first], edited.regions[k - first])
                warnings = list(dict.fromkeys([*warnings, *found]))
            facts |= {"seconds": round(seconds, 3), "warnings": warnings}
            if self.course:
                note = f"last of {self.samples} steps of a course"
                save_model_preview(
                    unfinished, edited, edited.edits[-1], edited.regions[-1], note, edited.moved and edited.moved[-1]
                )
                write_provenance(unfinished, case["request"], facts)
            elif self.samples > 1:
                affine = Native.of(case).scan.native_affine
                for name, image in zip(("mean", "sd"), spread.mean_and_sd()):
                    save_synthetic(image, affine, unfinished / f"{name}.nii.gz")
                note = f"mean of {self.samples} samples"
                save_model_preview(unfinished, edited, spread.mean_edit, spread.region, note)
                write_provenance(unfinished, case["request"], facts)
            refuse_warnings(warnings, self.strict)
            if self.html:
                write_bytes(unfinished / VIEWER_FILE, edit_page(unfinished))
        for warning in warnings:
            say(f"{case['case_id']}: warning: {warning}")
        self.written.append(final)

    @staticmethod
    def _composited(edited: EditedCase) -> EditedCase:
        """With everything outside the brain as it was; InputError for an edit that is no image."""
        if not np.isfinite(edited.edits).all():
            share = np.mean(~np.isfinite(edited.edits))
            raise InputError(
                f"{edited.case['case_id']}: the network gave NaN or infinite values in {share:.0%} of the edit, so "
                f"nothing was written; check --weights and options such as --guidance."
            )
        return replace(edited, edits=np.where(edited.brain, edited.edits, edited.prior))

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


def _facts(edited: EditedCase) -> dict[str, Any]:
    """Of a case and its edits, for the provenance."""
    case = edited.case
    return {
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
        **({"lesion_made": case["lesion_facts"]} if "lesion_facts" in case else {}),
    }


def _write_inputs(folder: Path, case: Mapping[str, Any]) -> None:
    """What was prepared of a raw head, and the mask of a lesion that was asked for in words."""
    if "preparation" in case:
        write_preparation(folder / "prepare", case["preparation"])
    if "lesion_facts" in case:
        native = Native.of(case)
        mask = case.get("regions") if native.regions is None else native.regions
        mask = NativeCopy.to_native((native.lesion if mask is None else mask).astype(np.uint8), native.scan)
        save_synthetic(mask, native.scan.native_affine, folder / "pathology.nii.gz")


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

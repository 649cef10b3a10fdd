# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A quick edit of a few validation cases: how good it is, in figures and in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.networks.schedulers import Scheduler

from mededit_monai.core.paths import user_path
from mededit_monai.io.outputs import OutputFolder, make_folder
from mededit_monai.methods.build import build_editor
from mededit_monai.methods.record import method_of, network_named
from mededit_monai.metrics import edge_gradient
from mededit_monai.metrics.contrast import lesion_contrast
from mededit_monai.metrics.truth import zone_errors
from mededit_monai.reports.sheet import save_sheet
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.flow import pull
from mededit_monai.space.intensity import to_model_range, to_unit_range
from mededit_monai.space.masks import edit_region
from mededit_monai.training.distributed import is_main_process

#: What is kept of a validation batch.
KEYS = ("image", "prior", "brain", "prior_brain", "pathology", "regions", "displacement", "displaced", "pixel_mm")

#: k of the zone in which errors are compared: the thesis's edit region.
ZONE = 25


class QuickEdit:
    """
    Edit the first validation cases with few evaluations; save prior, truth and edit side by side.

    Adds metrics. ``edit_contrast``: change inside p against the true lesion's, 1 is right (pairs only).
    ``edit_gradient``: step across M's edge against the unedited scan's, 1 is right. ``zone_error`` and
    ``no_edit_zone_error``: mean absolute error between p and the edge of dilate(p, 25), of the edit and of no edit
    (pairs only).

    A painter is given the scan that the true displacement has moved: what moves is not its part. Of crops of volumes,
    which come displaced, the axial plane with most lesion is shown and scored. Nothing is edited for a network that no
    method asks by itself, and no whole volumes.

    Args:
        network: usually the averaged network.
        scheduler: of the training.
        path: folder for ``epoch_0001.png``, …
        cases: how many.
        interval: epochs between two edits; 0 for none.
        condition, family: of the training.
        listed_in: a folder above whose marker lists the pictures as written by mededit; None: that of the pictures.

    Raises:
        InputError: a picture in the way that mededit did not write.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        scheduler: Scheduler,
        path: str | Path,
        cases: int = 8,
        interval: int = 1,
        condition: str = "mask",
        family: str = "mededit",
        listed_in: str | Path | None = None,
    ) -> None:
        self.condition = condition
        self.network, self.path, self.cases, self.interval = network, user_path(path), cases, interval
        self.listed_in = self.path if listed_in is None else user_path(listed_in)
        preview, method = network_named(family).preview, method_of(family)
        self.editor = method and build_editor(method.name, scheduler, condition, spacing="logsnr", **preview)
        self._batch: dict[str, torch.Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to the validation engine."""
        if is_main_process() and self.editor is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), self._keep)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _keep(self, engine: Engine) -> None:
        batch = engine.state.batch
        if batch["image"].ndim == 4 or "displaced" in batch:
            self._batch = {key: batch[key][: self.cases].float() for key in KEYS if key in batch}

    def __call__(self, engine: Engine) -> None:
        for name in SCORES:  # the engine keeps its metrics: those of an edit some epochs ago are not this epoch's
            engine.state.metrics.pop(name, None)
        if self.editor is None or not self._batch or not self.interval or engine.state.epoch % self.interval:
            return
        truth = self._batch["image"]
        # without pairs the scan's own lesion is edited over
        prior = self._batch.get("displaced", self._batch.get("prior", truth))
        if "displacement" in self._batch:
            prior = pull(prior, self._batch["displacement"] / self._batch["pixel_mm"].view(-1, 1, 1, 1))
        device = next(self.network.parameters()).device
        brain = self._batch["brain" if "brain" in self._batch else "prior_brain"].to(device)
        pathology = self._batch["pathology"].to(device)
        seeds = [case_seed(0, f"sheet_{k}") for k in range(len(truth))]
        masks = self._batch["regions"].to(device) if self.condition == "regions" else pathology
        channels = torch.stack([condition_channels(mask, self.condition) for mask in masks])
        edit = self.editor(to_model_range(prior.to(device)), self.network, brain, channels, seeds=seeds)
        stacks = {"prior": prior, "truth": truth, "edit": to_unit_range(edit.image), "brain": brain}
        stacks["region"] = self.editor.edge(brain, channels)
        stacks |= {"pathology": pathology, "zone": edit_region(pathology, brain, ZONE)}
        planes = {k: v[:, 0].cpu().numpy() for k, v in stacks.items()}
        if truth.ndim == 5:
            shown = planes["pathology"].sum(axis=(1, 2)).argmax(axis=1)
            planes = {k: np.stack([one[..., z] for one, z in zip(v, shown)]) for k, v in planes.items()}
        engine.state.metrics |= edit_scores(planes, paired="prior" in self._batch or "displaced" in self._batch)
        picture = self.path / f"epoch_{engine.state.epoch:04d}.png"
        OutputFolder(self.listed_in).reserve([picture.relative_to(self.listed_in).as_posix()])
        make_folder(self.path)
        save_sheet({k: planes[k] for k in ("prior", "truth", "edit")}, picture, f"epoch {engine.state.epoch}")


#: What :func:`edit_scores` may find.
SCORES = ("edit_contrast", "zone_error", "no_edit_zone_error", "edit_gradient")


def edit_scores(planes: Mapping[str, np.ndarray], paired: bool) -> dict[str, float]:
    """
    Mean scores over cases with a lesion.

    Args:
        planes: ``prior``, ``truth``, ``edit`` in [0, 1] and masks ``brain``, ``pathology``, ``region``, ``zone``, NxHxW
            each; ``zone`` is the same for all methods, so that their errors can be compared.
        paired: whether ``truth`` is the true counterfactual of ``prior``.
    """
    contrasts, gradients, errors = [], [], []
    for k in np.flatnonzero(planes["pathology"].any(axis=(1, 2))):
        prior, truth, edit, brain, lesion, region = (
            planes[name][k] for name in ("prior", "truth", "edit", "brain", "pathology", "region")
        )
        contrasts.append(lesion_contrast(prior, edit, truth, lesion))
        errors.append(zone_errors(edit, truth, prior, lesion, planes["zone"][k], brain)["zone"])
        gradients.append((edge_gradient(edit, region, brain), edge_gradient(prior, region, brain)))
    scores = {}
    if paired and contrasts:
        scores["edit_contrast"] = float(np.nanmean(contrasts))
        scores["zone_error"] = float(np.nanmean([e.error for e in errors]))
        scores["no_edit_zone_error"] = float(np.nanmean([e.idle for e in errors]))
    if any(np.isfinite(g).all() for g in gradients):
        scores["edit_gradient"] = float(np.nanmean([g[0] for g in gradients]) / np.nanmean([g[1] for g in gradients]))
    return scores

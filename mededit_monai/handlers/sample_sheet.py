# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A picture of what the network can do, after every validation."""

from __future__ import annotations

from pathlib import Path

import torch
from ignite.engine import Engine, Events
from monai.networks.schedulers import Scheduler

from mededit_monai.inferers import MedEditInferer, case_seed
from mededit_monai.reports.sheet import save_sheet
from mededit_monai.transforms.intensity import to_model_range, to_unit_range


class SampleSheet:
    """
    Edit the first validation cases with few evaluations and save prior, truth and edit side by side.

    Args:
        network: usually the averaged network.
        scheduler: of the training.
        path: folder for ``epoch_0001.png``, …
        cases: how many.
        interval: validations between two sheets.
    """

    def __init__(
        self, network: torch.nn.Module, scheduler: Scheduler, path: str | Path, cases: int = 8, interval: int = 1
    ) -> None:
        self.network, self.path, self.cases, self.interval = network, Path(path), cases, interval
        self.inferer = MedEditInferer(scheduler, resample=1, steps=20, spacing="logsnr")
        self._batch: dict[str, torch.Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to the validation engine."""
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), self._keep)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _keep(self, engine: Engine) -> None:
        batch = engine.state.batch
        self._batch = {k: batch[k][: self.cases] for k in ("image", "prior", "brain", "pathology") if k in batch}

    def __call__(self, engine: Engine) -> None:
        if not self._batch or engine.state.epoch % self.interval:
            return
        truth = self._batch["image"]
        prior = self._batch.get("prior", truth)  # without pairs the scan's own lesion is edited over
        device = next(self.network.parameters()).device
        brain, pathology = (self._batch[k].to(device) for k in ("brain", "pathology"))
        seeds = [case_seed(0, f"sheet_{k}") for k in range(len(truth))]
        edited = self.inferer(to_model_range(prior.to(device)), self.network, brain, pathology, seeds=seeds)
        stacks = {"prior": prior, "truth": truth, "edit": to_unit_range(edited)}
        self.path.mkdir(parents=True, exist_ok=True)
        save_sheet(
            {k: v[:, 0].cpu().numpy() for k, v in stacks.items()},
            self.path / f"epoch_{engine.state.epoch:04d}.png",
            f"epoch {engine.state.epoch}",
        )

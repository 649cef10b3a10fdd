# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Trainers that nnU-Net finds in this folder (``nnUNet_extTrainer``); named by what they are for."""

from __future__ import annotations

import os

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

CUDA = torch.device("cuda")


class MedEditTrainerThesis(nnUNetTrainer):
    """nnU-Net's defaults with the thesis's 200 epochs of 250 iterations: for a GPU."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = CUDA,
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 200
        self.save_every = 5


class MedEditTrainerShort(nnUNetTrainer):
    """
    Few epochs of few iterations with small batches: for a CPU, which nnU-Net would give some hundred slices at a time.

    ``MEDEDIT_NNUNET_EPOCHS``, ``MEDEDIT_NNUNET_ITERATIONS`` and ``MEDEDIT_NNUNET_BATCH`` say how many.
    """

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = CUDA,
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = int(os.environ.get("MEDEDIT_NNUNET_EPOCHS", 20))
        self.num_iterations_per_epoch = int(os.environ.get("MEDEDIT_NNUNET_ITERATIONS", 50))
        self.num_val_iterations_per_epoch = max(1, self.num_iterations_per_epoch // 5)
        self.save_every = 1

    def initialize(self) -> None:
        """As nnU-Net's, with batches no larger than asked for."""
        super().initialize()
        self.batch_size = min(self.batch_size, int(os.environ.get("MEDEDIT_NNUNET_BATCH", 16)))

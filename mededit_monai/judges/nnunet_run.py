# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Runs in a process of nnU-Net's own: ``python -m mededit_monai.judges.nnunet_run plan|train|predict …``.

nnU-Net 2.8.1 looks for a trainer by importing every module under its own folder first, and only then in
``nnUNet_extTrainer``. One of these modules needs timm and, through it, a working torchvision, which is not there beside
a torch built for CPUs (``operator torchvision::nms does not exist``). Here the external folder is looked at first, and
nnU-Net's default trainer without a search.
"""

from __future__ import annotations

import os
import sys


def find_trainer(name: str) -> type:
    """The trainer class of a name: external folders, nnU-Net's default, then nnU-Net's own search."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities import find_objects
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    if name == nnUNetTrainer.__name__:
        return nnUNetTrainer
    for folder in os.environ.get("nnUNet_extTrainer", "").split(os.pathsep):  # noqa: SIM112
        found = recursive_find_python_class(folder, name, None, base_folder=folder) if os.path.isdir(folder) else None
        if found is not None:
            return found
    return find_objects.recursive_find_trainer_class_by_name(name)


def main(words: list[str]) -> None:
    """Call the entry point of a verb with nnU-Net's own words."""
    verb, sys.argv = words[0], [f"nnUNetv2_{words[0]}", *words[1:]]
    if verb == "plan":
        from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_and_preprocess_entry

        plan_and_preprocess_entry()
    elif verb == "train":
        from nnunetv2.run import run_training

        run_training.recursive_find_trainer_class_by_name = find_trainer
        run_training.run_training_entry()
    else:
        from nnunetv2.inference import predict_from_raw_data

        predict_from_raw_data.recursive_find_trainer_class_by_name = find_trainer
        predict_from_raw_data.predict_entry_point()


if __name__ == "__main__":
    main(sys.argv[1:])

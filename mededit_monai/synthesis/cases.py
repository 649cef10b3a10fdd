# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which masks a synthesis works on, and the batches they travel in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.engines.utils import PrepareBatch

from mededit_monai.bids.names import cases_dir
from mededit_monai.core.errors import InputError, say
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.editing import EditingCases, require_any, sorted_out
from mededit_monai.handlers.portions import samples_of
from mededit_monai.io.case_names import case_name, other_scan, owner_of, stem
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.finished import require_own_folder
from mededit_monai.io.formats.registry import image_sha256
from mededit_monai.io.outputs import require_apart
from mededit_monai.io.provenance import is_finished
from mededit_monai.sampling.noise import case_seed
from mededit_monai.synthesis.options import SynthesisOptions

FILES = ("label", "brain")


def synthesis_cases(options: SynthesisOptions, request: Mapping[str, Any]) -> EditingCases:
    """
    The masks to synthesize from; those whose result is there, made by the same request, are named as done. Of a list
    that keeps going, a case with a fault is kept, with the sentence under ``failed``.

    Args:
        request: everything that decides the result, written to each case's provenance.

    Raises:
        InputError: no mask or too much given, a file that does not exist, a result's folder that is not ours or
            another mask's; of a list that keeps going, if that is so of every case.
    """
    out = user_path(cases_dir(options.output_dir, options.layout))
    datalist = options.datalist
    if options.dataset_dir is not None:
        if datalist is not None:
            raise InputError("--dataset_dir: was given together with --datalist; give one or the other.")
        datalist = str(user_path(options.dataset_dir) / "datalist.json")
    if datalist is not None:
        for name in ("mask", "brain"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name}: was given together with a datalist, in which every case names its own.")
        cases = [
            {"case_id": case["case_id"], "label": case.get("label"), "brain": case.get("brain")}
            for case in read_datalist(datalist, options.split)
        ]
    elif options.split is not None:
        raise InputError(f"--split: got '{options.split}' without a datalist, whose lists it names; give --datalist.")
    elif options.mask is None:
        raise InputError("--mask: is missing; give a NIfTI file with labels, or --datalist for many.")
    else:
        brain = None if options.brain is None else str(user_path(options.brain))
        cases = [{"case_id": None, "label": str(user_path(options.mask)), "brain": brain}]
    found = sorted_out(cases, lambda case: _is_pending(case, out, request, options.overwrite), options.keeps_going)
    require_any(found, "synthesized")
    return found


def _is_pending(case: dict[str, Any], out: Path, request: Mapping[str, Any], overwrite: bool) -> bool:
    """Name a case's result and fill in what goes with it; False if the result is there."""
    if not case["label"]:
        raise InputError(f"case '{case['case_id']}': has no 'label', the mask to synthesize from; add it.")
    files = {key: str(case[key]) for key in FILES if case[key]}
    for key, path in files.items():
        if not Path(path).is_file():
            raise InputError(f"{path}: not found (--{'mask' if key == 'label' else key}); check the path.")
    made = {"options": dict(request), "inputs": {key: image_sha256(path) for key, path in files.items()}}
    noise_name = case["case_id"] or stem(case["label"])
    case["case_id"] = case["case_id"] or case_name(out, case["label"], overwrite)
    case |= {"files": files, "request": made, "owner": owner_of(case["label"]), "noise_name": noise_name}
    final = out / case["case_id"]
    if is_finished(final, made):
        say(f"{case['case_id']} is done with these options, skipped ({final})")
        return False
    _require_same_mask(final, case["label"], overwrite)
    require_own_folder(final, overwrite)
    require_apart(final, files.values())
    return True


def _require_same_mask(final: Path, label: str, overwrite: bool) -> None:
    """Refuse to put a case's result in the place of another mask's."""
    if not overwrite and other_scan(final, label) is not None:
        raise InputError(
            f"{final}: holds the result of another mask, wanted that of {label}; choose another --output_dir, or give "
            f"--overwrite to replace it."
        )


def collate_masks(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    A batch: ``condition`` Nx(1+K)xHxWxD, everything else in the list ``cases``; those that failed (``failed`` among
    their keys) in the list ``failed``.
    """
    failed = [{"case_id": case["case_id"], "failed": case["failed"]} for case in cases if case.get("failed")]
    good = [case for case in cases if not case.get("failed")]
    told = {"condition": torch.stack([case["condition"] for case in good])} if good else {}
    rest = [{key: value for key, value in case.items() if key != "condition"} for case in good]
    return told | {"cases": rest} | ({"failed": failed} if failed else {})


class SynthesisPrepareBatch(PrepareBatch):
    """
    Args:
        seed: the run's; each volume's own follows from it, the case's name and the sample's number.
        samples: volumes a mask.

    Attributes:
        count: volumes a mask.
    """

    def __init__(self, seed: int = 0, samples: int = 1) -> None:
        self.seed, self.samples, self.count = seed, samples, samples

    def __call__(
        self,
        batchdata: Mapping[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None, tuple, dict]:
        """Conditions, each as often as there are samples in the batch's portion, and the seeds of their noise."""
        told = batchdata["condition"].to(device=device, non_blocking=non_blocking)
        names, numbers = [case["noise_name"] for case in batchdata["cases"]], samples_of(batchdata, self.count)
        seeds = [case_seed(self.seed, name, sample) for name in names for sample in numbers]
        return told.repeat_interleave(len(numbers), dim=0), None, (), {"seeds": seeds}

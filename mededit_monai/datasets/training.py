# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Training cases: from a datalist, from a folder that holds one, or from the embedded cohort."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import default_cache, user_path
from mededit_monai.io.datalist import read_datalist
from mededit_monai.training.distributed import main_process_first


def training_source(
    datalist: str | Path | None,
    dataset_dir: str | Path | None,
    cohort_size: int,
    validation_size: int,
    seed: int,
    progress: bool = True,
    disease: str = "stroke",
    condition: str = "mask",
    keys: Sequence[str] | None = None,
) -> dict[str, list[dict]]:
    """
    The ``training`` and ``validation`` cases.

    Args:
        datalist: JSON with both lists; wins over ``dataset_dir``.
        dataset_dir: folder with ``datalist.json``.
        cohort_size, validation_size, seed, disease: of the embedded cohort, simulated once and cached, if neither is
            given.
        condition: ``regions`` wants the key of that name too.
        keys: what every case must hold instead.

    Raises:
        InputError: if a list is missing or a case lacks one of its files, image, brain mask and pathology mask.
    """
    if datalist is None and dataset_dir is not None:
        datalist = user_path(dataset_dir) / "datalist.json"
    if datalist is None and keys is not None:
        raise InputError(
            f"--datalist: is missing; give a list of cases with {', '.join(keys)}, such as that of 'mededit simulate "
            f"--modalities', or --dataset_dir with one in it."
        )
    if datalist is None:
        from mededit_monai.simulation.embedded import write_embedded_cohort

        with main_process_first():
            datalist = write_embedded_cohort(default_cache(), disease, cohort_size, validation_size, seed, progress)
    wanted = keys or ("image", "brain", "pathology", *(["regions"] if condition == "regions" else []))
    source = {name: read_datalist(datalist, name) for name in ("training", "validation")}
    for name, cases in source.items():
        for case in cases:
            for key in wanted:
                if not case.get(key):
                    raise InputError(f"{datalist}: {name} case '{case['case_id']}' has no '{key}'; training needs it.")
                if not Path(case[key]).is_file():
                    raise InputError(f"{case[key]}: not found ('{key}' of case '{case['case_id']}' in {datalist}).")
    return source

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What networks that learned from real heads find in synthetic ones, by the tumour's size, and in the masks' own heads.

    python -m studies.found_by_size --cohort out/heads --downstream out/downstream --split testing -o out/found

The second folder is one of ``mededit downstream`` with the row ``real``, whose synthetic cases are named as their masks
are, perhaps in folders of their own. Writes ``found_by_size.md`` and ``.json``: thirds of the masks by the tumour's
volume, mean Dice over seeds, 95 % intervals by a bootstrap over the heads.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases.modalities import LABEL_KEY
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.held import held_folder
from mededit_monai.io.nifti import read_volume
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.reports.plain_text import markdown_table, table_cell
from mededit_monai.synthesis.labels import tumor_of

PAGE, FACTS = "found_by_size.md", "found_by_size.json"

#: Parts of the masks by the tumour's volume.
PARTS = ("smallest third", "middle third", "largest third")


def dice_of_cases(folder: Path) -> dict[str, float]:
    """
    Mean Dice of every real and synthetic case over the trainings that had not seen its patient.

    Args:
        folder: of ``mededit downstream``.

    Raises:
        InputError: no training on real cases alone.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    runs = sorted(folder.glob("runs/real_fold*.json"))
    if not runs:
        raise InputError(f"{folder}: holds no runs of the row 'real'; give a folder of 'mededit downstream'.")
    for run in runs:
        content = json.loads(run.read_bytes())
        for case in (*content["cases"], *content["synthetic"]):
            if case["dice"] is not None:
                found[case["case_id"]].append(case["dice"])
    return {name: float(np.mean(values)) for name, values in found.items()}


def by_size(dice: Mapping[str, float], volumes: Mapping[str, float]) -> list[dict[str, Any]]:
    """
    Dice by thirds of the masks.

    Args:
        dice: of the cases; a synthetic one's name ends in its mask's after a slash or an underscore.
        volumes: of the masks' tumours, ml.

    Returns:
        for every kind (``real``, and the synthetic cases by what stands before the mask's name) and part ``kind part
        smallest largest value low high n``.
    """
    kinds: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for name, value in dice.items():
        if name in volumes:
            kinds["real"][name] = value
            continue
        mask = next((mask for mask in volumes if name.endswith((f"/{mask}", f"_{mask}"))), None)
        if mask is not None:
            kinds[name[: -len(mask) - 1]][mask] = value
    rows = []
    for kind, values in sorted(kinds.items(), key=lambda item: item[0] != "real"):
        order = sorted(values, key=lambda mask: volumes[mask])
        parts = {part: list(names) for part, names in zip(PARTS, np.array_split(np.array(order), len(PARTS)))}
        for part, names in ({"all": order} | parts).items():
            if not names:
                continue
            figure = bootstrap(np.array([values[name] for name in names]), names)
            known = {"kind": kind, "part": part, "smallest": volumes[names[0]], "largest": volumes[names[-1]]}
            rows.append(known | {"value": figure.value, "low": figure.low, "high": figure.high, "n": len(names)})
    return rows


def tumour_ml(path: str) -> float:
    """Volume of a label map's tumour."""
    volume = read_volume(path)
    return float(tumor_of(volume.data).sum() * abs(np.linalg.det(volume.affine[:3, :3])) / 1000)


def markdown(rows: Sequence[Mapping[str, Any]], command: str) -> str:
    """``found_by_size.md``."""
    heads = ("heads", "tumour", "ml", "n", "Dice (95 %)")
    lines = [
        (
            table_cell(row["kind"]),
            row["part"],
            f"{row['smallest']:.3g} to {row['largest']:.3g}",
            str(row["n"]),
            f"{row['value']:.3f} ({row['low']:.3f} … {row['high']:.3f})",
        )
        for row in rows
    ]
    title = "# What networks that learned from real heads find, by the tumour's size"
    return "\n".join([title, "", *markdown_table(heads, lines), "", f"    {command}", ""])


def found_by_size(cohort: str | Path, downstream: str | Path, output: str | Path, split: str) -> list[dict[str, Any]]:
    """
    Measure and write.

    Args:
        cohort: folder of heads with ``label``; downstream: folder of ``mededit downstream`` on them.
        split: list of the cohort whose masks were synthesized from.

    Raises:
        InputError: a folder that is something else.
    """
    cohort, downstream, output = user_path(cohort), user_path(downstream), user_path(output)
    cases = read_datalist(cohort / "datalist.json", split)
    if any(not case.get(LABEL_KEY) for case in cases):
        raise InputError(f"{cohort}: has cases without '{LABEL_KEY}'; give a cohort of heads ('mededit simulate').")
    dice = dice_of_cases(downstream)
    with held_folder(output, (PAGE, FACTS), [cohort, downstream]):
        rows = by_size(dice, {case["case_id"]: tumour_ml(case[LABEL_KEY]) for case in cases})
        command = (
            f"python -m studies.found_by_size --cohort {cohort.name} --downstream {downstream.name} --split {split}"
        )
        write_json(output / FACTS, {"rows": rows, "command": command})
        write_text(output / PAGE, markdown(rows, command))
    return rows


def main(words: Sequence[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate --modalities")
    parser.add_argument("--downstream", required=True, help="folder of mededit downstream, row real")
    parser.add_argument("--split", default="testing", help="list whose masks were synthesized from")
    parser.add_argument("-o", "--output_dir", default="out/found_by_size")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        found_by_size(given.cohort, given.downstream, given.output_dir, given.split)
    print(f"look at {user_path(given.output_dir) / PAGE}")


if __name__ == "__main__":
    run_program(main)

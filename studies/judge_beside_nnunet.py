# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The embedded judge beside nnU-Net on the same held-out slices: Dice of lesions by size, and false alarms.

    mededit judge train --cohort out/slices --max_epochs 8 -o out/judge
    mededit judge train --judge nnunet --cohort out/slices --max_epochs 50 --iterations 50 -o out/nnunet
    python -m studies.judge_beside_nnunet --cohort out/slices --judge out/judge --nnunet out/nnunet -o out/beside

nnU-Net must have learned from the cohort's own training list. Needs the extra ``nnunet``. Writes ``beside.md`` and
``.json``, and what ``mededit judge train`` writes of a judge, for each: ``embedded`` and ``nnunet``.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases import DISEASES, STRATA
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import make_folder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.judges.embedded import load_judge
from mededit_monai.judges.held_out import HELD_OUT_FILES, measure_held_out, write_held_out
from mededit_monai.judges.nnunet import NNUNetFolder, NNUNetJudge, read_identity
from mededit_monai.judges.operating_point import FEW
from mededit_monai.judges.samples import cohort_content, cohort_disease, cohort_samples
from mededit_monai.judges.structures import WHOLE
from mededit_monai.metrics.statistics import bootstrap, compare_paired
from mededit_monai.reports.plain_text import markdown_table

FILES = ("beside.md", "beside.json")

#: Names of the two judges in the files.
EMBEDDED, NNUNET = "embedded", "nnunet"


def beside(
    cohort: str | Path, output: str | Path, nnunet: str | Path, judge: str | Path | None = None, trainer: str = "short"
) -> dict[str, Any]:
    """
    Measure both judges on a cohort's ``testing`` list.

    Args:
        cohort: folder of ``mededit simulate``; nnunet: of ``mededit judge train --judge nnunet``, with its trainer.
        judge: folder of ``mededit judge train``; None: the shipped one.

    Returns:
        what ``beside.json`` holds: ``lines``, one a structure and stratum of lesions; ``false_alarms`` of both.

    Raises:
        InputError: a folder that is none of these, or an nnU-Net that learned from other cases.
    """
    cohort, output, nnunet = user_path(cohort), user_path(output), user_path(nnunet)
    disease = cohort_disease(cohort, None)
    told, own = read_identity(nnunet), hashlib.sha256((cohort / "datalist.json").read_bytes()).hexdigest()
    if told != {"disease": disease, "datalist": own}:
        raise InputError(
            f"{nnunet}: learned from another datalist or disease ({told['disease']}, {told['datalist'][:12]}) than "
            f"that of {cohort} ({disease}, {own[:12]}); give the cohort that it was trained on."
        )
    judges = {EMBEDDED: load_judge(disease, judge), NNUNET: NNUNetJudge(NNUNetFolder(nnunet, trainer))}
    samples, members = cohort_samples(cohort, "testing", disease), cohort_content(cohort).get("anatomies") or {}
    names = [f"{name}/{file}" for name in judges for file in HELD_OUT_FILES]
    with held_folder(output, [*FILES, *names], [cohort, nnunet]):
        found, cases = {}, {}
        for name, one in judges.items():
            found[name] = measure_held_out(one, samples, {"anatomies": members})
            cases[name] = found[name]["_cases"]
            make_folder(output / name)
            write_held_out(found[name], output / name)
        content = {"synthetic": True, "note": DISCLAIMER, "disease": disease, "cohort": cohort.name}
        content |= {"judges": {name: one["judge"] for name, one in found.items()}, "lines": compared(disease, cases)}
        content["false_alarms"] = {name: one["false_alarms"] for name, one in found.items()}
        content["versions"] = versions()
        write_json(output / FILES[1], content)
        write_text(output / FILES[0], markdown(content))
    return content


def compared(disease: str, cases: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """
    Dice of both judges and its paired difference (embedded minus nnU-Net), by structure and stratum of lesions.

    Args:
        cases: judge → ``_cases`` of :func:`~mededit_monai.judges.held_out.measure_held_out`, in the same order.
    """
    names = list(DISEASES[disease].structures)
    facts = cases[EMBEDDED]
    ill, strata = np.array(facts["shown"]) == "lesion", np.array(facts["stratum"])
    lines = []
    for structure in [*names, WHOLE] if len(names) > 1 else names:
        values = {name: np.array(one["dice"][structure], dtype=np.float64) for name, one in cases.items()}
        for stratum in ("all", *STRATA):
            chosen = np.flatnonzero(ill & ((strata == stratum) | (stratum == "all")) & ~np.isnan(values[EMBEDDED]))
            if not chosen.size:
                continue
            groups = [facts["anatomy"][k] for k in chosen]
            line = {name: asdict(bootstrap(one[chosen], groups)) for name, one in values.items()}
            line["difference"] = asdict(compare_paired(values[EMBEDDED][chosen], values[NNUNET][chosen], groups))
            lines.append({"structure": structure, "stratum": stratum, **line})
    return lines


def markdown(content: Mapping[str, Any]) -> str:
    """``beside.md``."""

    def cell(value: float, found: Mapping[str, Any], sign: str = "") -> str:
        return f"{value:{sign}.3f} ({found['low']:{sign}.3f} … {found['high']:{sign}.3f})"

    rows = [
        (
            line["structure"],
            line["stratum"],
            str(line[EMBEDDED]["n_cases"]),
            *(cell(line[name]["value"], line[name]) for name in (EMBEDDED, NNUNET)),
            cell(line["difference"]["difference"], line["difference"], "+"),
        )
        for line in content["lines"]
    ]
    alarms = content["false_alarms"]
    parts = [f"{content['judges'][name]} in {alarms[name][f'share_above_{FEW}']:.1%}" for name in (EMBEDDED, NNUNET)]
    return "\n".join(
        [
            f"# The embedded judge beside nnU-Net: {content['disease']}, slices",
            "",
            f"{content['note']} Dice, mean of held-out cases, with 95 % intervals (bootstrap over anatomies, then "
            "cases); difference: embedded minus nnU-Net, paired.",
            "",
            *markdown_table(("structure", "lesions", "cases", EMBEDDED, "nnU-Net", "difference"), rows),
            "",
            f"More than {FEW} pixels of lesion are found where there is none: {', '.join(parts)} of "
            f"{alarms[EMBEDDED]['images']} slices without lesion.",
            "",
        ]
    )


def main(words: Sequence[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate that both learned from")
    parser.add_argument("--nnunet", required=True, help="folder of mededit judge train --judge nnunet")
    parser.add_argument("--judge", help="folder of mededit judge train; default: the shipped judge")
    parser.add_argument("--trainer", default="short", help="of nnU-Net, as of its training")
    parser.add_argument("-o", "--output_dir", default="out/judge_beside_nnunet")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        content = beside(given.cohort, given.output_dir, given.nnunet, given.judge, given.trainer)
    print(markdown(content))


if __name__ == "__main__":
    run_program(main)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Write the scores of what the bundles do as they stand, as docs/results has them, into their metadata.

    python -m studies.write_eval_metrics [--check]
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from pathlib import Path

from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.io.atomic import write_text

REPOSITORY = Path(__file__).resolve().parents[1]

RESULTS = REPOSITORY / "docs" / "results"

#: Bundles that edit; each has docs/results/release_NAME_3d.csv, whose row NAME_mask_morph is the default editor.
EDITORS = ("stroke", "tumor")

#: The bundle that synthesizes, and what `run evaluating` wrote of its T1.
SYNTHESIS, EVALUATION, MODALITY = "semantic_synthesis", "synthesis_t1.json", "t1"

BUNDLES = (*EDITORS, SYNTHESIS)

#: Columns of the tables that say most in few numbers.
KEYS = ("contrast", "zone_error", "outside_error", "lesion_auc", "carried_r", "carried_slope", "end_point")


def eval_metrics(bundle: str) -> dict[str, object]:
    """What was measured on, and each score to three digits; what was not measured is left out."""
    return synthesis_metrics() if bundle == SYNTHESIS else editor_metrics(bundle)


def editor_metrics(bundle: str) -> dict[str, object]:
    """Of the default editor: columns of its release table."""
    place = RESULTS / f"release_{bundle}_3d.csv"
    with open(place, encoding="utf-8", newline="") as stream:
        (row,) = (one for one in csv.DictReader(stream) if one["row"] == f"{bundle}_mask_morph")
    scores = {COLUMNS[key].label.replace("∖", " without "): three(float(row[key])) for key in KEYS if row.get(key)}
    cohort = f"{row['contrast_cases']} simulated test volumes of {row['contrast_groups']} brains, default editor, mask"
    return {"measured on": cohort} | scores


def synthesis_metrics() -> dict[str, object]:
    """Of the network of T1: means over the held-out heads, and figures of the set beside the real set's."""
    content = json.loads((RESULTS / EVALUATION).read_bytes())
    heads, of_set = content["heads"], content["sets"][MODALITY]
    return {
        "measured on": f"{content['cases']} held-out masks of simulated heads, {MODALITY}, 10 steps",
        "mean squared error": three(heads[f"mse_{MODALITY}"]["value"]),
        "MS-SSIM with the real head": three(heads[f"ms_ssim_{MODALITY}"]["value"]),
        "diversity, MS-SSIM between pairs": three(of_set["diversity"]),
        "diversity of real heads": three(of_set["diversity_real"]),
        "FID of three planes": three(of_set["fid_3d"]),
        "FID of two halves of the real set": three(of_set["fid_3d_floor"]),
        **({"FID of halves of both sets": three(of_set["fid_3d_halves"])} if "fid_3d_halves" in of_set else {}),
    }


def three(value: float) -> float:
    """To three digits."""
    return float(f"{value:.3g}")


def with_scores(text: str, metrics: dict[str, object]) -> str:
    """The metadata with its ``eval_metrics`` replaced, or put before ``intended_use``; all else stays as it is."""
    lines = json.dumps(metrics, indent=4).replace("\n", "\n    ")
    bare = re.sub(r' {4}"eval_metrics": \{.*?\n {4}\},\n', "", text, flags=re.DOTALL)
    head, found, tail = bare.partition('    "intended_use"')
    if not found:
        raise SystemExit("the metadata has no intended_use; put it back.")
    return f'{head}    "eval_metrics": {lines},\n{found}{tail}'


def main() -> None:
    """Write the files, or with ``--check`` only say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is stale")
    only_check = parser.parse_args().check
    stale = 0
    for bundle in BUNDLES:
        place = REPOSITORY / "bundles" / bundle / "configs" / "metadata.json"
        old = place.read_text(encoding="utf-8")
        new = with_scores(old, eval_metrics(bundle))
        if new != old:
            stale += 1
            print(f"{place.relative_to(REPOSITORY)}: {'stale' if only_check else 'written'}")
            if not only_check:
                write_text(place, new)
    sys.exit(int(only_check and stale > 0))


if __name__ == "__main__":
    main()

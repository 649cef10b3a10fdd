# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure a judge on the held-out list of another cohort than its own, such as one with lesions of another kind.

    python -m studies.judge_held_out --cohort out/drawn_tumours -o out/judge_on_drawn

Writes ``held_out.md``, ``.json`` and ``.png`` as ``mededit judge train`` does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.held import held_folder
from mededit_monai.judges.embedded import load_judge
from mededit_monai.judges.held_out import HELD_OUT_FILES, measure_held_out, write_held_out
from mededit_monai.judges.samples import cohort_content, cohort_dims, cohort_disease, cohort_samples


def judge_held_out(cohort: str | Path, output: str | Path, judge: str | Path | None = None) -> dict[str, Any]:
    """
    Measure a judge of a cohort's disease on its ``testing`` list.

    Args:
        cohort: folder of ``mededit simulate``; judge: folder of ``mededit judge train``, None: the shipped one.

    Returns:
        what ``held_out.json`` holds.

    Raises:
        InputError: no such judge, or a folder that is no cohort.
    """
    cohort, output = user_path(cohort), user_path(output)
    disease, dims = cohort_disease(cohort, None), cohort_dims(cohort)
    found = load_judge(disease, judge, dims)
    with held_folder(output, HELD_OUT_FILES, [cohort]):
        members = dict(cohort_content(cohort).get("anatomies") or {})
        if found.learned_from:  # the cohort's own training list says nothing about this judge
            members["training"] = sorted(found.learned_from)
        measured = measure_held_out(found, cohort_samples(cohort, "testing", disease), {"anatomies": members})
        write_held_out(measured, output)
    return measured


def main(words: Sequence[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate")
    parser.add_argument("--judge", help="folder of mededit judge train; default: the shipped one")
    parser.add_argument("-o", "--output_dir", default="out/judge_held_out")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        judge_held_out(given.cohort, given.output_dir, given.judge)
    print(f"look at {user_path(given.output_dir) / 'held_out.md'}")


if __name__ == "__main__":
    run_program(main)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
How often do the 95 % intervals of the tables hold the truth? By simulation, by number of people and cases of each.

    python -m studies.interval_coverage -o out/coverage

A person's cases share a normal random effect (s.d. 1) beside their own noise (s.d. 1); the mean of all is 0. Counted is
how often 0 lies in the interval of :func:`mededit_monai.metrics.bootstrap`. Writes ``coverage.json`` and
``coverage.md``, and prints the latter.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai.core.errors import exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import versions
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.reports.plain_text import markdown_table

#: What is written.
FILES = ("coverage.json", "coverage.md")

#: People, and cases of each.
GROUPS, CASES_EACH = (3, 6, 12, 20), (1, 4)

#: Draws of each bootstrap: fewer than in the tables, whose ends are hardly steadier for it.
DRAWS = 200


def coverage(groups: int, cases_each: int, runs: int, seed: int = 0, draws: int = DRAWS) -> float:
    """
    Share of so many simulated samples whose 95 % interval holds the true mean, 0.

    Args:
        groups: people; cases_each: of every person; runs: samples; draws: of each bootstrap.
    """
    rng, members, inside = np.random.default_rng(seed), np.repeat(np.arange(groups), cases_each), 0
    for _ in range(runs):
        values = rng.standard_normal(groups)[members] + rng.standard_normal(len(members))
        found = bootstrap(values, members.tolist(), draws=draws)
        inside += found.low <= 0 <= found.high
    return inside / runs


def interval_coverage(output: str | Path, runs: int = 600, seed: int = 0) -> dict[str, Any]:
    """
    Coverage for every number of people and cases.

    Returns:
        what ``coverage.json`` holds.

    Raises:
        InputError: a number that cannot be used, or files in the way that are not ours.
    """
    require_whole("runs", runs, 20, most=1_000_000)
    require_whole("seed", seed, 0)
    own = OutputFolder(user_path(output))
    own.require_free(FILES)
    found = [
        {"groups": groups, "cases_each": each, "coverage": coverage(groups, each, runs, seed)}
        for groups, each in product(GROUPS, CASES_EACH)
    ]
    content = {"runs": runs, "seed": seed, "draws": DRAWS, "level": 0.95, "versions": versions(), "found": found}
    own.reserve(FILES)
    write_json(own.path / "coverage.json", content)
    write_text(own.path / "coverage.md", markdown(content))
    return content


def markdown(content: Mapping[str, Any]) -> str:
    """The result for people."""
    known = {(line["groups"], line["cases_each"]): line["coverage"] for line in content["found"]}
    people, each = (list(dict.fromkeys(key[k] for key in known)) for k in (0, 1))
    rows = [[count, *(f"{known[count, one]:.3f}" for one in each)] for count in people]
    text = [
        "# Coverage of the 95 % intervals",
        "",
        f"Share of {content['runs']} simulated samples whose interval holds the true mean; bootstrap over people, then "
        f"over the cases of each, {content['draws']} draws; people and cases within them vary alike. Wanted: 0.95. The "
        f"error of a share is up to {2 * np.sqrt(0.25 / content['runs']):.2f} (two standard errors).",
        "",
        *markdown_table(["people", *(f"{one} case{'s' * (one > 1)} each" for one in each)], rows),
        "",
    ]
    return "\n".join(text)


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=600, help="simulated samples of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--output_dir", "-o", default="out/coverage")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        print(markdown(interval_coverage(given.output_dir, given.runs, given.seed)))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

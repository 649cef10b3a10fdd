# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Are weights fit to be shipped? Loads every file, scores the editors on held-out anatomies, edits real scans.

    python -m studies.release_check --cohort out/cohort --scans DIR -o out/release

The cohort (``mededit simulate``) says the disease. Writes ``release_check.md`` and ``.json``, ``*/scores/report.html``,
``*/cases.png`` and ``*/cases_thesis.png`` with best, median and worst cases, and ``scans/sheet.png``.
A target is met only where the whole 95 % interval lies on the right side of its bound; the exit code is 1 only if a
file cannot be loaded.

    … --candidate out/release/model.pt

scores a weight file of the default editor beside the shipped one on the same cases and noise, and says whether it is
better: less error in M∖p, by a paired 95 % interval, and neither Dice nor ventricle error worse than by the margins of
``mededit bench``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.program import run_program
from mededit_monai.datasets.evaluation import cohort_facts
from mededit_monai.evaluation.evaluate import EvaluationOptions, evaluate
from mededit_monai.evaluation.folder import require_outside
from mededit_monai.evaluation.tables import tables_folder
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import OutputFolder, write_output
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.methods.record import METHODS
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.space.conditions import CONDITIONS
from mededit_monai.workflows import bundle_content
from studies.cases_picture import save_cases
from studies.scan_sheet import edit_scans

#: The editor that a bundle's edits use by default.
DEFAULT = "prior"

#: What is written beside the scores.
FILES = ("release_check.json", "release_check.md")

#: A weight file that is shipped may have so many bytes.
LARGEST = 16 * 2**20

#: What the last column of the targets means.
VERDICTS = (
    "met: the whole 95 % interval lies on the right side of the bound; where another row is to be beaten, that of the "
    "paired difference. missed: the value lies on the wrong side. not shown: the interval crosses the bound, or there "
    "is none."
)


@dataclass(frozen=True)
class Target:
    """
    What the default editor shall reach.

    Args:
        column: of the table; low, high: within; None: no end.
        below: rows whose figure in that column it must be below, by the paired difference on the same cases.
    """

    column: str
    low: float | None = None
    high: float | None = None
    below: tuple[str, ...] = ()


#: By disease; Dice by the embedded judge.
TARGETS = {
    "stroke": (Target("dice", low=0.6),),
    "tumor": (Target("dice", low=0.7), Target("core_present", low=0.9)),
}

#: For every disease.
INDIRECT = (
    Target("ventricle_r", low=0.8),
    Target("ventricle_slope", low=0.8, high=1.2),
    Target("ventricle_partial_r", low=0.5),
    Target("zone_error", below=("no_edit", "mededit", "sdedit", "prior_p0")),
    Target("outside_error", below=("no_edit", "mededit", "sdedit", "prior_p0")),
    Target("ventricle_error", below=("mededit", "sdedit", "prior_p0", "area_regression")),
)


def load_all(disease: str) -> list[dict[str, Any]]:
    """
    Load every weight file that the bundle ships into the network that it is for.

    Returns:
        ``file``, ``bytes``, ``sha256``, ``parameters`` and ``problem`` (None: fits) of each.
    """
    root = bundle_root(disease)
    users: dict[str | None, tuple[str, str]] = {}
    for condition in CONDITIONS:  # mask first, which every method is told of
        for method in METHODS.values():
            users.setdefault(method.weights_file(condition), (method.name, condition))
    found = []
    for path in sorted((root / "models").glob("*.pt")):
        entry = {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}
        problem, parameters = None, None
        if path.name not in users:
            problem = "is no file that an edit would load"
        else:
            name, condition = users[path.name]
            try:
                (network,) = bundle_content(root, ("network",), method=name, condition=condition, device="cpu")
                parameters = sum(p.numel() for p in network.parameters())
            except InputError as error:
                problem = str(error)
        if problem is None and entry["bytes"] > LARGEST:
            problem = f"has {entry['bytes']} bytes, wanted at most {LARGEST}"
        found.append({**entry, "parameters": parameters, "problem": problem})
    return found


def met(
    target: Target,
    figures: Mapping[str, Mapping[str, Any]],
    differences: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, Any] | None:
    """
    A target against a table's rows.

    Args:
        figures: row → column → figure.
        differences: row → column → paired difference (the default editor minus that row), with its interval.

    Returns:
        ``column value low high wanted verdict met``; None where the table has no such column. ``verdict``: ``met`` (the
        whole interval lies on the right side), ``missed`` (the value lies on the wrong side) or ``not shown`` (the
        interval crosses the bound, or there is none).
    """
    if not any(target.column in row for row in figures.values()):
        return None
    figure = figures[DEFAULT].get(target.column) or {}
    value, low, high = (figure.get(part) for part in ("value", "low", "high"))
    wanted, checks = [], []  # of each bound: is the value on the right side, is all of the interval?
    if target.low is not None:
        wanted.append(f"≥ {target.low:g}")
        checks.append((value is None or value >= target.low, low is not None and low >= target.low))
    if target.high is not None:
        wanted.append(f"≤ {target.high:g}")
        checks.append((value is None or value <= target.high, high is not None and high <= target.high))
    for name in target.below:
        other = (figures.get(name, {}).get(target.column) or {}).get("value")
        pair = differences.get(name, {}).get(target.column) or {}
        least, most = pair.get("low"), pair.get("high")
        shown = "not measured" if other is None else f"{other:.4g}"
        interval = "" if least is None or most is None else f"; difference {least:.4g} … {most:.4g}"
        wanted.append(f"< {name} ({shown}{interval})")
        checks.append((value is None or other is None or value < other, most is not None and most < 0))
    if not all(right for right, _ in checks):
        verdict = "missed"
    else:
        verdict = "met" if value is not None and all(whole for _, whole in checks) else "not shown"
    found = {"column": target.column, "value": value, "low": low, "high": high, "wanted": ", ".join(wanted)}
    return {**found, "verdict": verdict, "met": verdict == "met"}


def with_candidate(table: Path, candidate: Path, output: Path) -> Path:
    """A copy of a table with the row ``candidate``: the default editor with other weights."""
    if not candidate.is_file():
        raise InputError(f"--candidate: {candidate} not found; give a weight file of the default editor.")
    content = yaml.safe_load(table.read_bytes())
    settings = {**content["rows"][DEFAULT]["settings"], "weights": str(candidate.resolve())}
    content["rows"]["candidate"] = {"label": "candidate", "settings": settings}
    place = output / table.name
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_output(place, text.encode("utf-8", "surrogateescape"), overwrite=True, inputs=[candidate, table])
    return place


def is_better(table: Mapping[str, Any]) -> dict[str, Any]:
    """
    The candidate against the shipped weights, from the table's paired comparisons (shipped minus candidate).

    Returns:
        ``better`` and the differences it rests on: ``zone_error``, ``dice``, ``ventricle_error``, each with interval.
    """
    keys = {_short_name(row["row"]): row["row"] for row in table["rows"]}
    pairs = {
        line["column"]: line
        for line in table["comparisons"]
        if line["row"] == keys[DEFAULT] and line["against"] == keys["candidate"]
    }
    shown = {name: pairs[name] for name in ("zone_error", "dice", "ventricle_error") if name in pairs}
    shipped = next(row for row in table["rows"] if row["row"] == keys[DEFAULT])["figures"]
    allowed = 0.05 * shipped["ventricle_error"]["value"]
    better = (
        len(shown) == 3
        and shown["zone_error"]["low"] > 0  # the shipped one's error is larger
        and shown["dice"]["high"] <= 0.01
        and shown["ventricle_error"]["low"] >= -allowed
    )
    return {"better": bool(better), "shipped_minus_candidate": shown}


def release_check(
    cohort: str,
    output: str | Path,
    scans: str | None = None,
    preset: str = "quick",
    candidate: str | None = None,
    judge: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """
    Check a bundle's weights; see the module.

    Returns:
        what ``release_check.json`` holds.

    Raises:
        InputError: a cohort, judge, scan or weight file that cannot be used.
    """
    cohort, output = str(user_path(cohort)), user_path(output)
    disease = cohort_facts(cohort)["disease"]
    require_outside(output, cohort)
    own = OutputFolder(output, [Path(cohort) / "datalist.json", candidate and user_path(candidate)])
    own.require_free(FILES)
    content: dict[str, Any] = {"synthetic": True, "note": DISCLAIMER, "bundle": disease, "versions": versions()}
    content |= {"weights": load_all(disease), "targets": {}, "candidate": None, "scans": None}
    for name in ("stroke",) if disease == "stroke" else ("tumor", "tumor_regions"):
        table, folder = tables_folder() / f"release_{name}.yaml", output / name / "scores"
        first = name == disease
        if candidate is not None and first:
            table = with_candidate(table, user_path(candidate), output / name)
        options = EvaluationOptions(
            cohort=cohort, tables=(str(table),), output=str(folder), preset=preset, judge=judge, limit=limit
        )
        (written,) = evaluate(options) or [None]
        scores = json.loads(Path(str(written)).read_bytes())
        content["targets"][name] = _targets(disease, scores)
        (row,) = (line["row"] for line in scores["rows"] if _short_name(line["row"]) == DEFAULT)
        save_cases(folder, row, output / name / "cases.png", overwrite=True)
        save_cases(folder, row, output / name / "cases_thesis.png", "thesis", each=2, columns=2, overwrite=True)
        if candidate is not None and first:
            content["candidate"] = is_better(scores)
    if scans is not None:
        edit_scans(scans, output / "scans", disease, method=DEFAULT)
        content["scans"] = "scans/sheet.png"
    own.reserve(FILES)
    write_json(output / "release_check.json", content)
    write_text(output / "release_check.md", markdown(content))
    return content


def _targets(disease: str, scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    figures = {_short_name(row["row"]): row["figures"] for row in scores["rows"]}
    differences: dict[str, dict[str, Any]] = {}
    for line in scores["comparisons"]:
        if _short_name(line["row"]) == DEFAULT:
            differences.setdefault(_short_name(line["against"]), {})[line["column"]] = line
    found = (met(target, figures, differences) for target in (*TARGETS[disease], *INDIRECT))
    return [line for line in found if line is not None]


def _short_name(row: str) -> str:
    """A row's name in its table, from its key ``<bundle>_<condition>_<name>``."""
    return next(row.split(f"_{condition}_", 1)[1] for condition in CONDITIONS if f"_{condition}_" in row)


def markdown(content: Mapping[str, Any]) -> str:
    """The result for people."""
    weights = [[e["file"], e["bytes"], e["sha256"][:12], e["problem"] or "loads"] for e in content["weights"]]
    text = [f"# Release check: {content['bundle']}", "", str(content["note"]), ""]
    text += markdown_table(["weights", "bytes", "SHA-256", ""], weights)
    for name, lines in content["targets"].items():
        rows = []
        for line in lines:
            value = "not measured" if line["value"] is None else f"{line['value']:.4g}"
            if line["low"] is not None and line["high"] is not None:
                value += f" ({line['low']:.4g} … {line['high']:.4g})"
            verdict = "**missed**" if line["verdict"] == "missed" else line["verdict"]
            rows.append([line["column"], value, line["wanted"], verdict])
        text += ["", f"## {name}", "", *markdown_table(["figure", "measured", "wanted", ""], rows)]
    if content["targets"]:
        text += ["", VERDICTS]
    if content["candidate"] is not None:
        better = "is better than the shipped weights" if content["candidate"]["better"] else "is not shown to be better"
        text += ["", f"The candidate {better}. Shipped minus candidate, with 95 % intervals:", ""]
        for name, line in content["candidate"]["shipped_minus_candidate"].items():
            text.append(f"- {name}: {line['difference']:.4g} ({line['low']:.4g} … {line['high']:.4g})")
    if content["scans"]:
        text += ["", f"Look at `{content['scans']}`, and at best, median and worst cases in `*/cases*.png`."]
    return "\n".join(text) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate, with held-out anatomies")
    parser.add_argument("--scans", default=None, help="folder of real T1 scans to edit")
    parser.add_argument("--preset", default="quick", choices=("quick", "full"))
    parser.add_argument(
        "--candidate", default=None, help="weights of the default editor to compare with the shipped ones"
    )
    parser.add_argument("--judge", default=None, help="folder of a judge; default: the shipped one")
    parser.add_argument("--limit", type=int, default=None, help="at most so many cases")
    parser.add_argument("--output_dir", "-o", default="out/release_check")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        content = release_check(
            given.cohort, given.output_dir, given.scans, given.preset, given.candidate, given.judge, given.limit
        )
    print(markdown(content))
    return 1 if any(entry["problem"] for entry in content["weights"]) else 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Are weights fit to be shipped? Loads every file, scores the editors on held-out anatomies, edits real scans.

    python -m studies.release_check --cohort out/cohort --scans DIR -o out/release

The cohort (``mededit simulate``) says the disease. Writes ``release_check.md`` and ``.json``, ``*/scores/report.html``,
``*/cases*.png`` with best, median and worst cases, and ``scans/sheet.png``; of a cohort of volumes, scores without a
judge alone. A target is met only where the whole 95 % interval lies on the right side of its bound; the exit code is 1
only if a file cannot be loaded.

The default editor is held against absolute targets, against MedEdit, naïve RePaint, SDEdit and the unedited scan, and,
with ``--ceiling`` (what ``studies.effects_ceiling`` wrote), against the ceiling of a perfect mean: where it is of the
same cases, against these very draws, of another cohort of the kind against any draw.

    … --candidate out/release/model.pt

scores a weight file of its painter beside the shipped one on the same cases and noise, and says whether it is
better: less error in M∖p, by a paired 95 % interval, and neither Dice nor ventricle error worse than by the margins of
``mededit bench``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.core.program import run_program
from mededit_monai.datasets.evaluation import cohort_facts
from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.evaluation.evaluate import EvaluationOptions, evaluate
from mededit_monai.evaluation.tables import tables_folder
from mededit_monai.evaluation.write import read_lines
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.hashing import sha256
from mededit_monai.io.outputs import OutputFolder, require_outside, write_output
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.methods.record import METHODS, network_named
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.space.conditions import CONDITIONS
from mededit_monai.workflows import bundle_content
from studies.cases_picture import save_cases
from studies.release_targets import DEFAULT, INDIRECT, TARGETS, VERDICTS, displaced_targets, met
from studies.scan_sheet import edit_scans

#: What is written beside the scores.
FILES = ("release_check.json", "release_check.md")

#: Tables that a judge takes part in; their edits are shown.
PICTURED = ("stroke", "tumor", "tumor_regions")

#: A weight file that is shipped may have so many bytes.
LARGEST = 16 * 2**20


def load_all(disease: str) -> list[dict[str, Any]]:
    """
    Load every weight file that the bundle ships into the network that it is for.

    Returns:
        ``file``, ``bytes``, ``sha256``, ``parameters`` and ``problem`` (None: fits) of each.
    """
    root = bundle_root(disease)
    users: dict[str | None, tuple[str, dict[str, Any]]] = {}
    for condition in CONDITIONS:  # mask first, which every method is told of
        for method in METHODS.values():
            for dims in method.spatial_dims:
                asked = {"method": method.name, "condition": condition, "spatial_dims": dims}
                users.setdefault(method.weights_file(condition, dims), ("network", asked | {"effects": 0.0}))
                moved = network_named("effects").weights_file(condition, dims)
                users.setdefault(moved, ("effects_network", asked | {"effects": 1.0}))
    found = []
    for path in sorted((root / "models").glob("*.pt")):
        entry = {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}
        problem, parameters = None, None
        if path.name not in users:
            problem = "is no file that an edit would load"
        else:
            item, asked = users[path.name]
            try:
                (network,) = bundle_content(root, (item,), device="cpu", **asked)
                parameters = sum(p.numel() for p in network.parameters())
            except InputError as error:
                problem = str(error)
        if problem is None and entry["bytes"] > LARGEST:
            problem = f"has {entry['bytes']} bytes, wanted at most {LARGEST}"
        found.append({**entry, "parameters": parameters, "problem": problem})
    return found


def with_candidate(table: Path, candidate: Path, output: Path) -> Path:
    """A copy of a table with the row ``candidate``: the default editor with a painter of other weights."""
    if not candidate.is_file():
        raise InputError(f"--candidate: {candidate} not found; give a weight file of the painter.")
    content = yaml.safe_load(table.read_bytes())
    settings = {**content["rows"][DEFAULT]["settings"], "weights": str(candidate.resolve())}
    content["rows"]["candidate"] = {"label": "candidate", "settings": settings}
    place = output / table.name
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    write_output(place, text.encode("utf-8", "surrogateescape"), overwrite=True, inputs=[candidate, table])
    return place


def candidate_is_better(table: Mapping[str, Any]) -> dict[str, Any]:
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
    ceiling: str | None = None,
) -> dict[str, Any]:
    """
    Check a bundle's weights; see the module.

    Returns:
        what ``release_check.json`` holds.

    Raises:
        InputError: a cohort, judge, scan or weight file that cannot be used, a ceiling of other cohorts, or an option
            that volumes do not have.
    """
    cohort, output = str(user_path(cohort)), user_path(output)
    facts = cohort_facts(cohort)
    known = read_ceiling(ceiling, facts)
    disease, dims = facts["disease"], facts["spatial_dims"]
    for option, given in (("candidate", candidate), ("scans", scans)):
        if given is not None and dims == 3:
            raise InputError(f"--{option}: goes with slices, and {cohort} holds volumes; leave it out.")
    require_outside(output, cohort)
    own = OutputFolder(output, [Path(cohort) / "datalist.json", candidate and user_path(candidate)])
    own.require_free(FILES)
    content: dict[str, Any] = {"synthetic": True, "note": DISCLAIMER, "bundle": disease, "versions": versions()}
    content |= {"weights": load_all(disease), "targets": {}}
    content |= {"candidate": None, "scans": None}
    for name in _tables(disease, dims):
        table, folder = tables_folder() / f"release_{name}.yaml", output / name / "scores"
        first = name == disease
        if candidate is not None and first:
            table = with_candidate(table, user_path(candidate), output / name)
        options = EvaluationOptions(
            cohort=cohort,
            tables=(str(table),),
            output=str(folder),
            pairing="both" if name in PICTURED else "paired",
            preset=preset,
            judge=judge,
            limit=limit,
        )
        (written,) = evaluate(options) or [None]
        scores = json.loads(Path(str(written)).read_bytes())
        rows = {_short_name(line["row"]): line["row"] for line in scores["rows"]}
        same = known is not None and same_cases(known, facts, measured_cases(folder, rows[DEFAULT]))
        content["targets"][name] = _targets(disease, dims if name not in PICTURED else None, known, scores, same)
        if name not in PICTURED:
            continue
        if _is_measured(scores, rows[DEFAULT]):
            save_cases(folder, rows[DEFAULT], output / name / "cases.png", overwrite=True)
            thesis = output / name / "cases_thesis.png"
            save_cases(folder, rows[DEFAULT], thesis, "thesis", each=2, columns=2, overwrite=True)
        if candidate is not None and first:
            content["candidate"] = candidate_is_better(scores)
    if scans is not None:
        edit_scans(scans, output / "scans", disease, method=DEFAULT)
        content["scans"] = "scans/sheet.png"
    own.reserve(FILES)
    write_json(output / "release_check.json", content)
    write_text(output / "release_check.md", markdown(content))
    return content


def _tables(disease: str, spatial_dims: int) -> tuple[str, ...]:
    """Names of the tables, and of their folders; those that end with 2d or 3d measure displacement, without a judge."""
    names = ("stroke",) if disease == "stroke" else ("tumor", "tumor_regions")
    measured = tuple(f"{name}_{spatial_dims}d" for name in names)
    return measured if spatial_dims == 3 else (*names, *measured)


def read_ceiling(path: str | None, cohort: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    What ``studies.effects_ceiling`` wrote; None: of no file.

    Args:
        cohort: facts of the one that is to be held against it.

    Raises:
        InputError: a file that is missing or something else, or of another disease, dimension, law or look.
    """
    if path is None:
        return None
    place = user_path(path)
    try:
        found = dict(json.loads(place.read_bytes()))
        own = _kind(found)
        for same in (False, True):
            displaced_targets(2, "mask", found, same)  # every figure that is asked for is there
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"--ceiling: {place} is no ceiling.json; give what 'python -m studies.effects_ceiling' wrote."
        ) from None
    for what, wanted in _kind(cohort).items():
        if own[what] != wanted:
            raise InputError(
                f"--ceiling: {place} is of {what} {own[what]}, wanted {wanted} as the cohort is; give what 'python -m "
                f"studies.effects_ceiling' wrote of such a cohort."
            )
    return found


def _kind(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a ceiling and a cohort must have in common, by its name for people."""
    truth = {name: facts["recipe"].get(name, "own") for name in ("law", "look")}
    return {"disease": facts["disease"], "spatial dimensions": facts["spatial_dims"], **truth}


def same_cases(ceiling: Mapping[str, Any], cohort: Mapping[str, Any], cases: Collection[str]) -> bool:
    """
    Whether a ceiling is of these very cases, and not of others as many.

    Args:
        cohort: facts of the one that the cases are of; cases: their names.
    """
    made_alike = all(ceiling.get(key) == cohort[key] for key in ("recipe", "simulator_version"))
    return made_alike and {one["case_id"] for one in ceiling.get("case_draws", ())} == set(cases)


def measured_cases(folder: Path, row: str) -> set[str]:
    """Names of the cases of which a row's ventricle change by carried labels was measured, from ``metrics.csv``."""
    needed = COLUMNS["carried_r"].figures
    lines = [line for line in read_lines(folder / "metrics.csv") if line["row"] == row and line["pairing"] == "paired"]
    return {line["case_id"] for line in lines if all(line.get(name) for name in needed)}


def _is_measured(scores: Mapping[str, Any], row: str) -> bool:
    return any(line["row"] == row and any(line["figures"].values()) for line in scores["rows"])


def _targets(
    disease: str,
    spatial_dims: int | None,
    ceiling: Mapping[str, Any] | None,
    scores: Mapping[str, Any],
    same: bool = False,
) -> list[dict[str, Any]]:
    """
    What the default editor shall reach, and whether it does.

    Args:
        spatial_dims: None: of a table with a judge; scores: the table's JSON.
        same: whether its cases are the ceiling's.
    """
    figures = {_short_name(row["row"]): row["figures"] for row in scores["rows"]}
    differences: dict[str, dict[str, Any]] = {}
    for line in scores["comparisons"]:
        if _short_name(line["row"]) == DEFAULT:
            differences.setdefault(_short_name(line["against"]), {})[line["column"]] = line
    if spatial_dims is None:
        targets = (*TARGETS[disease], *INDIRECT)
    else:
        targets = displaced_targets(spatial_dims, scores["condition"], ceiling, same)
    found = (met(target, figures, differences) for target in targets)
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
        text += ["", f"## {name}: {DEFAULT}", "", *_target_lines(lines)]
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


def _target_lines(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for line in lines:
        value = "not measured" if line["value"] is None else f"{line['value']:.4g}"
        if line["low"] is not None and line["high"] is not None:
            value += f" ({line['low']:.4g} … {line['high']:.4g})"
        verdict = "**missed**" if line["verdict"] == "missed" else line["verdict"]
        best = "–" if line["ceiling"] is None else f"{line['ceiling']:.4g}"
        rows.append([line["column"], value, line["wanted"], best, verdict])
    return markdown_table(["figure", "measured", "wanted", "ceiling", ""], rows)


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate, with held-out anatomies")
    parser.add_argument("--scans", default=None, help="folder of real T1 scans to edit")
    parser.add_argument("--preset", default="quick", choices=("quick", "full"))
    parser.add_argument("--candidate", default=None, help="weights of the painter to compare with the shipped ones")
    parser.add_argument("--judge", default=None, help="folder of a judge; default: the shipped one")
    parser.add_argument("--ceiling", default=None, help="ceiling.json of studies.effects_ceiling on such a cohort")
    parser.add_argument("--limit", type=int, default=None, help="at most so many cases")
    parser.add_argument("--output_dir", "-o", default="out/release_check")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        content = release_check(
            given.cohort,
            given.output_dir,
            given.scans,
            given.preset,
            given.candidate,
            given.judge,
            given.limit,
            given.ceiling,
        )
    print(markdown(content))
    return 1 if any(entry["problem"] for entry in content["weights"]) else 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

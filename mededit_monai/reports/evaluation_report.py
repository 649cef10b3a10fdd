# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The page about an evaluation: tables, curves and cases in one file that needs no other.

    python -m mededit_monai.reports.evaluation_report out/evaluation

``mededit evaluate`` writes it too; this makes it anew from the folder's files.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from mededit_monai.core.errors import exit_on_bad_input
from mededit_monai.core.program import run_program
from mededit_monai.diseases import STRATA
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.reports.evaluation_figures import (
    MEASURED_BY,
    ablation_panels,
    distance_panels,
    method_colours,
    reach_mm,
    ventricle_scatters,
)
from mededit_monai.reports.evaluation_folder import VARIED, EvaluationFolder
from mededit_monai.reports.evaluation_sheets import (
    DIFFERENCE,
    RANKED_BY,
    contact_sheet,
    ranked,
    resampling_strips,
)
from mededit_monai.reports.evaluation_tables import PAIRING_TITLES, control, is_number, number, table_view

#: What the top of the page and every sheet say.
MARK = "Research use only, not a medical device. All edited images are synthetic."

#: Up to so many contact sheets show two cases of each rank: 36 with two are about 10 MB.
MANY_SHEETS = 36


def write_report(folder: str | Path, html: bool = False) -> Path:
    """
    Write ``report.html`` into an evaluation's folder, whole or not at all.

    Args:
        folder: with ``evaluation.json``, ``table_5_*.json``; ``metrics.csv``, ``triplets_*.json`` and ``edits`` give
            the figures and sheets. What is not there is left out of the page.
        html: whether the best, median and worst case of every row get pages to look at them too, in ``views``.

    Returns:
        the page.

    Raises:
        InputError: no evaluation in the folder, a file of it that cannot be read, or a page that mededit did not write.
    """
    source = EvaluationFolder(folder)
    environment = Environment(
        loader=PackageLoader("mededit_monai.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("evaluation.html").render(report_view(source, html))
    OutputFolder(source.folder).write({"report.html": page.encode("utf-8", "surrogateescape")})
    return source.folder / "report.html"


def report_view(source: EvaluationFolder, html: bool = False) -> dict[str, Any]:
    """Everything that the template shows, in the page's order, numbered; html: see :func:`write_report`."""
    methods = [table for table in source.tables if table.get("kind") == "methods"]
    ablations = [table for table in source.tables if table.get("kind") in VARIED]
    colours = method_colours(source.tables)
    common = _common_notes(source.tables)
    tables = [_table(table, common) for table in methods]
    parts = [_ablation(source, table, common) for table in ablations]
    figures = {
        "distance": list(_distance(source, methods, colours)),
        "ventricles": list(_ventricles(source, methods, colours)),
        "cases": list(_cases(source, methods, html)),
    }
    every = [part["table"] for part in parts]
    for count, view in enumerate([*tables, *every], start=1):
        view["number"] = f"S{count}"
    drawn = [figure for part in parts for figure in part["figures"]]
    drawn += [figure for group in figures.values() for figure in group]
    for count, view in enumerate(drawn, start=1):
        view["number"] = f"S{count}"
    return {
        "mark": MARK,
        "name": _cohort_name(source),
        "facts": list(_facts(source)),
        "command": source.facts.get("command"),
        "common_notes": common,
        "tables": tables,
        "ablations": parts,
        **figures,
        "all_tables": [*tables, *every],
        "all_figures": drawn,
        "difference": DIFFERENCE,
        "ceiling": _ceiling(source),
    }


def _common_notes(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences that stand under every one of several tables: they are said once."""
    if len(tables) < 2:
        return []
    return [note for note in tables[0].get("notes", []) if all(note in table.get("notes", []) for table in tables)]


def _table(table: Mapping[str, Any], common: Sequence[str]) -> dict[str, Any]:
    view = table_view(table)
    return view | {"id": f"table-{view['key']}", "notes": [note for note in view["notes"] if note not in common]}


def _ablation(source: EvaluationFolder, table: Mapping[str, Any], common: Sequence[str]) -> dict[str, Any]:
    """A table of k or U with its curves and, for U, the strip."""
    view, figures = _table(table, common), []
    panels = ablation_panels(table)
    if panels:
        told = {"kernel": "the kernel size k", "resampling": "the number of resampling steps U"}[table["kind"]]
        title = f"{table.get('title', '')}: figures against {told}"
        published = view["published"]
        figures.append(
            {"kind": "curves", "id": f"curves-{view['key']}", "title": title, "panels": panels, "published": published}
        )
    strips = resampling_strips(source, table) if table["kind"] == "resampling" else []
    if strips:
        title = f"{table.get('title', '')}: the same cases edited with every U"
        figures.append({"kind": "strip", "id": f"strip-{view['key']}", "title": title, "strips": strips})
    return {"table": view, "figures": figures}


def _distance(source: EvaluationFolder, tables: list, colours: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for table in tables:
        panels = distance_panels(source, table, colours)
        disease = source.disease(table)
        if panels:
            yield {
                "id": f"distance-{_key(table)}",
                "title": f"{table.get('title', '')}: change against distance from the lesion",
                "panels": [{"panel": panel, "title": PAIRING_TITLES[pairing]} for pairing, panel in panels.items()],
                "reach": reach_mm(table, disease.pixel_mm) if disease else None,
                "truth": "paired" in panels,
            }


def _ventricles(source: EvaluationFolder, tables: list, colours: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for table, by in ((table, by) for table in tables for by in MEASURED_BY):
        scatters = ventricle_scatters(source, table, colours, by)
        if scatters:
            area = next((s.agreement.area_r for s in scatters if s.agreement), None)
            controls = {control(row) for row in table["rows"]}
            if area is not None and (math.isnan(area.value) or "area_regression" in controls):
                area = None
            yield {
                "id": f"ventricles-{_key(table)}" + ("" if by == "judge" else f"-{by}"),
                "by": by,
                "title": f"{table.get('title', '')}: change of the ventricles, predicted against true"
                + ("" if by == "judge" else ", by the labels that the displacement carries along"),
                "panels": [scatter.panel for scatter in scatters],
                "area_r": f"{number(area.value)} ({number(area.low)} … {number(area.high)})" if area else None,
                "controls": controls,
            }


def _cases(source: EvaluationFolder, tables: list, html: bool) -> Iterator[dict[str, Any]]:
    sheets = len(RANKED_BY) * sum(not control(row) for table in tables for row in table["rows"])
    each = 2 if sheets <= MANY_SHEETS else 1
    for table in tables:
        for pairing, (_, name, higher) in RANKED_BY.items():
            blocks = []
            for row in table["rows"]:
                sheet = {} if control(row) else contact_sheet(source, row["row"], pairing, each, html)
                if sheet:
                    count = len(ranked(source.of(row["row"], pairing), pairing))
                    blocks.append({"label": row.get("label", row["row"]), "sheet": sheet, "count": count})
            if blocks:
                yield {
                    "id": f"cases-{_key(table)}-{pairing}",
                    "title": f"{table.get('title', '')}: best, median and worst cases by {name}",
                    "pairing": pairing,
                    "pairing_title": PAIRING_TITLES[pairing],
                    "by": name,
                    "higher": higher,
                    "blocks": blocks,
                }


def _key(table: Mapping[str, Any]) -> str:
    return str(table["table"]).replace(".", "_")


def _cohort_name(source: EvaluationFolder) -> str:
    cohort = source.facts.get("cohort")
    return str(cohort.get("name", "")) if isinstance(cohort, Mapping) else str(cohort or "")


def _ceiling(source: EvaluationFolder) -> str:
    """The judge's Dice on held-out truth by structure, as words; not an upper bound for other cases."""
    judge = source.facts.get("judge")
    ceiling = judge.get("ceiling") if isinstance(judge, Mapping) else None
    if is_number(ceiling):
        return number(ceiling)
    known = {k: v for k, v in (ceiling or {}).items() if is_number(v)}
    return ", ".join(f"{structure} {number(value)}" for structure, value in known.items())


def _facts(source: EvaluationFolder) -> Iterator[tuple[str, str]]:
    """Lines of the header: what was evaluated, by whom, with what."""
    facts = source.facts
    cohort = facts.get("cohort")
    if isinstance(cohort, Mapping):
        yield "Cohort", _cohort_name(source)
        recipe = _words(cohort.get("recipe"))
        if recipe:
            yield "Made by", recipe
        if cohort.get("datalist_sha256"):
            yield "SHA-256 of its datalist", str(cohort["datalist_sha256"])
        others = {k: v for k, v in cohort.items() if k not in ("name", "recipe", "datalist_sha256")}
        if _words(others):
            yield "Also", _words(others)
    elif cohort:
        yield "Cohort", str(cohort)
    for pairing in source.triplets:
        counts = source.counts(pairing)
        strata = ", ".join(f"{counts[s]} {s}" for s in STRATA if counts.get(s))
        told = f"{counts['triplets']} triplets" + (f" ({strata})" if strata else "")
        yield f"Cases, pairing '{pairing}'", f"{told}. {PAIRING_TITLES[pairing]}."
    if source.cases:
        yield "Anatomies (patients)", f"{source.groups()}; intervals draw these first, then their cases"
    judge = facts.get("judge")
    if judge:
        name = judge.get("name", "") if isinstance(judge, Mapping) else judge
        told = _ceiling(source)
        known = f"; its Dice on held-out images (not an upper bound for other cases): {told}" if told else ""
        yield "Judge", f"{name}{known}"
    extractors = facts.get("extractors") or []
    extractors = list(extractors.values()) if isinstance(extractors, Mapping) else extractors
    names = [str(e.get("name", e)) if isinstance(e, Mapping) else str(e) for e in extractors]
    if names:
        yield "Feature extractors", "; ".join(names)
    for key, label in (("preset", "Preset"), ("seed", "Seed"), ("versions", "Versions")):
        if facts.get(key) not in (None, "", {}):
            yield label, _words(facts[key])


def _words(value: Any) -> str:
    """A value of a JSON file as one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_words(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(v) for v in value)
    return "" if value is None else str(value)


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="output folder of 'mededit evaluate'")
    parser.add_argument("--html", action="store_true", help="pages to look at the best, median and worst cases")
    with exit_on_bad_input():
        print(write_report(**vars(parser.parse_args())))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

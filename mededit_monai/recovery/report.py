# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The files of a recovery for people: table, lines, picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.diseases import STRATA
from mededit_monai.evaluation.write import csv_text
from mededit_monai.recovery.score import FIGURES, UNEDITED
from mededit_monai.reports.evaluation_figures import COLOURS, GREY
from mededit_monai.reports.plain_text import PLAIN, markdown_table, plain_legend

#: Everything that is written beside edits and segmentations.
FILES = ("recovery.json", "recovery.csv", "recovery.md", "recovery.png")

HEADS = ("", "mean (95 %)", "of", "patients")


def report_files(content: Mapping[str, Any]) -> dict[str, bytes]:
    """
    ``recovery.csv``, ``recovery.md`` and ``recovery.png``.

    Args:
        content: of ``recovery.json``.
    """
    return {
        "recovery.csv": csv_text(map(_line, content["cases"])).encode("utf-8", "surrogateescape"),
        "recovery.md": markdown(content).encode("utf-8", "surrogateescape"),
        "recovery.png": picture(content),
    }


def _line(case: Mapping[str, Any]) -> dict[str, Any]:
    """A line of ``recovery.csv``: lesions as their number and how many of them were found."""
    found = sum(one["found"] for one in case["lesions"])
    plain = {key: value for key, value in case.items() if key != "lesions"}
    return plain | {"lesions": len(case["lesions"]), "lesions_found": found}


def rows(content: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the table, under :data:`HEADS`."""
    recall = content["recall"]
    found = [_row(f"recall, {size}", recall[size], 3, "lesions") for size in ("all", *STRATA) if size in recall]
    for part, names, unit in (("figures", FIGURES, "cases"), ("unedited", UNEDITED, "scans")):
        own = content[part]
        found += [_row(head, own[name], digits, unit) for name, (head, digits) in names.items() if name in own]
    return found


def _row(head: str, figure: Mapping[str, float], digits: int, unit: str) -> list[str]:
    value, low, high = (f"{figure[key]:.{digits}f}" for key in ("value", "low", "high"))
    return [head, f"{value} ({low} … {high})", f"{figure['n_cases']} {unit}", str(figure["n_groups"])]


def markdown(content: Mapping[str, Any]) -> str:
    """``recovery.md``."""
    lines = [f"# Recovery of inserted lesions: {content['segmenter']}", "", content["note"], ""]
    lines += [*markdown_table(HEADS, rows(content)), ""]
    lines += [
        f"- {len(content['cases'])} counterfactuals of {content['scans']} scans of {content['patients']} patients.",
        "- A lesion (a connected component of what was inserted) counts as found where any voxel of it is; size "
        "classes go by its volume.",
        "- Bias is found minus inserted. Of ventricles: those found in the counterfactual, minus those found in the "
        "unedited scan as the edit moved them, both outside the lesion.",
        "- Intervals by a bootstrap over patients, then cases.",
        "- The lesions are painted by a model: how well real ones are found is another question.",
    ]
    if content["failed"]:
        lines += ["", f"{len(content['failed'])} failed:", ""]
        lines += markdown_table(("case", "why"), [(one["case_id"], one["failed"]) for one in content["failed"]])
    return "\n".join([*lines, ""])


def picture(content: Mapping[str, Any]) -> bytes:
    """PNG: found against inserted volume, a point a case, and recall by size class with its interval."""
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    volumes, recall = figure.subplots(1, 2)
    pairs = [(case["inserted_ml"], case["found_ml"]) for case in content["cases"]]
    top = 1.1 * max(max(pair) for pair in pairs)
    equal = volumes.plot([0, top], [0, top], color=GREY, lw=1)
    points = volumes.plot(*zip(*pairs), "o", color=COLOURS[0], ms=5, alpha=0.7)
    volumes.set(xlabel="inserted (ml)", ylabel="found (ml)", xlim=(0, top), ylim=(-0.02 * top, top))
    plain_legend(volumes, [*points, *equal], ["a counterfactual", "found = inserted"], fontsize=8, loc="upper left")
    sizes = [size for size in ("all", *STRATA) if size in content["recall"]]
    for place, size in enumerate(sizes):
        one = content["recall"][size]
        ends = [[one["value"] - one["low"]], [one["high"] - one["value"]]]
        recall.bar(place, one["value"], 0.6, color=COLOURS[0] if place else GREY, yerr=ends, capsize=4)
    recall.set_xticks(range(len(sizes)))
    recall.set_xticklabels([f"{size}\n{content['recall'][size]['n_cases']} lesions" for size in sizes], size=9)
    recall.set(ylim=(0, 1.05), ylabel="recall (95 %)")
    figure.suptitle(f"{content['segmenter']}: {content['note']}"[:150], size=9, **PLAIN)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110, metadata={"Software": None})
    return stream.getvalue()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The files of an analysis for people: the page, tables and the plot of the means."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.evaluation.write import csv_text, number
from mededit_monai.reports.evaluation_figures import COLOURS, GREY
from mededit_monai.reports.plain_text import PLAIN, markdown_table, plain_legend

#: Everything that an analysis writes.
FILES = ("results.json", "report.html", "table.md", "means.csv", "comparisons.csv", "agreement.csv", "next_study.csv")
FILES = (*FILES, "means.png")

SIMULATED = "The raters are simulated: nobody looked at the images, and nothing here says anything about them."


def report_files(content: Mapping[str, Any]) -> dict[str, bytes]:
    """
    All files but ``results.json``.

    Args:
        content: of ``results.json``.
    """
    picture = means_plot(content)
    view = report_view(content)
    environment = Environment(
        loader=PackageLoader("mededit_monai.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("reader_study.html").render(view, picture=base64.b64encode(picture).decode())
    agreement = [line | {"raters": " ".join(line["raters"])} for line in content["agreement"]]
    return {
        "report.html": page.encode("utf-8", "surrogateescape"),
        "table.md": _markdown(view).encode("utf-8", "surrogateescape"),
        "means.csv": csv_text(_mean_lines(content)).encode(),
        "comparisons.csv": csv_text(content["comparisons"]).encode(),
        "agreement.csv": csv_text(agreement).encode(),
        "next_study.csv": csv_text(_next_lines(content)).encode(),
        "means.png": picture,
    }


def report_view(content: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page shows, as texts."""
    design = content["design"]
    scales = {name: scale for stage in design["stages"] for name, scale in stage["scales"].items()}
    arms = design["arms"]
    return {
        "title": design["title"],
        "note": content["note"],
        "simulated": SIMULATED if content["simulated_raters"] else "",
        "missing": ", ".join(content["missing_raters"]),
        "facts": list(_facts(content)),
        "scales": [{"name": name, "label": one["label"], "question": one["question"]} for name, one in scales.items()],
        "has_published": any(arm["published"] for arm in arms.values()),
        "rows": [
            {
                "label": arm["label"],
                "cells": [_cell(content["means"][name].get(key), arm["published"].get(name)) for name in scales],
            }
            for key, arm in arms.items()
        ],
        "measured": _measured(content, scales),
        "by_rater": list(_by_rater(content, scales)) if len(content["raters"]) > 1 else [],
        "any": [_p(content["any_difference"][name]) for name in scales],
        "comparisons": list(_comparisons(content, scales)),
        "agreement": list(_agreement(content, scales)),
        "detection": list(_detection(content, scales)),
        "next": list(_next(content, scales)),
        "power": f"{content['power']:.0%}",
        "level": f"{content['level']:.0%}",
        "same_cases": design["same_cases"],
        "shuffled": _shuffled(design),
    }


def _shuffled(design: Mapping[str, Any]) -> str:
    """Among which images the permutation test deals the arms anew."""
    if design["same_cases"]:
        return "of a case"
    return "of the study" if design["strata"] == "none" else "of a stratum of lesion sizes"


def _facts(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    design, means = content["design"], content["means"]
    counts = {
        arm: max(one[arm]["n_images"] for one in means.values() if arm in one)
        for arm in design["arms"]
        if any(arm in one for one in means.values())
    }
    yield "Study", f"{content['study']} (design '{design['name']}')"
    yield "Raters", ", ".join(content["raters"])
    yield "Images", ", ".join(f"{count} {design['arms'][arm]['label']}" for arm, count in counts.items())
    groups = max(one["n_groups"] for arms in means.values() for one in arms.values())
    told = f"up to {groups} an arm; intervals draw these first, then their images"
    one = "1: intervals cannot say what holds for others"
    yield "Patients or anatomies", told if groups > 1 else one
    yield "Shown twice", f"{design['repeats']} images of each part"
    yield "Cases", (
        "the same in every arm" if design["same_cases"] else "others in every arm, as far as there are enough"
    )


def _cell(figure: Mapping[str, Any] | None, published: float | None) -> dict[str, str]:
    told = "" if published is None else f"{published:.2f}"
    if figure is None:
        return {"value": "–", "interval": "", "published": told}
    return {"value": f"{figure['value']:.2f}", "interval": _interval(figure), "published": told}


def _measured(content: Mapping[str, Any], scales: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an evaluation measured, and the means beside it: the thesis's whole table."""
    found, arms = content.get("measured"), content["design"]["arms"]
    if found is None:
        return None
    rows = []
    for key, arm in arms.items():
        own = found["arms"].get(key, {})
        cells = [_measured_cell(own.get(column["key"])) for column in found["columns"]]
        cells += [_cell(content["means"][name].get(key), arm["published"].get(name)) for name in scales]
        rows.append({"label": arm["label"], "cells": cells})
    heads = [column["label"] for column in found["columns"]] + [scale["label"] for scale in scales.values()]
    return {"table": found["table"], "heads": heads, "rows": rows}


def _measured_cell(figure: Mapping[str, Any] | None) -> dict[str, str]:
    """With as many digits as an evaluation's own tables have: an FID may be far below 1."""
    one = figure or {"value": None, "low": None, "high": None, "published": None}
    ends = "" if one["low"] is None else f"{number(one['low'])} … {number(one['high'])}"
    return {"value": number(one["value"]), "interval": ends, "published": number(one["published"], "")}


def _interval(figure: Mapping[str, Any]) -> str:
    return "" if figure["low"] is None else f"{figure['low']:.2f} … {figure['high']:.2f}"


def _p(p: float | None) -> str:
    return "–" if p is None else f"{p:.4f}" if p >= 0.001 else "< 0.001"


def _label(content: Mapping[str, Any], arm: str) -> str:
    return str(content["design"]["arms"][arm]["label"])


def _by_rater(content: Mapping[str, Any], scales: Mapping[str, Any]) -> Iterator[list[str]]:
    for rater in content["raters"]:
        for arm in content["design"]["arms"]:
            means = [content["means"][name].get(arm) for name in scales]
            yield [rater, _label(content, arm), *("–" if m is None else f"{m['by_rater'][rater]:.2f}" for m in means)]


def _comparisons(content: Mapping[str, Any], scales: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for line in content["comparisons"]:
        yield {
            "scale": scales[line["scale"]]["label"],
            "pair": f"{_label(content, line['arm'])} minus {_label(content, line['against'])}",
            "difference": f"{line['difference']:+.2f}",
            "interval": f"{line['low']:+.2f} … {line['high']:+.2f}",
            "p": _p(line["p"]),
            "p_holm": _p(line["p_holm"]),
            "apart": line["p_holm"] < content["level"],
        }


def _agreement(content: Mapping[str, Any], scales: Mapping[str, Any]) -> Iterator[list[str]]:
    for line in content["agreement"]:
        who = f"{line['raters'][0]} with themselves" if line["kind"] == "within" else " and ".join(line["raters"])
        kappa = "–" if line["kappa"] is None else f"{line['kappa']:.2f}"
        yield [
            scales[line["scale"]]["label"],
            who,
            kappa,
            _interval(line),
            f"{line['same']:.0%}",
            str(line["n_images"]),
        ]


def _detection(content: Mapping[str, Any], scales: Mapping[str, Any]) -> Iterator[list[str]]:
    for line in content["detection"]:
        shares = [line["real_called_real"], line["synthetic_called_real"]]
        right = "–" if line["right"] is None else f"{line['right']:.0%}"
        ends = "" if line["low"] is None else f"{line['low']:.0%} … {line['high']:.0%}"
        told = ["–" if share is None else f"{share:.0%}" for share in shares]
        yield [scales[line["scale"]]["label"], line["rater"], right, ends, *told]


def _next(content: Mapping[str, Any], scales: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in dict.fromkeys(line["scale"] for line in content["next"]):
        lines = [line for line in content["next"] if line["scale"] == name]
        first = lines[0]
        who = f"{first['raters_now']} rater{'s' if first['raters_now'] > 1 else ''}"
        yield {
            "label": scales[name]["label"],
            "found": f"{first['images_now']} images an arm and {who} find {first['found_now']:.2f}",
            "heads": [f"{one['difference']:g}" for one in first["needed"]],
            "rows": [
                [str(line["raters"]), f"{line['spread']:.2f}", *(_count(one["images"]) for one in line["needed"])]
                for line in lines
            ],
        }


def _count(images: int | None) -> str:
    return "> 10 000" if images is None else str(images)


def _mean_lines(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for scale, arms in content["means"].items():
        for arm, one in arms.items():
            line = {"scale": scale, "arm": arm} | {
                key: one[key] for key in ("value", "low", "high", "n_images", "n_groups", "published")
            }
            yield line | {f"by_{rater}": mean for rater, mean in one["by_rater"].items()}


def _next_lines(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    facts = ("scale", "raters", "spread", "paired")
    return [{key: line[key] for key in facts} | one for line in content["next"] for one in line["needed"]]


def _markdown(view: Mapping[str, Any]) -> str:
    """The table of the means."""
    heads, rows = ["arm"], []
    for scale in view["scales"]:
        heads += [f"{scale['label']} (95 %)", *(["published"] if view["has_published"] else [])]
    for row in view["rows"]:
        cells = [row["label"]]
        for cell in row["cells"]:
            ends = f" ({cell['interval']})" if cell["interval"] else ""
            cells += [cell["value"] + ends, *([cell["published"] or "–"] if view["has_published"] else [])]
        rows.append(cells)
    notes = [view["note"], *([view["simulated"]] if view["simulated"] else [])]
    return "\n".join([f"# {view['title']}", "", " ".join(notes), "", *markdown_table(heads, rows), ""])


def means_plot(content: Mapping[str, Any]) -> bytes:
    """A panel a scale: means with their intervals, each rater's own, and what was published. PNG."""
    design, means = content["design"], content["means"]
    names = list(means)
    labels = {name: scale["label"] for stage in design["stages"] for name, scale in stage["scales"].items()}
    figure = Figure(figsize=(2.7 * len(names) + 1.6, 0.42 * len(design["arms"]) + 1.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    arms = list(design["arms"])
    handles: dict[str, Any] = {}
    for column, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), column + 1)
        for place, arm in enumerate(arms):
            one = means[name].get(arm)
            if one is None:
                continue
            error = [[one["value"] - one["low"]], [one["high"] - one["value"]]]
            handles["mean, 95 % interval"] = axes.errorbar(
                one["value"], place, xerr=error, fmt="o", color=COLOURS[0], capsize=3
            )
            if len(one["by_rater"]) > 1:
                for value in one["by_rater"].values():
                    (handles["each rater"],) = axes.plot(value, place + 0.24, "|", color=COLOURS[1], ms=7)
            if one["published"] is not None:
                (handles["published, other data and readers"],) = axes.plot(
                    one["published"], place - 0.24, "D", mfc="none", color=GREY, ms=5
                )
        values = [
            int(v)
            for stage in design["stages"]
            for k, scale in stage["scales"].items()
            if k == name
            for v in scale["values"]
        ]
        axes.set_xlim(min(values) - 0.15, max(values) + 0.15)
        axes.set_xticks(sorted(values))
        axes.set_ylim(len(arms) - 0.5, -0.5)
        axes.set_yticks(range(len(arms)))
        axes.set_yticklabels([_label(content, arm) for arm in arms] if column == 0 else [], **PLAIN)
        axes.grid(axis="x", alpha=0.3)
        axes.set_title(labels[name], size=10, **PLAIN)
    if handles:
        plain_legend(
            figure,
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=3,
            fontsize=8,
            frameon=False,
        )
    stream = io.BytesIO()
    figure.savefig(stream, metadata={"Software": None})
    return stream.getvalue()

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
How a method's errors fall with the samples that its network has seen: kept weights of trainings, on the same cases.

    python -m studies.error_by_samples --cohort out/slices --method mededit=out/train/model \\
        --method palette=out/train/palette --before mededit=52480 --cases 60 -o out/error_by_samples

Each folder is one of ``mededit train --keep_interval N``; ``--before`` are samples that the weights it started from had
seen. Every ``model_epoch_*.pt`` is a row of ``mededit evaluate`` on pairs, by default with 25 noise levels; what was
edited before is kept. Writes ``error_by_samples.md``, ``.csv`` and ``.png``.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.datasets.evaluation import cohort_facts
from mededit_monai.evaluation.columns import COLUMNS
from mededit_monai.evaluation.evaluate import EvaluationOptions, evaluate
from mededit_monai.evaluation.write import csv_text
from mededit_monai.io.atomic import write_bytes, write_text
from mededit_monai.io.held import held_folder
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.evaluation_figures import COLOURS, GREY
from mededit_monai.reports.plain_text import PLAIN, markdown_table, plain_legend, table_cell
from mededit_monai.training.folder import KEPT_WEIGHTS, SETTINGS_FILE

FILES = ("error_by_samples.md", "error_by_samples.csv", "error_by_samples.png", "table.yaml")

#: What is plotted, and settings that the thesis's tables give the methods.
SHOWN = ("zone_error", "contrast", "dice")
SETTINGS: dict[str, dict[str, Any]] = {
    "mededit": {"dilation": 25, "resample": 4},
    "naive_repaint": {"resample": 3},
    "sdedit": {},
    "palette": {},
    "palette_original": {},
}
EPOCH = re.compile(KEPT_WEIGHTS.format(r"(\d+)").replace(".pt", r"\.pt"))


def kept_weights(folder: Path, before: int = 0) -> dict[int, Path]:
    """
    Samples seen → weights, of a training's kept ones.

    Args:
        before: samples that the weights that it started from had seen.

    Raises:
        InputError: no training, or one that kept no weights.
    """
    places = {int(match[1]): place for place in folder.glob("*.pt") if (match := EPOCH.fullmatch(place.name))}
    history, settings = folder / "history.csv", folder / SETTINGS_FILE
    if not places or not history.is_file() or not settings.is_file():
        raise InputError(f"{folder}: holds no kept weights of a training; train with --keep_interval.")
    seen = samples_seen(folder)
    return {before + seen[epoch]: places[epoch] for epoch in sorted(places) if epoch in seen}


def samples_seen(folder: Path) -> dict[int, int]:
    """Epoch → samples that a training had seen after it, by its history; a painter uses each case repeatedly."""
    settings = json.loads((folder / SETTINGS_FILE).read_bytes())["settings"]
    batch = settings["batch_size"] * (settings["repeats"] if settings.get("family") == "paint" else 1)
    with open(folder / "history.csv", newline="", encoding="utf-8") as stream:
        return {int(line["epoch"]): batch * int(line["iteration"]) for line in csv.DictReader(stream)}


def table_of(disease: str, weights: Mapping[str, Mapping[int, Path]], cases: int, steps: int) -> dict[str, Any]:
    """A table for ``mededit evaluate``: a row for every method and number of samples, and the two ends of the scale."""
    rows: dict[str, Any] = {}
    for method, files in weights.items():
        for seen, place in files.items():
            settings = {"method": method, **SETTINGS[method], "weights": str(place)}
            rows[f"{method}_{seen}"] = {"label": f"{method}, {seen} samples", "settings": settings}
    for control, label in (("no_edit", "no edit"), ("truth", "the truth")):
        rows[control] = {"label": label, "settings": {"method": "mededit", "dilation": 25, "control": control}}
    preset = {"cases": cases, "steps": steps, "spacing": "logsnr"}
    head = {"table": "error_by_samples", "title": "Errors by samples seen", "bundle": disease, "condition": "mask"}
    return {
        **head,
        "kind": "methods",
        "columns": [*SHOWN, "outside_error"],
        "presets": {"quick": preset, "full": preset},
        "rows": rows,
    }


def lines_of(content: Mapping[str, Any], weights: Mapping[str, Mapping[int, Path]]) -> list[dict[str, Any]]:
    """From the JSON of the evaluated table: ``method samples`` and value, low and high of every figure."""
    figures = {row["label"]: row["figures"] for row in content["rows"]}
    wanted = [(method, seen, f"{method}, {seen} samples") for method, files in weights.items() for seen in files]
    lines = []
    for method, seen, label in [*wanted, ("no edit", None, "no edit"), ("the truth", None, "the truth")]:
        line: dict[str, Any] = {"method": method, "samples": seen}
        for key in SHOWN:
            found = figures[label][key] or {}
            line |= {key: found.get("value"), f"{key}_low": found.get("low"), f"{key}_high": found.get("high")}
        lines.append(line)
    return lines


def picture(lines: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """PNG: a panel a figure, a curve a method with its interval, dashed the unedited scan and the truth."""
    figure = Figure(figsize=(4.2 * len(SHOWN), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    methods = list(dict.fromkeys(line["method"] for line in lines if line["samples"] is not None))
    for axes, key in zip(figure.subplots(1, len(SHOWN)), SHOWN):
        handles = []
        for method, colour in zip(methods, COLOURS):
            own = [line for line in lines if line["method"] == method and line[key] is not None]
            seen = [line["samples"] / 1000 for line in own]
            handles += axes.plot(seen, [line[key] for line in own], ".-", color=colour)
            axes.fill_between(
                seen, *([line[f"{key}_{end}"] for line in own] for end in ("low", "high")), color=colour, alpha=0.15
            )
        for name, style in (("no edit", "--"), ("the truth", ":")):
            value = next(line[key] for line in lines if line["method"] == name)
            if value is not None:
                handles.append(axes.axhline(value, ls=style, color=GREY))
        axes.set_xlabel("samples seen, thousands")
        axes.set_ylabel(COLUMNS[key].label)
        axes.grid(alpha=0.3)
    plain_legend(axes, handles, [*methods, "no edit", "the truth"], fontsize=8)
    figure.suptitle(title, size=9, **PLAIN)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110, metadata={"Software": None})
    return stream.getvalue()


def markdown(lines: Sequence[Mapping[str, Any]], command: str) -> str:
    """``error_by_samples.md``."""

    def cell(line: Mapping[str, Any], key: str) -> str:
        if line[key] is None:
            return "–"
        return f"{line[key]:.3g} ({line[f'{key}_low']:.3g} … {line[f'{key}_high']:.3g})"

    heads = ("method", "samples seen", *(COLUMNS[key].label for key in SHOWN))
    rows = [
        (table_cell(line["method"]), str(line["samples"] or "–"), *(cell(line, key) for key in SHOWN)) for line in lines
    ]
    return "\n".join(["# Errors by samples seen", "", DISCLAIMER, "", *markdown_table(heads, rows), "", command, ""])


def error_by_samples(
    cohort: str | Path,
    folders: Mapping[str, str],
    before: Mapping[str, int],
    output: str | Path,
    cases: int = 60,
    steps: int = 25,
    **asked: Any,
) -> list[dict[str, Any]]:
    """
    Evaluate and write.

    Args:
        cohort: of pairs; folders: method → folder of its training; before: method → samples of its first weights.
        cases: test cases a row; steps: noise levels; asked: further options of the evaluation.

    Raises:
        InputError: bad input, in one sentence.
    """
    output = user_path(output)
    if unknown := (set(folders) | set(before)) - set(SETTINGS):
        raise InputError(f"--method: got '{min(unknown)}', wanted one of {', '.join(SETTINGS)}.")
    if unmatched := set(before) - set(folders):
        raise InputError(
            f"--before: is given for '{min(unmatched)}', wanted a method of --method; add it, or leave it out."
        )
    weights = {name: kept_weights(user_path(folder), before.get(name, 0)) for name, folder in folders.items()}
    disease = cohort_facts(cohort)["disease"]
    with held_folder(output, FILES, [user_path(cohort), *map(user_path, folders.values())]):
        table = output / "table.yaml"
        write_text(table, yaml.safe_dump(table_of(disease, weights, cases, steps), sort_keys=False))
        options = EvaluationOptions(
            cohort=str(cohort),
            output=str(output / "evaluation"),
            tables=(str(table),),
            pairing="paired",
            report=False,
            **asked,
        )
        (found,) = evaluate(options) or []
        lines = lines_of(json.loads(found.read_bytes()), weights)
        write_bytes(output / FILES[2], picture(lines, f"{disease}, {cases} held-out slices. {DISCLAIMER}"))
        write_text(output / FILES[1], csv_text(lines))
        words = [f"--method {name}={Path(folder).name}" for name, folder in folders.items()]
        words += [f"--before {name}={count}" for name, count in before.items()]
        command = (
            f"    python -m studies.error_by_samples --cohort {Path(cohort).name} {' '.join(words)} --cases {cases}"
        )
        write_text(output / FILES[0], markdown(lines, command))
    return lines


def _pair(word: str) -> tuple[str, str]:
    name, divided, value = word.partition("=")
    if not divided or not value:
        raise argparse.ArgumentTypeError(f"got '{word}', wanted METHOD=VALUE")
    return name, value


def _count(word: str) -> tuple[str, int]:
    name, value = _pair(word)
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"got '{word}', wanted METHOD=NUMBER")
    return name, int(value)


def _once_each(option: str, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Method → value. InputError: a method twice, of which one would be left out without a word."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"--{option}: is given {names.count(twice[0])} times for '{twice[0]}', wanted once; leave out all but one."
        )
    return dict(pairs)


def main(words: Sequence[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate, slices")
    parser.add_argument("--method", action="append", required=True, type=_pair, help="METHOD=FOLDER; may be repeated")
    parser.add_argument(
        "--before", action="append", default=[], type=_count, help="METHOD=SAMPLES of its first weights"
    )
    parser.add_argument("--cases", type=int, default=60, help="test cases a row")
    parser.add_argument("--steps", type=int, default=25, help="noise levels")
    parser.add_argument("--bundle", help="as of mededit evaluate")
    parser.add_argument("--judge", help="as of mededit evaluate")
    parser.add_argument("--config", action="append", default=[], help="as of mededit evaluate")
    parser.add_argument("--no_progress", action="store_true", help="no bars")
    parser.add_argument("-o", "--output_dir", default="out/error_by_samples")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        error_by_samples(
            given.cohort,
            _once_each("method", given.method),
            _once_each("before", given.before),
            given.output_dir,
            given.cases,
            given.steps,
            bundle=given.bundle,
            judge=given.judge,
            configs=tuple(given.config),
            progress=not given.no_progress,
        )
    print(f"look at {user_path(given.output_dir) / FILES[0]}")


if __name__ == "__main__":
    run_program(main)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Figures, page and picture of the default editor's folds (``studies.folds``)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import wilcoxon

from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.evaluation_figures import COLOURS, GREY
from mededit_monai.reports.plain_text import PLAIN, markdown_table, plain_legend, table_cell
from studies.known_brains import RATIOS

#: Rows of the evaluation: the fold's own networks, and those that are shipped.
OWN, SHIPPED = "own", "shipped"

DRAWS = 2000


def summary(done: Sequence[Mapping[str, Any]], unseen: Sequence[str]) -> dict[str, Any]:
    """
    Figures of all folds.

    Args:
        done: contents of ``fold.json``; unseen: brains that the shipped networks have not seen.

    Returns:
        ``brains``: brain → figure → error over no edit's, of its fold's networks; ``fold_of``; ``shipped``: the same of
        the shipped ones, of brains they have not seen; ``figures``, ``beside``: by figure.
    """
    brains = {brain: ratios for fold in done for brain, ratios in fold["ratios"][OWN].items()}
    shipped = {b: r for fold in done for b, r in fold["ratios"][SHIPPED].items() if b in set(unseen)}
    fold_of = {brain: fold["fold"] for fold in done for brain in fold["ratios"][OWN]}
    figures, beside = {}, {}
    for name in RATIOS:
        by_fold = [[r[name] for r in fold["ratios"][OWN].values()] for fold in done]
        figures[name] = mean_of([v for values in by_fold for v in values])
        figures[name]["folds"] = [mean_of(values)["mean"] for values in by_fold]
        pairs = [(brains[b][name], shipped[b][name]) for b in shipped]
        pairs = [pair for pair in pairs if None not in pair]
        if pairs:
            own, long = zip(*pairs)
            beside[name] = {"own": mean_of(own), SHIPPED: mean_of(long)}
            beside[name]["difference"] = mean_of([b - a for a, b in pairs], against=0.0)
    return {"brains": brains, "fold_of": fold_of, "shipped": shipped, "figures": figures, "beside": beside}


def mean_of(values: Sequence[float | None], against: float = 1.0, seed: int = 0) -> dict[str, float]:
    """
    Mean of brains with its 95 % interval, how many lie below ``against``, and p of the signed-rank test against it.

    Args:
        values: a number a brain, at least one of them finite; None, where a brain has none, is left out.
    """
    found = np.asarray(values, dtype=np.float64)  # None becomes NaN
    found = found[np.isfinite(found)]
    rng = np.random.default_rng(seed)
    low, high = np.quantile(found[rng.integers(len(found), size=(DRAWS, len(found)))].mean(axis=1), [0.025, 0.975])
    p = wilcoxon(found - against).pvalue if np.any(found != against) else 1.0
    ends = {"mean": found.mean(), "low": low, "high": high, "p": p, "lowest": found.min(), "highest": found.max()}
    return {k: float(v) for k, v in ends.items()} | {"n": len(found), "below": int((found < against).sum())}


def markdown(content: Mapping[str, Any]) -> str:
    """``folds.md``."""

    def cell(found: Mapping[str, float], sign: str = "") -> str:
        return f"{found['mean']:{sign}.3f} ({found['low']:{sign}.3f} … {found['high']:{sign}.3f})"

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    def p_of(found: Mapping[str, float]) -> str:
        return f"{found['p']:.2g}"

    rows = [
        (
            name,
            cell(found),
            " ".join(f"{value:.3f}" for value in found["folds"]),
            f"{found['lowest']:.3f} … {found['highest']:.3f}",
            f"{found['below']} of {found['n']}",
            p_of(found),
        )
        for name, found in content["figures"].items()
    ]
    heads = ("error over that of no edit", "all brains", "by fold", "brains", "better than no edit", "p")
    beside = [
        (
            name,
            *(cell(found[side]) for side in (OWN, SHIPPED)),
            cell(found["difference"], "+"),
            p_of(found["difference"]),
        )
        for name, found in content["beside"].items()
    ]
    many = len(content["shipped"])
    brains = [
        (
            table_cell(brain),
            str(content["fold_of"][brain]),
            *(number(own[name]) for name in RATIOS),
            *(number(content["shipped"].get(brain, {}).get(name)) for name in RATIOS),
        )
        for brain, own in sorted(content["brains"].items())
    ]
    count = len(content["brains"])
    return "\n".join(
        [
            f"# Every brain held out once: {content['disease']}, slices",
            "",
            f"{content['note']} {content['folds']} folds, {content['cases']} cases on {count} brains; each network saw "
            f"{content['samples']} samples. In brackets 95 % intervals over brains; brains of a fold share their "
            f"networks. p: signed-rank test of the brains against no edit; {count} brains give none below "
            f"{2 / 2**count:.2g}.",
            "",
            *markdown_table(heads, rows),
            "",
            f"The shipped networks, trained for longer, on the same cases of {many} brains that they have not seen, "
            "though perhaps some of the lesions:",
            "",
            *markdown_table(("error over that of no edit", "folds", SHIPPED, "difference", "p"), beside),
            "",
            *markdown_table(("brain", "fold", *RATIOS, *(f"{SHIPPED}: {name}" for name in RATIOS)), brains),
            "",
        ]
    )


def picture(content: Mapping[str, Any]) -> bytes:
    """PNG: a panel a figure; a point a brain, by fold; rings: the shipped networks; dashed: no edit."""
    figure = Figure(figsize=(3.6 * len(RATIOS), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, len(RATIOS)), RATIOS):
        fold_of = content["fold_of"]
        own = axes.plot(
            [fold_of[b] for b in content["brains"]],
            [r[name] for r in content["brains"].values()],
            "o",
            color=COLOURS[0],
            alpha=0.7,
        )
        long = axes.plot(
            [fold_of[b] for b in content["shipped"]],
            [r[name] for r in content["shipped"].values()],
            "o",
            mfc="none",
            ms=9,
            color=COLOURS[1],
        )
        idle = axes.axhline(1, ls="--", color=GREY)
        axes.set_xlabel("fold")
        axes.set_xticks(range(1, content["folds"] + 1))
        axes.set_ylabel(f"{name}, over no edit's")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    plain_legend(axes, [*own, *long, idle], ["held-out brain", "the same, shipped networks", "no edit"], fontsize=8)
    figure.suptitle(f"{content['disease']}, {content['cases']} slices. {DISCLAIMER}", size=9, **PLAIN)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110, metadata={"Software": None})
    return stream.getvalue()

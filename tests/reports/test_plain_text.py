# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Names in pictures, tables and pages are shown as they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from reports.drawn_texts import NAMES, PLANE, caught_texts

from mededit_monai.io.nifti import save_synthetic
from mededit_monai.judges.judge_files import judge_images
from mededit_monai.reports.bench_plots import save_plot
from mededit_monai.reports.curves import draw_curves
from mededit_monai.reports.evaluation_figures import _ablation, _distance, _scatter
from mededit_monai.reports.evaluation_folder import Case
from mededit_monai.reports.plain_text import plain_legend, table_cell
from mededit_monai.reports.preview import Plane, save_preview
from mededit_monai.reports.sheet import save_sheet


@pytest.fixture()
def texts(monkeypatch) -> list[str]:
    return caught_texts(monkeypatch)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", NAMES)
def test_pictures(texts, tmp_path, name):
    mask = PLANE > 0.9
    save_preview([Plane(PLANE, PLANE, mask, mask)], tmp_path / "preview.png", name)
    save_sheet({name: PLANE[None]}, tmp_path / "sheet.png", name)
    assert sum(name in text for text in texts) >= 3
    assert all(p.stat().st_size > 1000 for p in tmp_path.glob("*.png")) and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", NAMES)
def test_judged_images(texts, tmp_path, name):
    (tmp_path / "images").mkdir()
    plane = np.pad(PLANE, 32).astype(np.float32)
    save_synthetic(plane[..., None], np.eye(4), tmp_path / "images" / f"{name.replace('/', '')}.nii.gz")
    judge_images(tmp_path / "images", tmp_path / "out", lambda i: {"pathology": i > 0.5}, {}, progress=False)
    assert name in texts


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", NAMES)
def test_plots_of_an_evaluation(texts, name):
    column = {"key": "dice", "label": name, "better": "higher"}
    known = [(1.0, {"value": 0.5, "low": 0.4, "high": 0.6}), (2.0, {"value": 0.6, "low": 0.5, "high": 0.7})]
    _ablation(column, known, [], "k", [1.0, 2.0])
    figures = {"ventricle_change_predicted": 1.0, "ventricle_change_true": 2.0}
    cases = [Case("row", "paired", str(k), {}, {n: v + k for n, v in figures.items()}) for k in range(4)]
    _scatter(name, cases, (0, 8), (0, 8), {name: "#0072b2"})
    source = type("Source", (), {"disease": lambda self, table: None})()
    curve = [(1.0, 0.1, 0.0, 0.2), (2.0, 0.2, 0.1, 0.3)]
    _distance(source, {}, {name: curve, f"{name} too": curve}, [(1.0, 0.1), (2.0, 0.1)], {name: "#0072b2"})
    assert texts.count(name) >= 2 and any(text.startswith(name) for text in texts if text != name)


def test_plot_of_a_bench(texts, tmp_path):
    figures = dict.fromkeys(("zone_error", "dice"), {"value": 0.5, "low": 0.4, "high": 0.6})
    line = {"group": "_$a$", "label": "a", "figures": figures}
    rows = [{**line, "row": "no_edit", "label": "$x$y", "value": None, "nfe": 0}]
    rows += [{**line, "row": f"s{k}", "value": k, "nfe": k} for k in (1, 2)]
    save_plot({"bundle": "$b_c$d", "rows": rows, "reference": "r"}, tmp_path / "plot.png")
    assert {"$x$y", "_$a$"} <= set(texts) and any(text.startswith("$b_c$d: ") for text in texts)


def test_curves(texts):
    rows = [{"epoch": str(k), "train_loss": "0.5", "edit_$x$y": "1"} for k in (1, 2)]
    assert draw_curves(rows).startswith(b"\x89PNG") and "edit $x$y" in texts


def test_legend_shows_every_name():
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    lines = [axes.plot([0, 1], [0, k])[0] for k in range(len(NAMES))]
    legend = plain_legend(axes, lines, NAMES, fontsize=7)
    figure.savefig(io.BytesIO())
    assert [text.get_text() for text in legend.get_texts()] == NAMES and len(legend.legend_handles) == len(NAMES)


@pytest.mark.parametrize(
    ("text", "cell"), [("a|b", "a\\|b"), ("a\nb", "a b"), (3, "3"), ("$x$ <b> & _c_", "$x$ <b> & _c_")]
)
def test_table_cells(text, cell):
    assert table_cell(text) == cell

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reports.small_evaluation import CASES, METHODS, figure, row, table, write_evaluation

from mededit_monai.core.errors import InputError
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports import evaluation_figures
from mededit_monai.reports.evaluation_figures import _true_change, ablation_panels, agreement_of, reach_mm
from mededit_monai.reports.evaluation_folder import Case, EvaluationFolder, distance_columns, in_order
from mededit_monai.reports.evaluation_report import MARK, write_report
from mededit_monai.reports.evaluation_sheets import Shown, best_median_worst, resampling_strips
from mededit_monai.reports.evaluation_tables import best_rows, number, p_value, table_view


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """Intervals that nobody looks at need few draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_figures, "DRAWS", 40)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    write_evaluation(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder) -> str:
    written = write_report(folder)
    assert written == folder / "report.html" and not (folder / ".report.html").exists()
    return written.read_text(encoding="utf-8")


def cells(page: str, key: str) -> list[tuple[bool, str]]:
    """Whether marked, and text, of a row's cells in the first table that has it."""
    line = re.search(rf'<tr data-row="{key}".*?</tr>', page, re.S).group(0)
    return [
        ('class="best"' in head, re.sub(r"<[^>]*>", " ", body).strip())
        for head, body in re.findall(r"<td([^>]*)>(.*?)</td>", line, re.S)
    ]


def strips(text: str) -> list[tuple[str, str]]:
    """Rank and case of the strips in a piece of the page."""
    return re.findall(r'data-rank="(\w+)" data-case="(\w+)"', text)


def jpegs(text: str) -> list[Image.Image]:
    return [
        Image.open(io.BytesIO(base64.b64decode(code))) for code in re.findall(r'"data:image/jpeg;base64,([^"]+)"', text)
    ]


@pytest.mark.parametrize(
    ("values", "better", "wanted"),
    [
        ([(3, 2.9, 3.1), (1, 0.9, 1.1), (2, 1.9, 2.1)], "lower", {1}),
        ([(3, 2.9, 3.1), (1, 0.9, 1.1), (2, 1.9, 2.1)], "higher", {0}),
        ([(3, 2.9, 3.1), (1, 0.9, 1.1), (2, 1.9, 2.1)], "none", set()),
        ([(0.4, 0.3, 0.5), (1.7, 1.6, 1.8), (0.9, 0.8, 0.95)], "one", {2}),
        ([(1, 0.5, 1.5), (1.4, 1.2, 1.6), (2, 1.9, 2.1)], "lower", {0, 1}),  # the second overlaps
        ([(1, 0.5, 1.5), (1.6, 1.55, 1.65), (1.9, 1.4, 2.4)], "lower", {0, 2}),  # whoever overlaps, not whoever is near
        ([(1, None, None), (1.2, 1.1, 1.3)], "lower", {0}),  # without an interval the value is one
        ([(1, None, None), (1, None, None)], "lower", {0, 1}),
        ([(1, 0, 2), None], "lower", set()),  # nobody to be better than
        ([None, (float("nan"), None, None), (2, 1, 3), (1, 0.5, 0.9)], "lower", {3}),
    ],
)
def test_which_rows_are_marked(values, better, wanted):
    figures = [v if v is None else {"value": v[0], "low": v[1], "high": v[2]} for v in values]
    assert best_rows(figures, better) == wanted


def test_numbers_as_text():
    assert [number(v, 2) for v in (-0.5, -0.001, float("inf"), float("nan"), None)] == ["−0.50", "0.00", "∞", "–", "–"]
    assert [p_value(p) for p in (0.0, 0.0123, 0.5, None)] == ["< 0.001", "0.012", "0.50", "–"]


def test_table_shows_the_best_and_the_published(page):
    sdedit, palette, mededit, truth = (cells(page, f"stroke_mask_{m}") for m in (*METHODS, "truth"))
    assert mededit[0] == (False, "12 / 4") and mededit[1][0] and mededit[1][1].split() == ["8.3", "8.0", "…", "8.5"]
    assert not sdedit[1][0] and not palette[1][0] and not truth[1][0]  # the truth takes no part
    assert sdedit[3][0] and mededit[3][0] and not palette[3][0]  # 0.60 (0.55 … 0.66) overlaps 0.63 (0.58 … 0.70)
    assert [line[2][1] for line in (sdedit, palette, mededit)] == ["24.1", "", "8.3"]
    assert palette[3][1].endswith("n = 11 / 4")  # only where it differs from the row's
    assert [cell[1] for cell in mededit[-2:]] == ["197", "4.50"]
    assert "realism 3.2" in page and "they come from other data" in page
    assert "One &lt;b&gt;sentence&lt;/b&gt;." in page  # what files say is text, not markup


def test_rows_stand_where_they_have_figures():
    """A block leaves rows without figures out; those without any at all stand in the first."""
    rows = [
        row("a", {}, {"fid": figure(1), "zone_error": figure(2)}),
        row("b", {}, {"zone_error": figure(3)}),
        row("c", {}, {}),
    ]
    rows += [row("d", {}, {}, {"dice": 0.5})]
    blocks = table_view(table("5.1", "methods", rows))["blocks"]
    assert [[line["row"] for line in block["rows"]] for block in blocks] == [["a", "c", "d"], ["a", "b"]]


def test_notes_to_all_tables_are_said_once(page):
    assert page.count("Said of all.") == 1 and page.index("Said of all.") < page.index("Methods compared")
    kernel = re.search(r'<figure id="table-5_2".*?</figure>', page, re.S).group(0)
    assert "Only of k." in kernel and page.count("Only of k.") == 1


def test_paired_comparisons_are_folded(page):
    inside = re.search(r"<details><summary>Paired comparisons.*?</details>", page, re.S).group(0)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", inside))
    assert "MedEdit minus …" in text and "−0.700 −0.900 … −0.500 p &lt; 0.001" in text
    marked = re.findall(r'<td class="best"><span class="v">([^<]*)', inside)
    assert marked == ["−0.700"] and "0.0300 −0.0200 … 0.0800 p = 0.31" in text  # 0 lies in the second's interval


def test_comparisons_with_nothing_known():
    content = table("5.1", "methods", [row("a", {}, {}), row("b", {}, {})])
    content["comparisons"] = [
        {"row": "a", "against": "b", "column": "dice", "difference": 0.1, "low": None, "high": None}
    ]
    cell = table_view(content)["comparisons"][0]["lines"][0]["cells"][0]
    assert cell == {"difference": "0.100", "interval": "", "apart": False, "p": "", "p_holm": "", "n": None}


def test_header_says_what_was_asked(page):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page[: page.index("Methods compared")]))
    for words in (
        "twelve heads",
        "12 triplets (12 medium)",
        "lesion 0.81",
        "judge's encoder",
        "ab" * 32,
        "monai 1.6.1",
    ):
        assert words in text.replace("&#39;", "'"), words
    assert "lesion 0.81 Feature extractors" in text  # the ventricles' ceiling is not known


def test_best_median_worst_of_a_ranking():
    order = list("abcdefg")
    assert best_median_worst(order, 2) == {"best": ["a", "b"], "median": ["c", "d"], "worst": ["g", "f"]}
    assert best_median_worst(order, 1) == {"best": ["a"], "median": ["d"], "worst": ["g"]}
    assert best_median_worst(order[:2], 2) == {"best": ["a"], "worst": ["b"]}
    assert best_median_worst(order[:1]) == {"best": ["a"]} and best_median_worst([]) == {}


def test_contact_sheets_show_best_median_and_worst(page):
    """Dice falls with the case's number, case 3 has none; the zone's error is smallest at cases 0 and 5 (5k mod 12)."""
    sheets = dict(re.findall(r'<figure id="cases-5_1-(\w+)"(.*?)</figure>', page, re.S))
    mededit = strips(sheets["thesis"].split('data-method="MedEdit"')[1])
    wanted = [("best", 0), ("best", 1), ("median", 5), ("median", 6), ("worst", 11), ("worst", 10)]
    assert mededit == [(rank, CASES[k]) for rank, k in wanted]
    paired = strips(sheets["paired"].split('data-method="MedEdit"')[1])
    assert [case for rank, case in paired if rank == "best"] == [CASES[0], CASES[5]]  # 0.05, 0.06
    assert [case for rank, case in paired if rank == "worst"] == [CASES[7], CASES[2]]  # 0.16, 0.15
    assert 'data-method="Truth"' not in page
    thesis, with_truth = (jpegs(sheets[name])[0].width for name in ("thesis", "paired"))
    assert with_truth / thesis == pytest.approx(4 / 3, rel=0.02)  # the truth beside it, where it is known


def test_missing_edit_keeps_its_rank(page):
    """Palette's best case has no edit in the folder: its tiles say so, no other case takes its place."""
    sheet = re.search(r'<figure id="cases-5_1-thesis"(.*?)</figure>', page, re.S).group(1)
    palette = sheet.split('data-method="Palette"')[1].split("<h3>")[0]
    assert strips(palette)[0] == ("best", CASES[0])
    with_edit, without = (np.asarray(jpegs(palette)[k].convert("L"), dtype=float) for k in (1, 0))
    thirds = [
        picture[40:200, picture.shape[1] // 3 + 20 : 2 * picture.shape[1] // 3 - 20] for picture in (with_edit, without)
    ]
    assert thirds[0].mean() > 150 and thirds[1].mean() < 40


def test_strip_over_u_has_its_edits_in_order(folder):
    """The edit of U is 0.2 U everywhere; rows are in disorder in the table; case 6 was not edited at U = 2."""
    source = EvaluationFolder(folder)
    resampling = next(t for t in source.tables if t["kind"] == "resampling")
    assert [(u, r["row"][-2:]) for u, r in in_order(resampling)] == [(1, "u1"), (2, "u2"), (3, "u3"), (4, "it")]
    found = resampling_strips(source, resampling, count=9)
    names = [strip.case_id for strip in found]
    assert names == sorted(names) and len(names) == 9 and CASES[6] not in names
    picture = np.asarray(jpegs(f'"{found[0].source}"')[0].convert("L"), dtype=float)
    width = picture.shape[1] / 6
    middles = [picture[110:120, int((k + 0.4) * width) : int((k + 0.6) * width)].mean() for k in range(2, 6)]
    assert middles == pytest.approx([51, 102, 153, 204], abs=4)


def test_signed_difference(folder):
    """White in the brain and black outside where nothing changed; red is brighter, blue darker, outside too."""
    source = EvaluationFolder(folder)
    shown = Shown(source, source.of("stroke_mask_mededit", "thesis")[0], (32, 32))
    edit = shown.prior + 0.01  # a network's background is seldom 0
    edit[15:19, 12:16] += 0.5
    edit[12:16, 20:24] -= 0.5
    edit[28:31, 0:4] += 0.5  # the lower left of the picture: x runs to the left, y upwards
    picture = shown.difference(edit)
    scale = picture.shape[0] / 32
    red, green, blue = (picture[..., k] for k in range(3))

    def at(x, y):
        return int((31.5 - y) * scale), int((31.5 - x) * scale)

    assert picture[at(1, 30)].max() == 0 and picture[at(8, 8)].min() > 0.9
    assert red[at(16, 13)] > 2 * blue[at(16, 13)] and blue[at(13, 21)] > 2 * red[at(13, 21)]
    assert red[at(29, 1)] > 2 * green[at(29, 1)]


def test_ablation_is_drawn_from_small_to_large(folder):
    kernel = next(t for t in EvaluationFolder(folder).tables if t["kind"] == "kernel")
    panels = ablation_panels(kernel)
    assert [p.alt for p in panels] == [
        "FID ↓ against kernel size k, pixels: 10: 2.000, 15: 3.000, 20: 4.000, 25: 5.000"
    ]
    drawn = base64.b64decode(panels[0].source.split(",")[1]).decode()
    bare = [{**r, "published": {}} for r in kernel["rows"]]
    alone = base64.b64decode(ablation_panels({**kernel, "rows": bare})[0].source.split(",")[1]).decode()
    axes = [len(re.findall(r'<g id="axes_\d+">', svg)) for svg in (drawn, alone)]
    assert axes == [2, 1]  # published figures have an axis of their own


def test_reach_of_the_edit_region():
    rows = [row("a", {"dilation": k}, {}) for k in (1, 25, 25, 10)]
    kernel, side, diagonal = reach_mm({"rows": rows}, 233 / 128)
    assert (kernel, side) == (25, pytest.approx(21.84375)) and diagonal == pytest.approx(21.84375 * 2**0.5)
    assert reach_mm({"rows": [row("a", {"dilation": None}, {})]}, 1.0) is None


def test_rings_of_distance():
    names = ["distance_change_60_on", "distance_change_3_6mm", "adherence_dice", "distance_change_0_3mm"]
    assert distance_columns(names) == [(names[3], 0, 3), (names[1], 3, 6), (names[0], 60, None)]


def test_true_change_by_distance(folder):
    """The truth is the prior plus 0.1 in the brain: 0.1 in every ring that there is."""
    source = EvaluationFolder(folder)
    points = _true_change(source, source.tables[0], CASES)
    assert [x for x, _ in points][:3] == [1.5, 4.5, 8.0] and [y for _, y in points] == pytest.approx(
        [0.1] * len(points)
    )


def test_agreement_of_predicted_and_true_change(folder, page):
    source = EvaluationFolder(folder)
    found = agreement_of(source.of("stroke_mask_mededit", "paired"))
    assert (found.slope.value, found.r.value, found.n_cases) == (pytest.approx(0.5), pytest.approx(1), 12)
    assert "MedEdit, ventricle change predicted against true: slope 0.50 (0.50 … 0.50), r 1.00" in page
    assert "SDEdit, ventricle change predicted against true: slope 0.00 (0.00 … 0.00), r not defined" in page
    assert agreement_of([Case("a", "paired", "b", {}, {})]) is None


def test_page_needs_no_other_file_and_says_synthetic(page):
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(s.startswith(("data:image/", "#")) for s in sources)
    assert "http" not in page and "url(" not in page and "<script" not in page and "@import" not in page
    assert all(f'id="{s[1:]}"' in page for s in sources if s.startswith("#"))
    for sheet in re.findall(r'<figure id="(?:cases|strip)-.*?</figure>', page, re.S):
        assert MARK in sheet
    assert page.index(MARK) < page.index("Setting")
    pictures = jpegs(page)
    assert len(pictures) > 30 and all(p.info["comment"] == DISCLAIMER.encode() for p in pictures)
    assert not re.search(r"\bnan\b|\bNone\b|undefined", re.sub(r'"data:[^"]*"', "", page))


def test_tables_alone_make_a_page(folder, tmp_path):
    """No cases, triplets or edits: tables and curves only."""
    for name in ("evaluation.json", "table_5_1.json", "table_5_2.json", "table_5_3.json"):
        shutil.copy(folder / name, tmp_path)
    (tmp_path / "evaluation.json").write_text("{}")
    page = write_report(tmp_path).read_text()
    assert "Table S3" in page and "Figure S2" in page and "Figure S3" not in page and not jpegs(page)


def test_scans_out_of_reach(folder, tmp_path):
    """The cohort has moved: the figures of the cases are still drawn, the sheets are left out."""
    shutil.copytree(folder, tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved" / "slices")
    page = write_report(tmp_path / "moved").read_text()
    assert "ventricle change predicted against true" in page and not jpegs(page)


def test_refuses_what_is_no_evaluation(tmp_path):
    with pytest.raises(InputError, match="evaluation.json: not found"):
        write_report(tmp_path)
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(InputError, match="holds no table"):
        write_report(tmp_path)
    (tmp_path / "table_5_1.json").write_text("{")
    with pytest.raises(InputError, match="is not valid JSON"):
        write_report(tmp_path)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped tables: the thesis's settings and figures, rows shared between tables, and what cannot be measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from evaluation.toy import TABLE

from mededit_monai.core.errors import InputError
from mededit_monai.evaluation.columns import COLUMNS, table_columns
from mededit_monai.evaluation.rows import planned_rows
from mededit_monai.evaluation.tables import chosen_tables, known_tables, read_table, tables_folder

#: Row → (combined, FID, Dice or box Dice, box IoU) as published.
METHODS = {
    "5.1": {
        "sdedit": (7.95, 24.1, 0.67),
        "palette": (5.63, 9.08, 0.38),
        "naive_repaint": (4.24, 8.31, 0.50),
        "mededit": (3.07, 8.30, 0.63),
    },
    "5.4": {
        "sdedit": (9.49, 22.09, 0.57, 0.48),
        "palette": (4.08, 8.50, 0.52, 0.41),
        "naive_repaint": (3.73, 8.48, 0.56, 0.48),
        "mededit": (3.46, 8.45, 0.59, 0.49),
    },
    "5.5": {
        "sdedit": (2.06, 8.24, 0.75),
        "palette": (2.26, 6.29, 0.64),
        "naive_repaint": (2.08, 6.33, 0.67),
        "mededit": (1.65, 6.63, 0.75),
    },
    "5.8": {
        "sdedit": (2.99, 9.35, 0.68, 0.58),
        "palette": (2.90, 6.45, 0.55, 0.44),
        "naive_repaint": (2.05, 6.62, 0.69, 0.60),
        "mededit": (2.09, 6.97, 0.70, 0.60),
    },
}

#: (k, U) → (FID, Dice) as published.
ABLATIONS = {
    "5.2": {(10, 4): (8.16, 0.59), (15, 4): (8.20, 0.60), (20, 4): (8.23, 0.61), (25, 4): (8.17, 0.63)},
    "5.3": {(25, 1): (8.17, 0.62), (25, 2): (8.31, 0.64), (25, 3): (8.61, 0.65), (25, 4): (8.17, 0.63)},
    "5.6": {(10, 4): (6.81, 0.70), (15, 4): (6.83, 0.72), (20, 4): (6.85, 0.73), (25, 4): (6.80, 0.74)},
    "5.7": {(25, 1): (6.88, 0.73), (25, 2): (6.65, 0.74), (25, 3): (6.70, 0.73), (25, 4): (6.80, 0.74)},
}


def _tables():
    return {number: read_table(path) for number, path in known_tables().items()}


def test_published_figures_of_the_methods():
    tables = _tables()
    for number, wanted in METHODS.items():
        rows, keys = {row.name: row for row in tables[number].rows}, ("combined", "fid", "dice")
        if tables[number].condition == "box":
            keys = ("combined", "fid", "box_dice", "box_iou")
        for name, figures in wanted.items():
            assert tuple(rows[name].published[key] for key in keys) == figures
        assert {name for name, row in rows.items() if row.published} == set(wanted)


def test_published_figures_and_settings_of_the_ablations():
    for number, wanted in ABLATIONS.items():
        table = _tables()[number]
        found = {}
        for row in table.rows:
            settings = table.settings(row, "full")
            assert (settings["steps"], settings["spacing"], settings["method"]) == (1000, "t", "mededit")
            place = settings["dilation"], settings["resample"]
            found[place] = (row.published["fid"], row.published["dice"])
        assert found == wanted


def test_settings_of_the_thesis():
    tables = _tables()
    for number, kernel, cases in (("5.1", 25, 54), ("5.4", 20, 54), ("5.5", 25, 126), ("5.8", 20, 126)):
        table = tables[number]
        rows = {row.name: table.settings(row, "full") for row in table.rows}
        assert table.presets["full"]["cases"] == cases and rows["mededit"]["dilation"] == kernel
        assert (rows["mededit"]["resample"], rows["naive_repaint"]["resample"]) == (4, 3)
        assert rows["mededit_p0"] == rows["mededit"] | {"control": "without_lesion"}
        assert (
            rows["morph"]["steps"] is None and rows["palette"]["steps"] == 1000
        )  # a row's own levels win over the preset's
        assert table.settings(table.rows[0], "quick", steps=7)["steps"] == 7


def test_rows_of_the_same_settings_are_one():
    for disease in ("stroke", "tumor"):
        tables = chosen_tables(["all"], disease)
        assert len(tables) == 4
        rows = planned_rows(tables, "quick", Path("nowhere"))
        settings = [(row.condition, sorted(row.settings.items())) for row in rows.values()]
        assert len(settings) == len({str(s) for s in settings})  # no row is edited twice under two names
        keys = {t.table: {t.row_key(row) for row in t.rows} for t in tables}
        kernel, resampling, methods = (sorted(keys)[k] for k in ((1, 2, 0) if disease == "stroke" else (1, 2, 0)))
        shared = f"{disease}_mask_mededit"
        assert shared in keys[kernel] & keys[resampling] & keys[methods]


def test_what_cannot_be_measured_says_why(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes(b"weights")
    rows = planned_rows(chosen_tables(["5.1", "5.4"], "stroke"), "quick", tmp_path)
    assert rows["stroke_mask_mededit"].reason is None and rows["stroke_mask_no_edit"].weights is None
    assert rows["stroke_mask_palette"].reason == "not measured (weights palette.pt missing)"
    assert rows["stroke_mask_morph"].reason == "not measured (weights paint.pt and effects.pt missing)"
    assert rows["stroke_box_mededit"].reason == "not measured (weights model_box.pt missing)"
    assert rows["stroke_box_no_edit"].reason is None and rows["stroke_box_area_regression"].reason is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "other"}, "its kind names 'other'; wanted one of methods"),
        ({"columns": ["dicee"]}, "its columns names 'dicee'"),
        ({"presets": {"quick": {}}}, "its preset 'quick' does not say how many 'cases'"),
        ({"extra": 1}, "has the entries"),
        ({"rows": {"a": {"label": "a", "setting": {}}}}, "row 'a' has the entry 'setting'"),
    ],
)
def test_what_a_table_must_be(tmp_path, changes, message):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(TABLE | changes))
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_a_name_with_two_settings_is_refused(tmp_path):
    rows = {"mededit": {"label": "other", "settings": {"method": "mededit", "dilation": 3}}}
    for name, content in (("a", TABLE), ("b", TABLE | {"table": "x", "rows": rows})):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    tables = chosen_tables([str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")], "stroke")
    with pytest.raises(InputError, match="row 'mededit' has other settings than in a table before it"):
        planned_rows(tables, "quick", tmp_path)


def test_two_tables_of_one_name_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(TABLE | {"table": "mine"}))
    words = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    with pytest.raises(InputError, match=r"--table: a\.yaml and b\.yaml are both named 'mine'"):
        chosen_tables(words, "stroke")
    assert len(chosen_tables([words[0], words[0]], "stroke")) == 1
    names = [read_table(path).table for path in tables_folder().glob("release_tumor*.yaml")]
    assert len(names) == len(set(names))


def test_what_the_command_calls_a_table(tmp_path):
    shipped = tables_folder() / "release_stroke_2d.yaml"
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(TABLE))  # says that it is 5.1, and is not the thesis's
    other = tmp_path / shipped.name  # another clone's than the one that is installed
    other.write_bytes(shipped.read_bytes())
    tables = {word: chosen_tables([word], "stroke")[0] for word in ("5.1", str(shipped), str(other), str(own))}
    assert [t.option for t in tables.values()] == ["5.1", *["configs/tables/release_stroke_2d.yaml"] * 2, "own.yaml"]
    other.write_text(shipped.read_text() + "# mine\n")
    assert read_table(other).option == shipped.name


def test_columns_by_extractor_and_pairing():
    names = {"": "judge/bottleneck", "_radimagenet": "radimagenet_resnet50/1234"}
    columns = {c.key: c for c in table_columns(["fid", "dice", "contrast"], names, ("thesis", "paired"))}
    assert list(columns) == ["fid", "fid_radimagenet", "dice", "contrast"]
    assert "RadImageNet" in columns["fid_radimagenet"].label and names[""] in columns["fid"].note
    assert (columns["dice"].pairing, columns["contrast"].pairing) == ("thesis", "paired")
    alone = {c.key: c.pairing for c in table_columns(["dice", "contrast"], names, ("paired",))}
    assert alone == {"dice": "paired", "contrast": "paired"}  # adherence needs no truth
    assert [c.pairing for c in table_columns(["contrast"], names, ("thesis",))] == ["paired"]  # stays unmeasured
    assert all(column.note == "" or column.note.endswith(".") for column in COLUMNS.values())

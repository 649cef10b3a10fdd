# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import yaml
from conftest import REPOSITORY

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root
from mededit_monai.evaluation.bench_plan import bench_file, planned_evaluations, read_plan
from mededit_monai.methods.record import METHODS


def names(**options) -> list[str]:
    return [row.key for row in read_plan(bundle_root("stroke"), **options).rows]


def test_shipped_rows_are_those_asked_for():
    plan = read_plan(bundle_root("stroke"))
    by_name = {row.key: row for row in plan.rows}
    assert planned_evaluations(by_name["algorithm_1"].settings) == 3997 and by_name["algorithm_1"].cases == 8
    assert planned_evaluations(by_name["mededit_1000x1"].settings) == 1000
    assert planned_evaluations(by_name["mededit_250x4"].settings) == 997
    steps = [planned_evaluations(by_name[f"composed_{n}"].settings) for n in (250, 100, 50, 25, 10, 8, 5, 2, 1)]
    assert steps == [250, 100, 50, 25, 10, 8, 5, 2, 1]
    assert plan.default == "morph_10" and by_name["morph_10"].settings["steps"] == 10
    assert plan.reference == "algorithm_1" and plan.margins == {"dice": 0.01, "kid": 0.1, "ventricle_error": 0.05}
    assert all(row.cases is None for row in read_plan(bundle_root("stroke"), all_cases=True).rows)


def test_a_part_of_them():
    assert names(wanted=("start", "no_edit")) == ["no_edit"] + [f"start_{s}" for s in (0.8, 0.6, 0.5, 0.4, 0.3, 0.2)]
    quick = names(preset="quick")
    assert "algorithm_1" not in quick and "composed_100" in quick and "composed_250" not in quick
    assert read_plan(bundle_root("stroke"), cases=3).rows[2].cases == 3


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"wanted": ("algoritm_1",)}, "^--row: got .algoritm_1"),
        ({}, {"preset": "fast"}, "--preset"),
        ({"reference": "nothing"}, {}, "its reference is 'nothing', which is none of its rows"),
        ({"more": 1}, {}, "has the entries .*more.*; wanted reference"),
    ],
)
def test_what_it_refuses(tmp_path, change, options, message):
    place = tmp_path / "bench.yaml"
    place.write_text(yaml.safe_dump(yaml.safe_load(bench_file().read_text()) | change))
    with pytest.raises(InputError, match=message):
        read_plan(REPOSITORY / "bundles" / "stroke", path=place, **options)


def test_rows_of_two_widths_differ_in_the_network_alone():
    plan = read_plan(bundle_root("stroke"), path=REPOSITORY / "configs" / "bench_sizes.yaml")
    found = {row.key: row.settings for row in plan.rows}
    assert set(found) == {"no_edit", "shipped", "half"} and plan.reference == "shipped"
    own = {"weights", "network_def#channels", "network_def#norm_num_groups"}
    assert {key: value for key, value in found["half"].items() if key not in own} == found["shipped"]
    assert 2 * found["half"]["network_def#channels"][-1] == 128  # the shipped one's last


def test_the_short_bench_keeps_the_settings_of_the_shipped_rows():
    root = bundle_root("tumor")
    short = read_plan(root, path=REPOSITORY / "configs" / "bench_short.yaml")
    shipped = {row.key: row.settings for row in read_plan(root).rows}
    assert {row.key: row.settings for row in short.rows} == {row.key: shipped[row.key] for row in short.rows}
    assert (short.reference, short.default, short.cases) == ("mededit_250x4", "morph_10", 72)
    assert all(row.cases is None for row in short.rows)  # the bounds want all cases of the reference


def test_volumes_have_rows_of_their_own():
    """Held against the same editor slice by slice, with no margin that wants a judge or features of images."""
    plan = read_plan(bundle_root("stroke"), spatial_dims=3)
    rows = {row.key: row for row in plan.rows}
    assert (plan.reference, plan.default) == ("by_slice", "morph_10") and not set(plan.margins) & {"dice", "kid"}
    painter = METHODS["morph"].weights_file("mask", 3)
    assert rows["morph_10"].weights.name == painter and rows["morph_10"].effects_weights.name == "effects_3d.pt"
    assert rows["by_slice"].weights.name == "paint.pt" and rows["by_slice"].effects_weights.name == "effects.pt"
    own = {name: value for name, value in rows["by_slice"].settings.items() if name != "control"}
    assert own == rows["morph_10"].settings

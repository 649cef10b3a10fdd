# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The MONAI metrics give what the functions give, case by case, whatever the batch looks like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.handlers import IgniteMetricHandler, from_engine

from mededit_monai import metrics as m
from mededit_monai.core.errors import InputError
from mededit_monai.metrics.contrast import contrast_to_noise
from mededit_monai.metrics.indirect import lesion_side
from mededit_monai.metrics.realism import frechet_distance

STEP = 2.0


def case_of(number: int, dims: int = 2) -> dict[str, np.ndarray]:
    """A small head whose right ventricle grows by `number` columns; HxW[xD] arrays, `edit` among them."""
    rng = np.random.default_rng(number)
    plane = np.zeros((28, 28), bool)
    plane[2:26, 2:26] = True
    lesion, region = np.zeros_like(plane), np.zeros_like(plane)
    lesion[20:22, 8:11], region[17:25, 5:15] = True, True
    labels = np.zeros(plane.shape, np.uint8)
    labels[9:12, 8:18], labels[16:18, 8:18] = 1, 2
    after = labels.copy()
    after[18 : 18 + number, 8:18] = 2
    prior = np.where(plane, 0.7 + 0.05 * rng.standard_normal(plane.shape), 0)
    prior[3:5, 3:25], prior[labels > 0] = 0.45, 0.1
    truth = np.where((after > 0) | lesion, 0.1, prior)
    edit = np.where(region, truth + 0.02, prior)
    regions = np.where(lesion, 2, 0)
    regions[20, 9] = 1
    tissue = np.where(plane & (labels == 0), 3, 0)
    arrays = {
        "edit": edit,
        "prior": prior,
        "image": truth,
        "brain": plane,
        "pathology": lesion,
        "region": region,
        "regions": regions,
        "ventricles": after,
        "prior_ventricles": labels,
        "prior_tissue": tissue,
        "pred_tissue": np.where(after > 0, 0, tissue),
        "judged_prior_ventricles": labels,
        "pred_ventricles": np.where(after == 2, 2, labels),
        "pred_pathology": np.roll(lesion, 1, axis=1),
        "pred_regions": np.where(regions == 2, 2, 0),
    }
    return arrays if dims == 2 else {k: np.repeat(a[..., None], 18, axis=-1) for k, a in arrays.items()}


def batch_of(cases: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    return {k: torch.stack([torch.from_numpy(np.asarray(c[k], np.float32))[None] for c in cases]) for k in cases[0]}


def _expected(case: dict[str, np.ndarray]) -> dict[type, list[float]]:
    """Straight from the functions, or by hand where the number is plain."""
    c = case
    outside = {k: np.where(c["pathology"], 0, c[k]) for k in ("prior_ventricles", "pred_ventricles", "ventricles")}
    pair = outside["prior_ventricles"], outside["pred_ventricles"]
    change = m.ventricle_change(*pair, c["pathology"], c["brain"], STEP)
    zones = m.zone_errors(c["edit"], c["image"], c["prior"], c["pathology"], c["region"], c["brain"]).values()
    ring = m.surrounding_ring(c["region"], c["brain"], STEP)
    sulcal = m.sulcal_fluid_change(c["prior"], c["edit"], c["pathology"], c["brain"], STEP)
    tissue = m.tissue_change(c["prior_tissue"], c["pred_tissue"], c["pathology"], c["brain"], STEP)
    inner = c["region"] & c["brain"] & ~c["pathology"]
    voxel, count = STEP ** c["brain"].ndim, (1 if c["brain"].ndim == 2 else 18)
    grown = float(outside["ventricles"].astype(int).sum() - outside["prior_ventricles"].astype(int).sum()) / 2 * voxel
    nan = float("nan")
    return {
        m.AdherenceMetric: [2 / 3, 0.5, 1, 1, 1, 6 * count, 6 * count, 0],  # 4 of 6 pixels overlap
        m.BoxAdherenceMetric: [2 / 3, 0.5],
        m.RegionPresenceMetric: [0, 1, nan, 0, 1, nan, nan],
        m.LesionContrastMetric: [float((c["prior"] - c["edit"])[c["pathology"]].mean())],
        m.VisibilityMetric: [contrast_to_noise(c["prior"], c["edit"], c["pathology"], c["brain"]), nan],
        m.PreservationMetric: [
            0,
            0,
            m.psnr_outside(c["edit"], c["prior"], c["pathology"], c["brain"]),
            m.ssim_outside(c["edit"], c["prior"], c["pathology"], c["brain"]),
        ],
        m.DistanceMetric: m.change_by_distance(c["edit"], c["prior"], c["pathology"], c["brain"], STEP)[0].tolist(),
        m.SeamMetric: [
            *(m.edge_gradient(c[k], c["region"], c["brain"]) for k in ("edit", "prior")),
            *(m.ring_mismatch(c[k], c["region"], c["pathology"], c["brain"], STEP) for k in ("edit", "prior")),
        ],
        m.TextureMetric: [m.texture_ratio(c[k], inner, ring, c["brain"], STEP) for k in ("edit", "prior")],
        m.VentricleMetric: [grown, grown, 0, change.asymmetry_after, change.asymmetry],
        m.MidlineMetric: [0, 0],
        m.SulcalFluidMetric: [sulcal.ipsilateral, sulcal.contralateral],
        m.TissueMetric: [tissue.fluid_ipsilateral, tissue.fluid_contralateral, tissue.gray, tissue.white],
        m.TruthErrorMetric: [*(z.error for z in zones), *(z.idle for z in zones)],
        m.VentricleTruthMetric: [grown, grown, 0, grown, 6 * count * voxel],
    }


SPACED = (
    m.DistanceMetric,
    m.SeamMetric,
    m.TextureMetric,
    m.VentricleMetric,
    m.MidlineMetric,
    m.SulcalFluidMetric,
    m.TissueMetric,
    m.LogJacobianMetric,
    m.VentricleTruthMetric,
)


def make(kind: type[m.CaseMetric]) -> m.CaseMetric:
    return kind(STEP) if kind in SPACED else kind()


@pytest.mark.parametrize("dims", [2, 3])
def test_metrics_are_their_functions(dims):
    cases = [case_of(k, dims) for k in (1, 3)]
    batch = batch_of(cases)
    single = [{k: np.asarray(v, np.float32).astype(np.float64) for k, v in c.items()} for c in cases]
    for one, original in zip(single, cases):  # masks stay masks, intensities are those that the batch holds
        one |= {k: v for k, v in original.items() if k not in ("edit", "prior", "image")}
    for kind in _expected(single[0]):
        metric = make(kind)
        found = metric(batch["edit"], batch)
        assert len(set(metric.columns)) == len(metric.columns)
        for row, case in zip(found, single):
            assert row.tolist() == pytest.approx(_expected(case)[kind], nan_ok=True, abs=1e-6), kind
        means = np.nanmean(found[:, ~found.isnan().all(dim=0)].numpy(), axis=0)
        total = metric.aggregate()[~found.isnan().all(dim=0)]
        assert total.numpy() == pytest.approx(means)


def test_batches_lists_and_single_cases_are_the_same():
    cases = [case_of(k) for k in (1, 2, 3)]
    batch, whole = batch_of(cases), m.VentricleMetric(STEP)
    expected = whole(batch["edit"], batch)
    lists = m.VentricleMetric(STEP)
    decollated = [{k: v[n] for k, v in batch.items()} for n in range(3)]
    assert torch.equal(lists([c["edit"] for c in decollated], decollated), expected)
    steps = m.VentricleMetric(STEP)
    for n in range(3):
        steps(batch["edit"][n : n + 1], {k: v[n : n + 1] for k, v in batch.items()})
    assert torch.equal(steps.get_buffer(), expected)
    steps.reset()
    with pytest.raises(ValueError, match="has not measured any case"):
        steps.aggregate()


def test_log_jacobian_of_a_growing_ventricle():
    case = case_of(3)
    assert lesion_side(case["pathology"], case["brain"])[0] == 2
    truth, batch = batch_of([case])["image"], batch_of([case])
    ipsi, contra = m.LogJacobianMetric(STEP)(truth, batch)[0].tolist()
    assert ipsi > 0.1 > abs(contra)


@pytest.mark.parametrize(
    "kind", [m.VentricleMetric, m.MidlineMetric, m.TissueMetric, m.DistanceMetric, m.LesionContrastMetric]
)
def test_a_case_without_lesion_has_no_side_and_no_number(kind):
    case = case_of(1)
    case["pathology"] = np.zeros_like(case["pathology"])
    batch, metric = batch_of([case]), make(kind)
    assert metric(batch["edit"], batch).isnan().all()


class _Darkest(m.CaseMetric):
    columns, needs = ("darkest",), ("prior",)

    def measure(self, edit, case):
        return [float((case["prior"] - edit).max())]


def test_one_need_goes_through_monais_handler():
    """IgniteMetricHandler with from_engine, no handler of this project."""
    batch = batch_of([case_of(1), case_of(2)])
    engine = Engine(lambda _, data: {"pred": data["edit"], "label": data["prior"]})
    IgniteMetricHandler(_Darkest(), output_transform=from_engine(["pred", "label"])).attach(engine, "darkest")
    state = engine.run([batch])
    expected = (batch["prior"] - batch["edit"]).flatten(1).amax(dim=1)
    assert state.metrics["darkest"] == pytest.approx(float(expected.mean()))
    assert state.metric_details["darkest"][:, 0].tolist() == pytest.approx(expected.tolist())


def test_what_is_missing_is_named():
    batch = batch_of([case_of(1)])
    del batch["pred_ventricles"]
    with pytest.raises(InputError, match="needs pred_ventricles, which the case does not hold"):
        m.VentricleMetric(STEP)(batch["edit"], batch)
    with pytest.raises(InputError, match="give them by name"):
        m.VentricleMetric(STEP)(batch["edit"], batch["prior"])
    with pytest.raises(ValueError, match="channel first"):
        _Darkest()(batch["edit"], {"prior": batch["prior"][:, 0]})


def _statistics(images: torch.Tensor) -> torch.Tensor:
    """A toy extractor: mean and s.d. of a picture."""
    return torch.stack([images.flatten(1).mean(dim=1), images.flatten(1).std(dim=1)], dim=1)


@pytest.mark.parametrize("kind", [m.VentricleMetric, m.MidlineMetric, m.VentricleTruthMetric])
def test_a_lesion_that_a_judge_takes_for_ventricle_does_not_count(kind):
    case = case_of(2)
    mistaken = case | {"pred_ventricles": np.where(case["pathology"], 1, case["pred_ventricles"])}
    values = []
    for one in (case, mistaken):
        metric, batch = kind(STEP), batch_of([one])
        metric(batch["edit"], batch)
        values.append(metric.aggregate().tolist())
    assert values[0] == pytest.approx(values[1], nan_ok=True)


@pytest.mark.parametrize("kind, function", [(m.BootstrappedFIDMetric, m.fid), (m.KIDMetric, m.kid)])
def test_set_metrics(kind, function):
    rng = torch.Generator().manual_seed(0)
    edits, real = (torch.rand(n, 1, 8, 8, generator=rng) for n in (12, 20))
    features = [m.Features(_statistics(x), "toy") for x in (edits, real)]
    metric = kind(_statistics, "toy", reference=features[1], seed=3)
    metric(edits[:5])
    metric(list(edits[5:]))
    assert metric.aggregate() == pytest.approx(function(*features, seed=3).value)
    assert (metric.result.n_edits, metric.result.n_real, metric.result.extractor) == (12, 20, "toy")
    both = kind(_statistics, "toy", seed=3)
    both(edits[:6], real[:10])
    both(edits[6:], real[10:])
    assert both.aggregate() == pytest.approx(metric.result.value)


def test_set_metrics_keep_patients_apart():
    rng = torch.Generator().manual_seed(0)
    edits, real = (torch.rand(n, 1, 8, 8, generator=rng) for n in (12, 16))
    names = [f"p{k % 6}" for k in range(16)]
    reference = m.Features(_statistics(real), "toy", names)
    for kind, function in ((m.KIDMetric, m.kid), (m.TwoSampleMetric, m.two_sample_auc)):
        metric = kind(_statistics, "toy", reference=reference)
        metric(edits[:5], groups=names[:5])
        metric(edits[5:], groups=names[5:12])
        wanted = function(m.Features(_statistics(edits), "toy", names[:12]), reference)
        assert metric.aggregate() == pytest.approx(wanted.value)
        alone = kind(_statistics, "toy", reference=reference)
        alone(edits)
        assert alone.aggregate() != metric.result.value
    with pytest.raises(ValueError, match="got 12 edits and 11 groups"):
        metric(edits, groups=names[:11])


def test_what_no_case_has_is_no_perfect_figure():
    case = case_of(2)
    metric, batch = m.LesionContrastMetric(), batch_of([case | {"pathology": np.zeros_like(case["pathology"])}] * 2)
    assert metric(batch["edit"], batch)[:, 0].isnan().all() and metric.aggregate()[0].isnan()


def test_two_sample_metric_separates():
    metric = m.TwoSampleMetric(_statistics, "toy")
    metric(torch.rand(20, 1, 8, 8), 3 + torch.rand(20, 1, 8, 8))
    assert metric.aggregate() == 1 and metric.result.metric == "two_sample_auc"
    assert frechet_distance(_statistics(torch.rand(4, 1, 8, 8)).double().numpy(), 3 + np.zeros((4, 2))) > 1


def test_set_metrics_say_what_is_wrong():
    reference = m.Features(np.random.default_rng(0).random((8, 2)), "other")
    metric = m.KIDMetric(_statistics, "toy", reference=reference)
    with pytest.raises(ValueError, match="has not seen any image"):
        metric.aggregate()
    metric(torch.rand(8, 1, 4, 4))
    with pytest.raises(InputError, match="'toy' and the real ones from 'other'"):
        metric.aggregate()
    with pytest.raises(InputError, match="got no real images"):
        m.KIDMetric(_statistics, "toy")(torch.rand(8, 1, 4, 4))
    with pytest.raises(ValueError, match="one row an image"):
        m.KIDMetric(lambda x: x, "toy", reference=reference)(torch.rand(8, 1, 4, 4))


@pytest.mark.parametrize(
    ("found", "large", "wanted"),
    [((1, 2, 3), 5, 1), ((1, 2, 3), 9, float("nan")), ((1, 2), 5, 0), ((2, 3), 5, 0), ((1, 3), 5, 1)],
)
def test_core_and_rim_of_a_large_tumour(found, large, wanted):
    """Of one with both and more voxels than that; edema does not matter."""
    regions = np.array([[1, 1, 2], [2, 3, 3], [0, 2, 2]])
    case = {"regions": regions, "pred_regions": np.where(np.isin(regions, found), regions, 0)}
    assert m.RegionPresenceMetric(large=large).measure(regions, case)[-1] == pytest.approx(wanted, nan_ok=True)
    without = {"regions": np.where(regions == 3, 2, regions), "pred_regions": regions}
    assert np.isnan(m.RegionPresenceMetric().measure(regions, without)[-1])  # there is no rim to be drawn

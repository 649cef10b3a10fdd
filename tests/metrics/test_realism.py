# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.metrics import FIDMetric
from scipy import stats
from sklearn.metrics import roc_auc_score

from mededit_monai.core.errors import InputError
from mededit_monai.metrics import Features, fid, kid, load_features, realism_table, save_features, two_sample_auc
from mededit_monai.metrics.realism import _fold_auc, frechet_distance, squared_mmd


def _normal(n: int, mean=(0.0,), sd=1.0, seed: int = 0) -> np.ndarray:
    return np.asarray(mean) + sd * np.random.default_rng(seed).standard_normal((n, len(mean)))


def _whitened(n: int, d: int, seed: int = 0) -> np.ndarray:
    """A sample with mean exactly 0 and covariance exactly I."""
    sample = _normal(n, (0.0,) * d, seed=seed)
    sample -= sample.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(sample.T))
    return sample @ (vectors / np.sqrt(values)) @ vectors.T


def test_frechet_distance_of_a_shift():
    sample = _whitened(50, 3)
    assert frechet_distance(sample, sample) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(sample + [1, 2, 2], sample) == pytest.approx(9)  # ‖μ1 - μ2‖²


def test_frechet_distance_of_two_widths():
    """tr (Σ1 + Σ2 - 2 (Σ1Σ2)^½) = Σ (s1 - s2)² for diagonal covariances."""
    one = _whitened(60, 3, seed=1) * [1, 2, 3]
    two = _whitened(80, 3, seed=2) * [2, 2, 0.5] + [0.5, 0, 0]
    assert frechet_distance(one, two) == pytest.approx(0.25 + 1 + 0 + 6.25)


def test_frechet_distance_of_covariances_that_do_not_commute():
    """Against the matrix root of the definition."""
    mix = np.array([[2.0, 0.3], [0.1, 0.5]])
    one, two = _whitened(40, 2, seed=3) @ mix, _whitened(40, 2, seed=4) @ mix.T
    sigma = [np.cov(s.T) for s in (one, two)]
    roots = np.sqrt(np.linalg.eigvals(sigma[0] @ sigma[1]))
    assert frechet_distance(one, two) == pytest.approx(np.trace(sum(sigma)) - 2 * roots.sum())


@pytest.mark.parametrize("n1, n2, d", [(200, 150, 16), (40, 30, 8), (54, 60, 200)])
def test_frechet_distance_is_monais(n1, n2, d):
    one, two = np.maximum(_normal(n1, (0.2,) * d), 0), np.maximum(_normal(n2, (0.0,) * d, 1.3, seed=1), 0)
    expected = float(FIDMetric()(torch.from_numpy(one), torch.from_numpy(two)))
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-4)


def test_fid_of_the_thesis():
    edits, real = Features(_normal(60, (0.3,) * 4), "toy"), Features(_normal(70, (0.0,) * 4, seed=1), "toy")
    score = fid(edits, real, seed=5)
    assert (score.metric, score.extractor, score.n_edits, score.n_real) == ("fid", "toy", 60, 70)
    assert score.whole == pytest.approx(frechet_distance(edits.values, real.values))
    assert score.low < score.value < score.high and score.high - score.value == pytest.approx(1.96 * score.sd)
    assert score == fid(edits, real, seed=5) != fid(edits, real, seed=6)
    assert fid(edits, real, resamples=30).sd == pytest.approx(score.sd, rel=0.8)


def test_fid_resamples_patients():
    """Copies of a patient add no certainty: the s.d. stays that of ten patients."""
    patients, edits = _normal(10, (0.0, 0.0)), Features(_normal(50, (0.0, 0.0), seed=1), "toy")
    names = np.repeat(np.arange(10), 30).tolist()
    clones = Features(np.repeat(patients, 30, axis=0), "toy", names)
    assert fid(edits, clones, 100).sd > 3 * fid(edits, Features(clones.values, "toy"), 100).sd


def test_fid_is_biased_in_small_sets_and_kid_is_not():
    fids, kids = [], []
    for k in range(20):
        one = Features(_normal(20, (0.0,) * 10, seed=2 * k), "toy")
        two = Features(_normal(20, (0.0,) * 10, seed=2 * k + 1), "toy")
        fids.append(frechet_distance(one.values, two.values))
        kids.append(squared_mmd(one.values, two.values))
    assert np.mean(fids) > 2
    assert abs(np.mean(kids)) < 2.5 * np.std(kids) / np.sqrt(20)
    assert min(kids) < 0


def test_squared_mmd_by_hand():
    """One feature, kernel (xy + 1)³; x = 0, 1 and y = 1, 2: 1 + 27 - 2 (1 + 1 + 8 + 27) / 4."""
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert squared_mmd(x, y) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_squared_mmd_leaves_out_pairs_of_one_patient():
    """As above, with a third x of the first one's patient and a third y of the second x's."""
    x, y = np.array([[0.0], [1.0], [0.0]]), np.array([[1.0], [2.0], [5.0]])
    found = squared_mmd(x, y, (["a", "b", "a"], ["c", "d", "b"]))
    crossed = [(1 + x_ * y_) ** 3 for x_, y_ in ((0, 1), (0, 2), (0, 5), (1, 1), (1, 2), (0, 1), (0, 2), (0, 5))]
    assert found == pytest.approx(1 + (27 + 216 + 1331) / 3 - 2 * np.mean(crossed))
    with pytest.raises(ValueError, match="all images are of one patient"):
        squared_mmd(x, y, (["a"] * 3, ["a"] * 3))


def _brains(seed: int) -> tuple[Features, Features]:
    """36 and 36 images of the same six brains, which differ as much as a brain's images do."""
    rng = np.random.default_rng(seed)
    brains, names = rng.standard_normal((6, 16)), [f"brain {k % 6}" for k in range(36)]
    rows = brains[np.arange(36) % 6]
    first, second = (Features(rows + rng.standard_normal(rows.shape), "toy", names) for _ in range(2))
    return first, second


def test_kid_of_images_of_the_same_brains_is_unbiased_and_knows_its_spread():
    scores = [kid(*_brains(k), subsets=30, seed=k) for k in range(60)]
    values, claimed = np.array([s.value for s in scores]), np.mean([s.sd for s in scores])
    assert abs(values.mean()) < 2.5 * values.std() / np.sqrt(60)
    assert 0.8 * values.std() < claimed < 2.5 * values.std()


def test_auc_interval_draws_the_two_lesions_of_a_case_together():
    edits, truths = _brains(0)
    assert two_sample_auc(truths, truths, pairs=True).low == two_sample_auc(truths, truths, pairs=True).high == 0.5
    shifted = Features(truths.values + 0.05, "toy", truths.groups)
    together, apart = (two_sample_auc(shifted, truths, pairs=pairs) for pairs in (True, False))
    assert together.value == apart.value and together.high - together.low < 0.5 * (apart.high - apart.low)
    with pytest.raises(ValueError, match="the patients of the two sets differ"):
        two_sample_auc(edits, Features(truths.values, "toy", truths.groups[::-1]), pairs=True)


def test_kid_finds_a_difference_and_its_interval():
    same = kid(Features(_normal(80, (0.0,) * 5), "toy"), Features(_normal(90, (0.0,) * 5, seed=1), "toy"))
    assert same.low < 0 < same.high
    other = kid(Features(_normal(80, (0.8,) * 5), "toy"), Features(_normal(90, (0.0,) * 5, seed=1), "toy"))
    assert other.low > 0 and other.value > 10 * abs(same.value)
    assert (other.metric, other.n_edits, other.n_real) == ("kid", 80, 90)


def test_kid_interval_covers_zero():
    """About 57 in 60 times for two samples of one distribution."""
    covered = 0
    for k in range(60):
        one, two = (Features(_normal(40, (0.0,) * 4, seed=2 * k + j), "toy") for j in (0, 1))
        score = kid(one, two, subsets=30, seed=k)
        covered += score.low <= 0 <= score.high
    assert covered >= 52


def test_two_sample_auc_of_gaussians():
    """Two normal distributions whose means lie δ apart: the best AUC is Φ(δ / √2)."""
    edits, real = Features(_normal(400, (1.0, 0.0)), "toy"), Features(_normal(400, (0.0, 0.0), seed=1), "toy")
    score = two_sample_auc(edits, real)
    assert score.value == pytest.approx(stats.norm.cdf(1 / np.sqrt(2)), abs=0.03)
    assert score.low < score.value < score.high and score.high - score.low == pytest.approx(0.066, abs=0.02)


def test_two_sample_auc_of_one_distribution_and_of_two_worlds():
    one, two = Features(_normal(150, (0.0,) * 3), "toy"), Features(_normal(150, (0.0,) * 3, seed=1), "toy")
    assert two_sample_auc(one, two).low < 0.5 < two_sample_auc(one, two).high
    assert two_sample_auc(Features(_normal(60, (9.0,)), "toy"), Features(_normal(60, (0.0,), seed=1), "toy")).value == 1


def test_area_under_the_curve_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(2, size=60), np.round(rng.standard_normal(60), 1)  # with ties
    assert _fold_auc(truth, scores, np.zeros(60)) == pytest.approx(roc_auc_score(truth, scores))
    two = np.arange(60) % 2
    parts = [roc_auc_score(truth[two == k], scores[two == k]) for k in (0, 1)]
    assert _fold_auc(truth, scores + 100 * two, two) == pytest.approx(np.mean(parts))


def test_two_sample_auc_keeps_patients_together():
    """Features that only say which patient it is separate nothing: a row's patient is not in its training folds."""
    rng = np.random.default_rng(0)
    patients = rng.standard_normal((20, 30))
    rows, names = np.repeat(patients, 15, axis=0), [f"p{k}" for k in np.repeat(np.arange(20), 15)]
    values = rows + 0.01 * rng.standard_normal(rows.shape)
    together = two_sample_auc(Features(values[:150], "toy", names[:150]), Features(values[150:], "toy", names[150:]))
    apart = two_sample_auc(Features(values[:150], "toy"), Features(values[150:], "toy"))
    assert apart.value > 0.98 and together.value < 0.85


def test_two_extractors_do_not_mix():
    one, two = Features(_normal(10, (0.0,)), "radimagenet"), Features(_normal(10, (0.0,)), "imagenet")
    for metric in (fid, kid, two_sample_auc):
        with pytest.raises(InputError, match="'radimagenet' and the real ones from 'imagenet'"):
            metric(one, two)
    scores = {"mededit": kid(one, one), "palette": [kid(two, two)]}
    with pytest.raises(InputError, match="mixes the extractors imagenet, radimagenet"):
        realism_table(scores)
    rows = realism_table({"mededit": [fid(one, one), kid(one, one)], "palette": kid(one, one)})
    assert [(r["method"], r["metric"], r["extractor"]) for r in rows] == [
        ("mededit", "fid", "radimagenet"),
        ("mededit", "kid", "radimagenet"),
        ("palette", "kid", "radimagenet"),
    ]
    assert {"n_edits", "n_real", "low", "high"} <= set(rows[0])


def test_features_on_disk(tmp_path):
    features = Features(_normal(5, (0.0, 1.0)).astype(np.float32), "toy", ["a", "a", "b", "c", "c"])
    save_features(features, tmp_path / "real.npz")
    found = load_features(tmp_path / "real.npz")
    assert np.array_equal(found.values, features.values) and found.extractor == "toy"
    assert list(found.groups) == ["a", "a", "b", "c", "c"]
    alone = Features(features.values, "toy")
    save_features(alone, tmp_path / "alone.npz")
    np.savez(tmp_path / "old.npz", values=features.values, extractor="toy", groups=np.array(list("01234")))
    for name in ("alone", "old"):  # the k-th images of two sets are no patient
        assert list(load_features(tmp_path / f"{name}.npz").groups) == list(alone.groups) == [0, 1, 2, 3, 4]
    (tmp_path / "other.npz").write_bytes(b"no")
    with pytest.raises(InputError, match="other.npz: holds no features"):
        load_features(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Features(np.zeros((1, 3)), "toy"), r"shape \(1, 3\)"),
        (lambda: Features(np.full((3, 3), np.nan), "toy"), "finite numbers"),
        (lambda: Features(np.zeros((3, 3)), ""), "no extractor's name"),
        (lambda: Features(np.zeros((3, 3)), "toy", ["a"]), "3 feature rows and 1 groups"),
        (lambda: fid(*[Features(np.zeros((3, 3)), "toy")] * 2, resamples=1), "1 resamples"),
        (lambda: kid(*[Features(np.zeros((3, 3)), "toy")] * 2), "3 patients"),
        (lambda: two_sample_auc(*[Features(np.zeros((3, 3)), "toy")] * 2), "got 5 folds; wanted 2 … 3"),
        (lambda: fid(Features(np.zeros((3, 3)), "toy"), Features(np.zeros((3, 4)), "toy")), "3 and 4 features"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()

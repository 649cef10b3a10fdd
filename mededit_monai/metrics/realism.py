# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Do the edits look like real pathological scans, as a set? On features of a named network.

No value stands alone: every score carries the extractor's name, the numbers of images of both sets and an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.metrics.statistics import bootstrap_draws, joint_draws

#: The kernel of KID: (x·y / D + 1)³.
CUBIC = partial(polynomial_kernel, degree=3, coef0=1)


@dataclass(frozen=True)
class Features:
    """
    Features of a set of images.

    Args:
        values: NxD, at least two images.
        extractor: name of the network and layer they come from, for example ``radimagenet_resnet50``.
        groups: patient of each image; None: each its own. Resampling and cross-validation keep patients together.

    Raises:
        ValueError: another shape, values that are not finite, no name, or another number of groups.
    """

    values: np.ndarray
    extractor: str
    groups: Sequence[Hashable] | None = None

    def __post_init__(self) -> None:
        given = self.values.detach().cpu().numpy() if isinstance(self.values, torch.Tensor) else self.values
        values = np.asarray(given, dtype=np.float64)  # single precision is too coarse for a covariance of 2048
        if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
            raise ValueError(f"features have shape {values.shape}; wanted NxD finite numbers of at least two images.")
        if not self.extractor:
            raise ValueError("the features have no extractor's name; name the network and layer they come from.")
        groups = list(range(len(values))) if self.groups is None else list(self.groups)
        if len(groups) != len(values):
            raise ValueError(
                f"got {len(values)} feature rows and {len(groups)} groups; wanted a patient for every row."
            )
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "groups", groups)


@dataclass(frozen=True)
class RealismScore:
    """
    metric: fid, kid or two_sample_auc. value with the interval low … high (95 %) and sd, which is the spread over
    resampling. whole: the metric on the sets as they are (for the FID, ``value`` is the mean over resampled real sets).
    """

    metric: str
    extractor: str
    value: float
    low: float
    high: float
    sd: float
    whole: float
    n_edits: int
    n_real: int


def frechet_distance(edits: np.ndarray, real: np.ndarray) -> float:
    """
    Fréchet distance of two normal distributions fitted to features (Heusel et al., NeurIPS 2017), float64:

        ‖μ1 - μ2‖² + tr Σ1 + tr Σ2 - 2 tr (Σ1 Σ2)^½

    With Σ = AᵀA, A the centred features over √(n-1), the last trace is the sum of the singular values of A1 A2ᵀ, an
    n1xn2 matrix. That equals ``monai.metrics.FIDMetric`` wherever its root of a DxD matrix is regular; for n < D that
    matrix is singular: the root takes 15 s at D = 2048, and MONAI may have to add 1e-6 to the diagonal.

    Args:
        edits, real: NxD, at least two rows each; N may differ.

    Returns:
        at least 0; 0 for the same mean and covariance.
    """
    means = edits.mean(axis=0), real.mean(axis=0)
    scaled = [(f - m) / np.sqrt(len(f) - 1) for f, m in zip((edits, real), means)]
    root = np.linalg.svd(scaled[0] @ scaled[1].T, compute_uv=False).sum()
    distance = ((means[0] - means[1]) ** 2).sum() + (scaled[0] ** 2).sum() + (scaled[1] ** 2).sum() - 2 * root
    return float(max(distance, 0.0))


def fid(edits: Features, real: Features, resamples: int = 10, seed: int = 0) -> RealismScore:
    """
    FID as in the thesis: the edits stay fixed, the real set is bootstrapped (patients, then images), mean ± s.d.

    Biased upward by about 1/n in small sets (Bińkowski et al., ICLR 2018), the more the more features: compare only at
    equal n, and read the KID beside it.

    Args:
        resamples: of the real set, at least 2; the thesis has 10.

    Returns:
        value: mean over the resamples, sd over them, interval value ± 1.96 sd.

    Raises:
        InputError: features of two extractors.
        ValueError: other numbers of features, or too few resamples.
    """
    _comparable(edits, real)
    if resamples < 2:
        raise ValueError(f"got {resamples} resamples; wanted at least 2 for a standard deviation.")
    draws = [frechet_distance(edits.values, real.values[d]) for d in bootstrap_draws(real.groups, resamples, seed)]
    value, sd = float(np.mean(draws)), float(np.std(draws, ddof=1))
    whole = frechet_distance(edits.values, real.values)
    return _score("fid", edits, real, (value, value - 1.96 * sd, value + 1.96 * sd, sd, whole))


def squared_mmd(
    edits: np.ndarray,
    real: np.ndarray,
    patients: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    kernel: Callable[[np.ndarray, np.ndarray], np.ndarray] = CUBIC,
) -> float:
    """
    Unbiased squared maximum mean discrepancy (Gretton et al., JMLR 2012, eq. 3), by default with (x·y / D + 1)³:

        Σ_{i≠j} k(xi, xj) / n(n-1) + Σ_{i≠j} k(yi, yj) / m(m-1) - 2 Σ_{ij} k(xi, yj) / nm

    Images of one patient are alike, and would not be independent pairs: each of the three means is over pairs of two
    patients alone.

    Args:
        edits, real: NxD and MxD, at least two rows each.
        patients: of the rows of both, one name for one patient; None: each row is of another.
        kernel: NxD and MxD → NxM.

    Returns:
        0 on average for one distribution, so it can be negative.

    Raises:
        ValueError: no pair of two patients.
    """
    names = patients or (range(len(edits)), range(len(edits), len(edits) + len(real)))
    codes = _codes(names)

    def mean(one: int, two: int) -> float:
        parts = (edits, real)
        found = kernel(parts[one], parts[two])  # the polynomial's gamma is 1 / D
        other = codes[one][:, None] != codes[two][None]
        if not other.any():
            raise ValueError("all images are of one patient; wanted pairs of two.")
        return found[other].mean()

    return float(mean(0, 0) + mean(1, 1) - 2 * mean(0, 1))


def _codes(names: Sequence[Sequence[Hashable]]) -> list[np.ndarray]:
    """Names of several sets as numbers, the same for the same name."""
    known = {name: k for k, name in enumerate(dict.fromkeys(name for part in names for name in part))}
    return [np.array([known[name] for name in part]) for part in names]


def kid(edits: Features, real: Features, subsets: int = 100, seed: int = 0) -> RealismScore:
    """
    Kernel inception distance (Bińkowski et al., ICLR 2018): :func:`squared_mmd` on the whole sets.

    The interval is value ± 1.96 s.d. over random halves of both sets. Halves without replacement, since a bootstrap's
    repeated images would count as equal pairs and bias it; over halves, the s.d. estimates that of the whole
    (delete-half jackknife, Shao & Wu, Ann Stat 1989). Patients stay together, those of both sets in both.

    Raises:
        InputError: features of two extractors.
        ValueError: other numbers of features, fewer than four patients in a set, or fewer than two subsets.
    """
    _comparable(edits, real)
    if subsets < 2:
        raise ValueError(f"got {subsets} subsets; wanted at least 2 for a standard deviation.")
    rng, names = np.random.default_rng(seed), _patients(edits, real)
    values, codes = (edits.values, real.values), _codes(names)
    whole = squared_mmd(*values, names)
    halves = []
    for _ in range(subsets):
        kept = [np.isin(part, chosen) for part, chosen in zip(codes, _halves(codes, rng))]
        halves.append(squared_mmd(*(v[k] for v, k in zip(values, kept)), tuple(c[k] for c, k in zip(codes, kept))))
    sd = float(np.std(halves, ddof=1))
    return _score("kid", edits, real, (whole, whole - 1.96 * sd, whole + 1.96 * sd, sd, whole))


def _halves(codes: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Half of the patients of each set; of those in both sets the same ones."""
    patients = [np.unique(part) for part in codes]
    if min(map(len, patients)) < 4:
        fewest = min(map(len, patients))
        raise ValueError(f"a set holds {fewest} patients; wanted at least 4 for an interval over halves.")
    order = rng.permutation(np.unique(np.concatenate(patients)))
    shared = order[np.isin(order, patients[0]) & np.isin(order, patients[1])]
    chosen = shared[: len(shared) // 2]
    halves = []
    for own in patients:
        alone = order[np.isin(order, own) & ~np.isin(order, shared)]
        halves.append(np.concatenate([chosen, alone[: len(own) // 2 - len(chosen)]]))
    return halves


def _with_squares(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, values**2], axis=1)


def _logistic() -> ClassifierMixin:
    return LogisticRegression(max_iter=1000)


#: Classifiers of :func:`two_sample_auc`: ``linear`` sees shifts of the means, ``quadratic`` (features and their
#: squares) also spreads that differ, ``trees`` (gradient boosting) in large sets also what features have in common.
CLASSIFIERS: dict[str, Callable[[], ClassifierMixin]] = {
    "linear": lambda: make_pipeline(StandardScaler(), _logistic()),
    "quadratic": lambda: make_pipeline(
        StandardScaler(), FunctionTransformer(_with_squares), StandardScaler(), _logistic()
    ),
    "trees": lambda: HistGradientBoostingClassifier(max_iter=60, max_depth=3, min_samples_leaf=10, random_state=0),
}


def two_sample_auc(
    edits: Features,
    real: Features,
    folds: int = 5,
    draws: int = 500,
    seed: int = 0,
    classifier: str = "linear",
    pairs: bool = False,
) -> RealismScore:
    """
    Classifier two-sample test (Lopez-Paz & Oquab, ICLR 2017): can a classifier, by default a logistic regression, tell
    the sets apart?

    Standardised features, cross-validated with patients kept together; the area under the ROC curve is taken in every
    held-out fold and averaged. The interval bootstraps the held-out scores (patients, those of both sets at once, then
    images), not the training.

    Args:
        folds: at least 2, and at most the number of patients of the smaller set.
        classifier: one of :data:`CLASSIFIERS`.
        pairs: row k of both sets is of one case; the interval draws the two together.

    Returns:
        0.5: not to be told apart, 1: always.

    Raises:
        InputError: features of two extractors, or another classifier.
        ValueError: other numbers of features, too many folds, or sets that are no pairs.
    """
    _comparable(edits, real)
    require_choice("classifier", classifier, tuple(CLASSIFIERS))
    if pairs and list(edits.groups) != list(real.groups):
        raise ValueError("the patients of the two sets differ; wanted those of pairs, in one order.")
    most = min(len(set(edits.groups)), len(set(real.groups)))
    if not 2 <= folds <= most:
        raise ValueError(f"got {folds} folds; wanted 2 … {most}, the patients of the smaller set.")
    values = np.concatenate([edits.values, real.values])
    truth = np.repeat([1, 0], [len(edits.values), len(real.values)])
    # A patient in both sets (prior and pathology of one person) must not sit on both sides of a fold.
    names = _patients(edits, real)
    groups = np.concatenate(_codes(names))
    scores, fold_of = np.zeros(len(values)), np.zeros(len(values), int)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for number, (train, test) in enumerate(splitter.split(values, truth, groups)):
        model = CLASSIFIERS[classifier]()
        scores[test] = model.fit(values[train], truth[train]).decision_function(values[test])
        fold_of[test] = number
    whole = _fold_auc(truth, scores, fold_of)
    both = [(d, d) for d in bootstrap_draws(edits.groups, draws, seed)] if pairs else joint_draws(*names, draws, seed)
    drawn = []
    for one, two in both:
        cases = np.concatenate([one, len(edits.values) + two])
        drawn.append(_fold_auc(truth[cases], scores[cases], fold_of[cases]))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return _score("two_sample_auc", edits, real, (whole, float(low), float(high), float(np.nanstd(drawn)), whole))


def _patients(edits: Features, real: Features) -> tuple[list[Hashable], list[Hashable]]:
    """Patients by name in both sets; rows without a patient (numbered 0 …) are nobody else's."""
    first, second = (
        [(key, g) for g in features.groups] if features.groups == list(range(len(features.groups))) else features.groups
        for key, features in (("edits", edits), ("real", real))
    )
    return first, second


def _fold_auc(truth: np.ndarray, scores: np.ndarray, fold_of: np.ndarray) -> float:
    """Scores of different folds come from different classifiers and cannot be ranked against each other."""
    areas = []
    for fold in np.unique(fold_of):
        here = fold_of == fold
        positive = int(truth[here].sum())
        negative = int(here.sum()) - positive
        if positive and negative:  # Mann & Whitney's U is the area, and twenty times faster than drawing the curve
            ranks = rankdata(scores[here])[truth[here] == 1].sum()
            areas.append((ranks - positive * (positive + 1) / 2) / (positive * negative))
    return float(np.mean(areas)) if areas else float("nan")


def _comparable(edits: Features, real: Features) -> None:
    if edits.extractor != real.extractor:
        raise InputError(
            f"the edits' features are from '{edits.extractor}' and the real ones from '{real.extractor}'; distances "
            f"between two networks' features mean nothing, extract both with one."
        )
    if edits.values.shape[1] != real.values.shape[1]:
        raise ValueError(f"got {edits.values.shape[1]} and {real.values.shape[1]} features; wanted the same number.")


def _score(metric: str, edits: Features, real: Features, numbers: tuple[float, ...]) -> RealismScore:
    return RealismScore(metric, edits.extractor, *numbers, n_edits=len(edits.values), n_real=len(real.values))


def realism_table(scores: dict[str, RealismScore | Sequence[RealismScore]]) -> list[dict]:
    """
    Rows of a table: one a method and metric, with extractor, numbers of images and interval in each.

    Args:
        scores: method → its score or scores.

    Raises:
        InputError: scores of two extractors, whose scales have nothing to do with each other.
    """
    rows = []
    for method, found in scores.items():
        for score in [found] if isinstance(found, RealismScore) else found:
            rows.append({"method": method, **asdict(score)})
    names = sorted({row["extractor"] for row in rows})
    if len(names) > 1:
        raise InputError(
            f"the table mixes the extractors {', '.join(names)}; their scales cannot be compared, make one table each."
        )
    return rows


def save_features(features: Features, path: str | Path) -> None:
    """Write features with their extractor's name and patients, as text where there are any, as a plain ``.npz``."""
    groups = list(features.groups or ())
    known = {} if groups == list(range(len(groups))) else {"groups": np.array([str(group) for group in groups])}
    np.savez_compressed(path, values=features.values.astype(np.float32), extractor=features.extractor, **known)


def load_features(path: str | Path) -> Features:
    """
    Read what :func:`save_features` wrote.

    Raises:
        InputError: a file that is missing or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            values, groups = stored["values"], stored["groups"].tolist() if "groups" in stored else None
            if groups == [str(k) for k in range(len(values))]:  # an older file of images that are each its own
                groups = None
            return Features(values, str(stored["extractor"]), groups)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: holds no features ({error}); wanted an .npz written by save_features.") from error

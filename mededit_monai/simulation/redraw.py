# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The same case with what is hidden in it drawn again and again: what no estimate of the mean can be better than."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mededit_monai.simulation.draw_case import LesionPool, drawn_choice
from mededit_monai.simulation.effects import draw_effects
from mededit_monai.simulation.frame import placed_pull
from mededit_monai.simulation.pair import draw_scene, jitter_of, simulate_pair
from mededit_monai.simulation.plan import Case, Recipe
from mededit_monai.simulation.prepared import PreparedAnatomy
from mededit_monai.space.flow import warp


@dataclass
class Redrawn:
    """
    One draw of a case's effects.

    Args:
        displacement: mm RAS on the model's grid, 3xS; S has two axes in a slice, where the third component is 0.
        ventricles: size of the left and right lateral ventricle after it, outside the lesion; ml of a volume, mm² of a
            slice: the prior's labels, carried linearly and added up.
        ventricles_before: the same of the prior, without the part that lies in the lesion's place.
        parameters: what was drawn.
    """

    displacement: np.ndarray
    ventricles: tuple[float, float]
    ventricles_before: tuple[float, float]
    parameters: dict


def redraw_effects(
    recipe: Recipe, case: Case, anatomy: PreparedAnatomy, pool: LesionPool, draws: int = 50
) -> Iterator[Redrawn]:
    """
    A planned case again, with the same person, lesion and looks, and other hidden draws of its effects.

    Args:
        draws: how many; draw 0 is the case's own.

    Raises:
        InputError: where :func:`draw_case` raises it.
    """
    chosen, pair = drawn_choice(recipe, case, anatomy, pool)
    height, make, streams, wide, atrophy = chosen.arguments(recipe, case)
    scene = draw_scene(recipe.record, anatomy, height, make, streams, wide)
    assert scene is not None  # the pair had one
    canvas, lesion, _ = scene
    labels = np.stack([pair["prior_ventricles"] == side for side in (1, 2)]).astype(np.float32)
    outside, pixel = ~pair["pathology"], recipe.record.pixel_mm
    size = pixel**2 if lesion.ndim == 2 else pixel**3 / 1000
    before = tuple(float(side[outside].sum()) * size for side in labels)
    for number in range(draws):
        effects = draw_effects(recipe.record, canvas, lesion, replace(streams, effects_draw=number), atrophy)
        field = placed_pull(recipe.record, effects.pull * np.float32(canvas.spacing), jitter_of(streams, lesion.ndim))
        carried = warp(labels, field[: lesion.ndim] / pixel)
        after = tuple(float(side[outside].sum()) * size for side in carried)
        yield Redrawn(field, after, before, effects.drawn)


def redraw_pairs(
    recipe: Recipe, case: Case, anatomy: PreparedAnatomy, pool: LesionPool, draws: int = 16
) -> Iterator[dict]:
    """
    A planned case again, with the same person, lesion and scanner, and other hidden draws of how far the lesion moves
    tissue and of how it looks: truths that one scan with one lesion may have.

    Args:
        draws: how many; draw 0 is the case's own. One whose ventricles swallow the lesion is left out.

    Yields:
        pairs of :func:`~mededit_monai.simulation.pair.simulate_pair`. Their lesions differ where the ventricles took
        another part of them.

    Raises:
        InputError: where :func:`draw_case` raises it.
    """
    chosen, own = drawn_choice(recipe, case, anatomy, pool)
    height, make, streams, wide, atrophy = chosen.arguments(recipe, case)
    yield own
    for number in range(1, draws):
        redrawn = replace(streams, effects_draw=number, paint_draw=number)
        pair = simulate_pair(recipe.record, anatomy, height, make, redrawn, wide, atrophy)
        if pair is not None:
            yield pair

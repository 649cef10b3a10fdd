# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Indirect effects in front of any method: the scan is displaced as the lesion does, then edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp, log
from typing import TYPE_CHECKING, Any

import torch
from monai.inferers import Inferer

from mededit_monai.methods.editor import Edit, Editor
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.conditions import condition_width, fused_channels
from mededit_monai.space.flow import pull

if TYPE_CHECKING:
    from mededit_monai.networks.effects_network import Effects, EffectsNetwork


def effects_channels(scan: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
    """
    What the effects network sees.

    Args:
        scan: in [-1, 1], Nx1xHxW[xD]; brain: b, same shape.
        pathology: of :func:`~mededit_monai.space.conditions.fused_channels`, Nx5xHxW[xD].

    Returns:
        [scan within the brain, -1 outside, b, mask, boxes, core, edema, rim], Nx7xHxW[xD].
    """
    return torch.cat([torch.where(brain > 0, scan, -1), brain, pathology], dim=1)


#: Largest draw of the strength's logarithm, in σ: 99 of 100 people lie within it.
FARTHEST = 2.5


def drawn_factor(seed: int, spread: float) -> float:
    """
    How much more or less than expected a lesion moves in one person: log s ~ N(-σ²/2, σ²), so that its mean is 1; draws
    beyond :data:`FARTHEST` σ are taken for that, as no person differs so much and tissue would fold.

    Args:
        seed: of the case's sample, see :func:`~mededit_monai.sampling.noise.case_seed`; the draw is its own, beside the
            sample's noise.
        spread: σ.
    """
    own = torch.Generator().manual_seed(case_seed(seed, "strength"))
    drawn = float(torch.randn((), generator=own, dtype=torch.float64))
    return exp(spread * min(max(drawn, -FARTHEST), FARTHEST) - spread**2 / 2)


class EffectsEditor(Inferer):
    """
    Displace the scan as the lesion does, then edit it by any method: counterfactual = editor(x0 ∘ φ, p).

    φ = exp(s v) with v from the effects network, asked once a case. The lesion p lies in the counterfactual's space and
    is not displaced; neither is the brain mask, since nothing moves at the brain's surface.

    Args:
        editor: of the method, which works on the displaced scan.
        network: the effects network, with its weights.
        strength: S. 0 moves nothing, -1 is the opposite effect.
        global_atrophy: G, atrophy far from the lesion.
        draws: whether every sample of a case draws a strength of its own, which multiplies S (:func:`drawn_factor`).
        condition: what the pathology channels hold.
        exact: ask the network for one case at a time, so that a case's bytes do not depend on its batch.

    Raises:
        InputError: unknown condition.
    """

    def __init__(
        self,
        editor: Editor,
        network: EffectsNetwork,
        strength: float = 1.0,
        global_atrophy: float = 0.0,
        draws: bool = False,
        condition: str = "mask",
        exact: bool = False,
    ) -> None:
        super().__init__()
        condition_width(condition)
        self.editor, self.network, self.condition = editor, network.eval(), condition
        self.strength, self.global_atrophy, self.draws, self.exact = strength, global_atrophy, draws, exact

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """What the method may change itself, bool, Nx1xHxW[xD]; where the scan was displaced is in the edit."""
        return self.editor.region(brain, pathology)

    def edge(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The area along whose edge a seam would run, bool, Nx1xHxW[xD]."""
        return self.editor.edge(brain, pathology)

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        brain: torch.Tensor,
        pathology: torch.Tensor,
        region: torch.Tensor | None = None,
        seeds: Sequence[int] | None = None,
        shares: Sequence[float] | None = None,
        **facts: Any,
    ) -> Edit:
        """
        Edit a batch.

        Args:
            inputs, network, brain, pathology, region, seeds, facts: as for the editor; ``region`` limits what the
                method changes, not what moves. Views of the scans among the facts (``fine``) are displaced too.
            shares: of S, a row, for the steps of a course; None: all of it.

        Returns:
            the edit; its region is where tissue moved and what the method changed. ``extras``: ``displacement``,
            ``inverse`` and ``velocity``, NxnxS in mm along the grid's axes, the velocity at strength 1; ``displaced``,
            the scan that the method was given, Nx1xS in [-1, 1]; ``painted``, where the edit may differ from it, bool
            Nx1xS; ``strength`` and ``spread``, a number a row. Evaluations count the effects network's one.
        """
        if seeds is None:
            seeds = torch.randint(2**62, (len(inputs),)).tolist()
        brain, pathology = brain.to(inputs), pathology.to(inputs)
        effects = self._effects(inputs, brain, pathology)
        spreads = _of_cases(seeds, effects.spread.tolist())
        strengths = [self.strength * share for share in shares or [1.0] * len(inputs)]
        if self.draws:
            strengths = [s * drawn_factor(seed, spread) for s, seed, spread in zip(strengths, seeds, spreads)]
        displacement = effects.displacement(strengths)
        displaced = pull(inputs, displacement / effects.pixel_mm)
        if "fine" in facts:
            moves = displacement.float().cpu().numpy()
            facts["fine"] = [view and view.displaced_by(move) for view, move in zip(facts["fine"], moves)]
        made = self.editor(displaced, network, brain=brain, pathology=pathology, region=region, seeds=seeds, **facts)
        moved = (displacement != 0).any(dim=1, keepdim=True)
        extras = {
            **made.extras,
            "displacement": displacement,
            "inverse": effects.displacement([-s for s in strengths]),
            "velocity": effects.velocity,
            "displaced": displaced,
            "painted": made.region,
            "strength": strengths,
            "spread": spreads,
        }
        return replace(made, region=made.region | moved, evaluations=made.evaluations + 1, extras=extras)

    def _effects(self, scan: torch.Tensor, brain: torch.Tensor, pathology: torch.Tensor) -> Effects:
        """The network's answer for every row; rows that are alike, as the samples of a case are, are asked once."""
        seen = effects_channels(scan, brain, fused_channels(pathology, self.condition))
        first: dict[bytes, int] = {}
        alike = [first.setdefault(one.cpu().numpy().tobytes(), len(first)) for one in seen]
        rows = [alike.index(k) for k in range(len(first))]
        parts = [
            self.network.velocity(seen[part], global_atrophy=self.global_atrophy)
            for part in ([[row] for row in rows] if self.exact else [rows])
        ]
        velocity = torch.cat([part.velocity for part in parts]).to(scan)
        spread = torch.cat([part.spread for part in parts])
        return replace(parts[0], velocity=velocity[alike], spread=spread[alike])


def _of_cases(seeds: Sequence[int], spreads: Sequence[float]) -> list[float]:
    """
    σ of each row's case: the geometric mean over its slices with lesion, which share a seed; 0 where none has one.

    One strength a case: neighbouring slices of a sample move alike.
    """
    found = {}
    for seed in dict.fromkeys(seeds):
        logs = [log(spread) for other, spread in zip(seeds, spreads) if other == seed and spread > 0]
        found[seed] = exp(sum(logs) / len(logs)) if logs else 0.0
    return [found[seed] for seed in seeds]

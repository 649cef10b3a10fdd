# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where a lesion makes a difference to the network: an edit region that the model computes itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.networks.schedulers import Scheduler
from monai.transforms import GaussianSmooth
from scipy import ndimage

from mededit_monai.sampling.formulas import clean_estimate, forward_noise
from mededit_monai.sampling.noise import CaseNoise
from mededit_monai.space.masks import dilate

#: Noise levels that are asked, as fractions of T: below, the lesion is read off x_t; above, nothing is placed yet.
LEVELS = (0.3, 0.45, 0.6, 0.75)

#: Share of the response inside the lesion that a pixel must show, width of the smoothing and widest reach in pixels.
SHARE, SMOOTHING, REACH = 0.1, 3.0, 51


@torch.no_grad()
def response_map(
    network: Callable[..., torch.Tensor],
    scheduler: Scheduler,
    prior: torch.Tensor,
    brain: torch.Tensor,
    pathology: torch.Tensor,
    seeds: Sequence[int],
    levels: Sequence[float] = LEVELS,
) -> tuple[torch.Tensor, int]:
    """
    Mean over noise levels of √((1-ᾱ)/ᾱ) |ε(x_t, b, p) - ε(x_t, b, 0)|, which is |x̂0(p) - x̂0(0)| (Ho et al. 2020,
    eq. 15).

    In terms of x̂0 every level counts by what it would change in the image, whatever the network predicts.

    Args:
        network: ``network(x, timesteps=t)`` on ``[x_t, b, p]``.
        prior: NxCxHxW[xD] in [-1, 1]; brain: b; pathology: p, NxKxHxW[xD].
        seeds: a seed a case; its noise is drawn for this alone.
        levels: fractions of T.

    Returns:
        the map, Nx1xHxW[xD], at least 0; the network evaluations a case.
    """
    noise, total = CaseNoise(seeds, prior), torch.zeros_like(prior)
    alpha_bars = scheduler.alphas_cumprod
    empty = torch.zeros_like(pathology)
    for level in levels:
        t = min(int(level * len(alpha_bars)), len(alpha_bars) - 1)
        alpha_bar = float(alpha_bars[t])
        x_t = forward_noise(prior, alpha_bar, noise())
        steps = torch.full((len(prior),), t, dtype=torch.long, device=prior.device)
        estimates = []
        for condition in (pathology, empty):
            output = network(torch.cat([x_t, brain, condition], dim=1), timesteps=steps)
            estimates.append(clean_estimate(output, x_t, alpha_bar, str(scheduler.prediction_type)).clamp(-1, 1))
        total += (estimates[0] - estimates[1]).abs()
    return total.mean(dim=1, keepdim=True) / len(levels), 2 * len(levels)


def response_region(
    response: torch.Tensor,
    brain: torch.Tensor,
    pathology: torch.Tensor,
    share: float = SHARE,
    smoothing: float = SMOOTHING,
    reach: int = REACH,
) -> torch.Tensor:
    """
    The edit region of a response map: united with p, smoothed, capped.

    Pixels whose smoothed response is at least ``share`` of its mean over p; of these, the pieces that touch p, holes
    filled; never beyond dilate(p, ``reach``) or the brain.

    Args:
        response: Nx1xHxW[xD] of :func:`response_map`.
        brain: b, Nx1xHxW[xD]; pathology: p, NxKxHxW[xD].
        smoothing: s.d. of the Gaussian in pixels.

    Returns:
        M, bool, Nx1xHxW[xD]; p itself where the network does not respond at all.
    """
    lesion, inside = pathology.amax(dim=1, keepdim=True) > 0, brain > 0
    allowed = (dilate(lesion, reach) & inside).cpu().numpy()
    smooth = GaussianSmooth(sigma=smoothing)
    regions = []
    for k in range(len(response)):
        seed = (lesion[k, 0] & inside[k, 0]).cpu().numpy()
        with torch.autocast("cpu", enabled=False):  # NumPy knows no bf16
            values = np.asarray(smooth(response[k].float().cpu()))[0]
        strong = (values >= share * values[seed].mean()) & (values > 0) if seed.any() else np.zeros_like(seed)
        pieces, _ = ndimage.label((strong | seed) & allowed[k, 0])
        touching = np.isin(pieces, np.unique(pieces[seed])) & (pieces > 0)
        regions.append(ndimage.binary_fill_holes(touching) & allowed[k, 0])
    return torch.from_numpy(np.stack(regions))[:, None].to(response.device)

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Convolutions of single volumes on a CPU, for which torch takes a slow path of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode

Forward = TypeVar("Forward", bound=Callable[..., torch.Tensor])


class OneDnnConvolutions(TorchFunctionMode):
    """
    Inside, convolutions of volumes are oneDNN's, and those of single voxels a product of matrices.

    torch gives oneDNN a float32 convolution only if the batch has two volumes or they are large, and computes others
    itself, three times as slowly; oneDNN takes seven times as long as a product of matrices where there are few
    channels and many voxels. The results agree to rounding.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.conv3d and not kwargs and len(args) == 7 and not isinstance(args[4], str):
            inputs, weight, bias, stride, padding, dilation, groups = args
            if bias is not None and len(inputs) == groups == 1 and _pointwise(weight, stride, padding):
                found = torch.addmm(bias[:, None], weight.flatten(1), inputs[0].flatten(1))
                return found.view(1, -1, *inputs.shape[2:])
            return torch.mkldnn_convolution(inputs, weight, bias, padding, stride, dilation, groups)
        return func(*args, **(kwargs or {}))


def quick_volumes(forward: Forward) -> Forward:
    """
    A network's ``forward`` with :class:`OneDnnConvolutions`, where they are quicker; not in a training, in which parts
    of a network may be computed again outside of it (gradient checkpointing).
    """

    @wraps(forward)
    def quick(self: torch.nn.Module, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if not _slow(x):
            return forward(self, x, *args, **kwargs)
        with OneDnnConvolutions():
            return forward(self, x, *args, **kwargs)

    return quick  # type: ignore[return-value]


def neighbour_mean(x: torch.Tensor) -> torch.Tensor:
    """
    Mean over each position's cell of three a side, of what lies on the grid, NxCxHxW[xD].

    As ``avg_pool`` with ``count_include_pad=False`` gives it, axis by axis, in a fifth of the time for volumes.
    """
    for axis in range(2, x.ndim):
        side = x.shape[axis]
        if side == 1:
            continue
        total, counts = x.clone(), torch.full((side,), 3.0, dtype=x.dtype, device=x.device)
        total.narrow(axis, 1, side - 1).add_(x.narrow(axis, 0, side - 1))
        total.narrow(axis, 0, side - 1).add_(x.narrow(axis, 1, side - 1))
        counts[[0, -1]] = 2
        x = total.div_(counts.view(-1, *[1] * (x.ndim - 1 - axis)))
    return x


def _pointwise(weight: torch.Tensor, stride: tuple[int, ...], padding: tuple[int, ...]) -> bool:
    return {*weight.shape[2:], *stride} == {1} and not any(padding)


def _slow(x: torch.Tensor) -> bool:
    """Whether torch would compute convolutions of this input itself."""
    if (
        torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing()
    ):  # the last for other machines
        return False
    on_cpu = x.ndim == 5 and len(x) == 1 and x.device.type == "cpu" and x.dtype == torch.float32
    able = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled  # type: ignore[attr-defined]
    return on_cpu and able and not torch.is_autocast_enabled("cpu")

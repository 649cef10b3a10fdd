# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a device is there, asked before anything is built for it, and half precision on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from mededit_monai.core.errors import InputError

logger = logging.getLogger(__name__)


def require_device(device: Any) -> None:
    """
    Refuse a device that torch does not know or this machine does not have.

    Args:
        device: a ``torch.device``, its name, or None for whatever there is.

    Raises:
        InputError: names the device and those that there are.
    """
    if device is None:
        return
    here = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        here.append("mps")
    wanted = f"wanted one of this machine's: {', '.join(here)}"
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).cpu()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError, ImportError) as error:
        why = (
            "this machine or this build of torch has no such device" if _known(device) else "torch knows no such device"
        )
        raise InputError(f"--device: got '{device}', but {why}; {wanted}.") from error


def _known(device: Any) -> bool:
    try:
        torch.device(device)
    except (RuntimeError, TypeError):
        return False
    return True


#: Word of ``--amp`` → its type.
AMP_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


def autocast_options(amp: str | None) -> dict[str, Any]:
    """Keywords of ``torch.autocast`` for ``fp16``, ``bf16`` or None."""
    return {} if amp is None else {"dtype": AMP_TYPES[amp]}


def takes_bf16() -> bool:
    """Whether this CPU has instructions for bf16; elsewhere torch emulates it, 30 times slower than float32."""
    return torch.backends.cpu.get_cpu_capability().upper().startswith("AVX512")


@contextmanager
def cpu_autocast(amp: str | None) -> Iterator[None]:
    """
    In which networks compute in bf16 on a CPU that takes it; one that changes nothing on other CPUs.

    Args:
        amp: ``bf16``; ``fp16`` is none of a CPU's, and None.
    """
    if amp == "bf16" and takes_bf16():
        with torch.autocast("cpu", dtype=torch.bfloat16), ThinVolumesInSingle():
            yield
        return
    if amp == "bf16":
        _say_single()
    yield


@cache
def _say_single() -> None:
    logger.warning("--amp bf16: this CPU lacks the instructions for it (AVX-512); computing in single precision.")


def autocast_on_cpu(inferer: Callable[..., Any], amp: str | None, device: Any) -> Callable[..., Any]:
    """
    An inferer whose network computes in bf16 on a CPU that takes it (see :func:`cpu_autocast`), which MONAI's engines
    do on GPUs alone; others as they are.

    Predictions are in single precision, and so are losses.

    Args:
        amp: ``bf16``; ``fp16`` is none of a CPU's, and None.
        device: that the network is on.
    """
    if amp != "bf16" or torch.device(device).type != "cpu":
        return inferer

    def ask(*args: Any, **kwargs: Any) -> Any:
        with cpu_autocast(amp):
            found = inferer(*args, **kwargs)
        return tuple(one.float() for one in found) if isinstance(found, tuple) else found.float()

    return ask


class ThinVolumesInSingle(TorchFunctionMode):
    """
    Convolutions of volumes two voxels deep in single precision, whatever autocast says.

    In torch 2.13 on CPUs the weight's gradient of a 3x3x3 convolution in bf16 is what happened to lie in memory where
    the first side of the volume is 2, as at the bottom of a U-Net for small volumes.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pass a function of torch on."""
        if func is torch.conv3d and args[0].shape[2] == 2:
            with torch.autocast("cpu", enabled=False):
                return func(args[0].float(), *args[1:], **(kwargs or {}))
        return func(*args, **(kwargs or {}))

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Names of heavy things, resolved when they are called: a record that is read for --help must not import torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Later:
    """
    A function or class by name, imported at its first call.

    Args:
        place: ``module:name``.
    """

    place: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

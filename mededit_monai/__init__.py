# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Counterfactual editing of brain MRI: the same brain with a given stroke or tumour, as MONAI bundles.

Research use only, not a medical device.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "edit", "synthesize", "train"]


def __getattr__(name: str) -> Any:
    # MONAI and torch take seconds to import; `mededit --help` must not wait for them.
    if name in ("edit", "synthesize", "train"):
        from mededit_monai import workflows

        return getattr(workflows, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Counterfactual editing of brain MRI: the same brain with a given stroke or tumour, as MONAI bundles.

Research use only, not a medical device.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "edit"]


def __getattr__(name: str) -> Any:
    # MONAI and torch take seconds to import; `mededit --help` must not wait for them.
    if name == "edit":
        from mededit_monai.workflows import edit

        return edit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

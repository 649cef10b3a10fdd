# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What callers in Python catch: bad input, in one sentence, and cases of a list that failed."""

from mededit_monai.core.errors import InputError, SomeFailed

__all__ = ["InputError", "SomeFailed"]

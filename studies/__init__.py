# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Programs that measure the project itself; run from the repository's root: ``python -m studies.NAME``."""

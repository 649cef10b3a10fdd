# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Speed against quality: every family and sampler on the same cases, `mededit bench`."""

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Where a lesion is to be: from words, shapes, territories or masks of others to a mask on a scan's grid."""

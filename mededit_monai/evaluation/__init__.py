# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The thesis's computational tables on any cohort: edits kept case by case, scores, comparisons, files."""

# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Reader studies: design, blinding, the page that raters see, and the analysis of what they said."""

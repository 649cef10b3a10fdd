# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
A program in the place of `mededit`, in a file of its own: it writes what `mededit edit` does, without an edit.

Its first argument, before the verb, says how it behaves: well, refuse, hang or babble.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main() -> int:
    """Behave."""
    how, verb, *words = sys.argv[1:]
    out = next(Path(word.partition("=")[2]) for word in words if word.startswith("--output_dir="))
    print(f"started: {verb} {' '.join(words)}", file=sys.stderr, flush=True)
    if how == "refuse":
        sys.stderr.write("denoising:  50%|#####     |\rmededit: --seed: got -1, wanted 0 or more.\n")
        return 2
    if how == "hang":
        sys.stderr.write("denoising:   9%|#         |\rdenoising:  45%|####      |\r")
        sys.stderr.flush()
        time.sleep(60)
    if how == "babble":
        print("no JSON")
        return 0
    case = out / "scan"
    (case / "carried").mkdir(parents=True)
    for name in ("edited.nii.gz", "displacement.nii.gz", "inverse_displacement.nii.gz", "carried/labels_0.nii.gz"):
        (case / name).write_bytes(b"")
    (case / "provenance.json").write_text(json.dumps({"synthetic": True, "warnings": ["cut off"]}))
    print(json.dumps({"synthetic": True, "written": [str(case)]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

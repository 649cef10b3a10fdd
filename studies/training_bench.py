# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What the data pipeline costs beside a training step.

    python -m studies.training_bench --bundle stroke

Prints, without and with all augmentations: milliseconds to load, augment and prepare a batch; milliseconds of forward,
backward and optimizer step on a batch that is already there; the first as a share of the second (wanted below 10 %).
Medians over the batches of one epoch.
"""

from __future__ import annotations

import argparse
import sys

from mededit_monai.core.errors import exit_on_bad_input, require_whole
from mededit_monai.core.program import run_program
from mededit_monai.evaluation.timing import pipeline_overhead

#: Largest share of the step's time that the data may cost.
CEILING = 0.10


def main() -> int:
    """Command line of the module; exit code 1 if the data cost more than the ceiling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="stroke")
    parser.add_argument("--batches", type=int, default=10)
    arguments = parser.parse_args()
    worst = 0.0
    with exit_on_bad_input():
        require_whole("batches", arguments.batches, 1, most=10**4)
        for name, options in (("default", {}), ("all augmentations", {"warp": 1.0, "contrast": 1.0, "bias": 1.0})):
            data, step = pipeline_overhead(arguments.bundle, arguments.batches, **options)
            worst = max(worst, data / step)
            print(f"{name}: data {1000 * data:.1f} ms, step {1000 * step:.0f} ms a batch, {data / step:.1%}")
    return 0 if worst < CEILING else 1


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))

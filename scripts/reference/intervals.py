#!/usr/bin/env python3
"""Confidence intervals of means and of paired differences, by SciPy.

    python3 scripts/reference/intervals.py            # writes crates/convergence/fixtures/intervals.json
    python3 scripts/reference/intervals.py --check    # compares with what is there

What `kiln sweep` says of its seeds: Student's 95 % interval of a mean, and that of the mean of the differences, seed by seed, with the
p-value of the paired t-test.
"""

import sys

import numpy as np
import scipy
from scipy import stats

from fixture_files import command_line, number, store

# Final losses as sweeps have them, and one pair of equal spread without a difference.
SAMPLES = [
    [6.0219, 5.946],
    [1.8988, 1.9085, 1.9105],
    [1.5845, 1.5822, 1.5875, 1.5801],
    [2.5, 2.5, 2.5, 2.75, 2.25, 2.375, 2.625],
]
PAIRS = [
    ([6.0677, 5.9874], [6.0219, 5.946]),
    ([6.2061, 6.0847], [6.0219, 5.946]),
    ([1.9056, 1.9103, 1.9089], [1.8988, 1.9085, 1.9105]),
    ([1.652, 1.6545, 1.6501, 1.6566], [1.5845, 1.5822, 1.5875, 1.5801]),
    ([1.59, 1.5801, 1.5845, 1.5822], [1.5845, 1.5822, 1.5875, 1.5801]),
]


def mean(sample):
    sample = np.asarray(sample)
    low, high = stats.t.interval(0.95, len(sample) - 1, loc=sample.mean(), scale=stats.sem(sample))
    return {"values": sample.tolist(), "mean": number(float(sample.mean())), "low": number(float(low)), "high": number(float(high))}


def pair(losses, best):
    test = stats.ttest_rel(losses, best)
    low, high = test.confidence_interval(0.95)
    numbers = {"low": number(float(low)), "high": number(float(high)), "p": number(float(test.pvalue))}
    return {"losses": losses, "best": best, **numbers}


def main():
    arguments = command_line(__doc__)
    content = {
        "source": f"scripts/reference/intervals.py, SciPy {scipy.__version__}",
        "means": [mean(sample) for sample in SAMPLES],
        "pairs": [pair(*losses) for losses in PAIRS],
    }
    return 0 if store("crates/convergence/fixtures/intervals.json", content, arguments.check) else 1


if __name__ == "__main__":
    sys.exit(main())

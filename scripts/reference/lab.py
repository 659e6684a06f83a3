#!/usr/bin/env python3
"""Exact expectations of stochastic gradient descent on least squares, by going through all mini-batches; quantiles far out.

    python3 scripts/reference/lab.py            # writes crates/convergence/fixtures/lab.json
    python3 scripts/reference/lab.py --check    # compares with what is there

A mini-batch of b of n samples, drawn with replacement, is one of n^b. Under each the error e = w - w* becomes B e + c, so that the mean of
e and of e e' over all of them are known to the last digits, without the formula that Kiln uses. The mean square is stable where the
spectral radius of the mean of B (x) B is below 1. Student's quantiles are roots of the incomplete beta function with fifty digits.
"""

import itertools
import math
import sys

import mpmath as mp
import numpy as np

from fixture_files import command_line, number, store

mp.mp.dps = 50

# n, d, l2, b, how the rates go on.
CASES = [(7, 2, 0.0, 1, "constant"), (6, 3, 0.1, 1, "falling"), (6, 2, 0.05, 2, "constant"), (5, 2, 0.0, 3, "falling")]
UPDATES = 60


def samples(n, d):
    features = [[round(math.sin(1.7 * i + 2.3 * j) + 0.3 * j, 6) for j in range(d)] for i in range(n)]
    targets = [round(2.0 * math.cos(0.9 * i) + 0.4 * i, 6) for i in range(n)]
    return features, targets


def updates(x, r, w, l2, b, rate):
    """(B, c) of every mini-batch."""
    n, d = x.shape
    for chosen in itertools.product(range(n), repeat=b):
        xb, rb = x[list(chosen)], r[list(chosen)]
        yield np.eye(d) - rate * (xb.T @ xb / b + l2 * np.eye(d)), -rate * (xb.T @ rb / b + l2 * w)


def stability_limit(x, l2, b, largest):
    n, d = x.shape
    nothing = np.zeros(n)

    def radius(rate):
        every = [np.kron(matrix, matrix) for matrix, _ in updates(x, nothing, np.zeros(d), l2, b, rate)]
        return max(abs(np.linalg.eigvals(np.mean(every, axis=0))))

    low, high = 0.0, 2.0 / largest
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if radius(middle) < 1 else (low, middle)
    return (low + high) / 2


def case(n, d, l2, b, kind):
    features, targets = samples(n, d)
    x, y = np.array(features), np.array(targets)
    hessian = x.T @ x / n + l2 * np.eye(d)
    w = np.linalg.solve(hessian, x.T @ y / n)
    r = x @ w - y
    largest = max(np.linalg.eigvalsh(hessian))
    limit = stability_limit(x, l2, b, largest)
    rates = [number(0.5 * limit / (1 + (t / 20 if kind == "falling" else 0))) for t in range(UPDATES)]
    mean, second, expectation = -w, np.outer(w, w), []
    for rate in [*rates, None]:
        expectation.append(number(float(np.trace(hessian @ second) / 2)))
        if rate is None:
            break
        of_batches = list(updates(x, r, w, l2, b, rate))
        moved = [m @ second @ m.T + np.outer(m @ mean, c) + np.outer(c, m @ mean) + np.outer(c, c) for m, c in of_batches]
        mean = np.mean([m @ mean + c for m, c in of_batches], axis=0)
        second = np.mean(moved, axis=0)
    return {
        "features": features,
        "targets": targets,
        "l2": l2,
        "batch": b,
        "rates": rates,
        "expectation": expectation,
        "stability_limit": number(float(limit)),
    }


def student(count, tail):
    freedom = mp.mpf(count - 1)

    def above(t):
        return mp.betainc(freedom / 2, mp.mpf(1) / 2, 0, freedom / (freedom + t * t), regularized=True) / 2 - mp.mpf(repr(tail))

    low, high = mp.mpf(0), mp.mpf(1000)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) > 0 else (low, middle)
    return {"count": count, "tail": tail, "quantile": number(float(low))}


def main():
    arguments = command_line(__doc__)
    content = {
        "source": f"scripts/reference/lab.py, NumPy {np.__version__}, mpmath {mp.__version__}",
        "student": [student(*case) for case in [(10, 1e-4), (20, 1e-5), (50, 1e-6), (200, 0.05 / 301), (200, 1e-8)]],
        "least_squares": [case(*settings) for settings in CASES],
    }
    return 0 if store("crates/convergence/fixtures/lab.json", content, arguments.check) else 1


if __name__ == "__main__":
    sys.exit(main())

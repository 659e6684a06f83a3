#!/usr/bin/env python3
"""Constants and minima of two small convex problems, with fifty digits.

    python3 scripts/reference/convex.py            # writes crates/convergence/fixtures/convex.json
    python3 scripts/reference/convex.py --check    # compares with what is there

Least squares and logistic regression, both with an L2 penalty, on eight samples. c and L are the extreme eigenvalues of the
Hessian of least squares, l2 and l2 + lambda_max(X'X) / (4 n) for logistic regression; minima are solved for by mpmath.
"""

import math
import sys

import mpmath as mp

from fixture_files import command_line, store

mp.mp.dps = 50
N, D = 8, 3
LINEAR_L2, LOGISTIC_L2 = 0.01, 0.05

FEATURES = [[round(math.sin(1.7 * i + 2.3 * j) + 0.3 * j, 6) for j in range(D)] for i in range(N)]
NUMBERS = [round(2.0 * math.cos(0.9 * i), 6) for i in range(N)]
CLASSES = [1.0 if (i * 5) % 8 < 4 else -1.0 for i in range(N)]


def matrix():
    return mp.matrix([[mp.mpf(repr(value)) for value in row] for row in FEATURES])


def digits(value):
    """As many digits as a double can hold."""
    return float(mp.nstr(value, 17))


def linear():
    x, y, l2 = matrix(), mp.matrix([mp.mpf(repr(value)) for value in NUMBERS]), mp.mpf(repr(LINEAR_L2))
    hessian = x.T * x / N + l2 * mp.eye(D)
    eigenvalues = mp.eigsy(hessian, eigvals_only=True)
    w = mp.lu_solve(hessian, x.T * y / N)
    residual = x * w - y
    minimum = mp.fsum(r * r for r in residual) / (2 * N) + l2 / 2 * mp.fsum(v * v for v in w)
    return {
        "l2": LINEAR_L2,
        "strong_convexity": digits(min(eigenvalues)),
        "smoothness": digits(max(eigenvalues)),
        "minimizer": [digits(v) for v in w],
        "minimum": digits(minimum),
    }


def logistic():
    x, l2 = matrix(), mp.mpf(repr(LOGISTIC_L2))
    largest = max(mp.eigsy(x.T * x / N, eigvals_only=True))
    w = mp.zeros(D, 1)
    for _ in range(60):
        margins = [CLASSES[i] * mp.fsum(x[i, j] * w[j] for j in range(D)) for i in range(N)]
        gradient, hessian = l2 * w, l2 * mp.eye(D)
        for i in range(N):
            p = 1 / (1 + mp.exp(margins[i]))
            row = mp.matrix([x[i, j] for j in range(D)])
            gradient -= CLASSES[i] * p / N * row
            hessian += p * (1 - p) / N * (row * row.T)
        w -= mp.lu_solve(hessian, gradient)
    margins = [CLASSES[i] * mp.fsum(x[i, j] * w[j] for j in range(D)) for i in range(N)]
    minimum = mp.fsum(mp.log(1 + mp.exp(-m)) for m in margins) / N + l2 / 2 * mp.fsum(v * v for v in w)
    return {
        "l2": LOGISTIC_L2,
        "strong_convexity": LOGISTIC_L2,
        "smoothness": digits(l2 + largest / 4),
        "minimizer": [digits(v) for v in w],
        "minimum": digits(minimum),
    }


def main():
    options = command_line(__doc__)
    content = {
        "source": f"scripts/reference/convex.py, mpmath {mp.__version__}, {mp.mp.dps} digits",
        "features": FEATURES,
        "numbers": NUMBERS,
        "classes": CLASSES,
        "linear_regression": linear(),
        "logistic_regression": logistic(),
    }
    sys.exit(0 if store("crates/convergence/fixtures/convex.json", content, options.check) else 1)


if __name__ == "__main__":
    main()

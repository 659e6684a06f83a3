#!/usr/bin/env python3
"""The theorems next to the lecture's, by other ways than Kiln's.

    python3 scripts/reference/next_door.py            # writes crates/convergence/fixtures/next_door.json
    python3 scripts/reference/next_door.py --check    # compares with what is there

Momentum on a quadratic, direction by direction. The mean of all weights on a quadratic, by the explicit sum over every noise; and on
least squares, by going through all mini-batches. Samples reshuffled epoch by epoch, by going through all orders. Updates to an error, and Polyak's step. Least squares whose
Hessian is singular, by the pseudoinverse; and the noise at the minimum, sample by sample.
"""

import itertools
import math
import sys

import numpy as np

from fixture_files import command_line, number, store

SPECTRUM = [0.01, 0.03, 0.1, 0.3, 1.0]
ROOT = 9 / 11
METHODS = [("plain", 1.0, 0.0), ("plain", 2 / 1.01, 0.0), ("nesterov", 1.0, ROOT), ("heavy ball", 4 / 1.21, ROOT**2)]


def samples(n, d):
    features = [[round(math.sin(1.7 * i + 2.3 * j) + 0.3 * j, 6) for j in range(d)] for i in range(n)]
    targets = [round(2.0 * math.cos(0.9 * i) + 0.4 * i, 6) for i in range(n)]
    return np.array(features), np.array(targets)


def descent(method, rate, momentum):
    """F - F* at each update: every direction has a fifth of the start."""
    lam = np.array(SPECTRUM)
    w = np.sqrt(2 * 0.2 / lam)
    before = w
    path = [float(np.sum(lam * w * w) / 2)]
    for t in range(60):
        if method == "nesterov":
            # x_{t+1} = y_t - rate grad F(y_t), y_{t+1} = x_{t+1} + mu (x_{t+1} - x_t), and F at y.
            x = w - rate * lam * w
            w, before = x + momentum * (x - before), x
        else:
            w, before = w - rate * lam * w + momentum * (w - before), w
        path.append(float(np.sum(lam * w * w) / 2))
    return {"method": method, "rate": rate, "momentum": momentum, "path": [number(value) for value in path]}


def averaged_quadratic(rate, times):
    """The shipped quadratic, b = 1: the mean of w_0 to w_t, noise by noise."""
    found = []
    for t in times:
        total = 0.0
        for lam in [0.5, 0.6, 0.8, 1.0]:
            kept = 1 - rate * lam
            sums = np.cumsum(kept ** np.arange(t + 1))
            start = math.sqrt(2 * 2.5 / lam) * sums[t]
            noise = rate**2 * 0.25 * np.sum(sums[:t] ** 2)
            total += lam / 2 * (start**2 + noise) / (t + 1) ** 2
        found.append(number(total))
    return {"rate": rate, "times": times, "errors": found}


def averaged_least_squares(n, d, l2, b, rate, updates):
    """(e, s, 1) becomes A (e, s, 1) under each mini-batch, s being the sum of all e."""
    x, y = samples(n, d)
    hessian = x.T @ x / n + l2 * np.eye(d)
    w = np.linalg.solve(hessian, x.T @ y / n)
    r = x @ w - y
    matrices = []
    for chosen in itertools.product(range(n), repeat=b):
        xb, rb = x[list(chosen)], r[list(chosen)]
        step = np.eye(d) - rate * (xb.T @ xb / b + l2 * np.eye(d))
        moved = (-rate * (xb.T @ rb / b + l2 * w))[:, None]
        one, none = np.eye(d), np.zeros((d, d))
        matrices.append(np.block([[step, none, moved], [step, one, moved], [np.zeros((1, 2 * d)), np.ones((1, 1))]]))
    state = np.concatenate([-w, -w, [1.0]])
    second = np.outer(state, state)
    path = []
    for t in range(updates + 1):
        if t > 0:
            second = np.mean([matrix @ second @ matrix.T for matrix in matrices], axis=0)
        path.append(number(np.sum(hessian * second[d : 2 * d, d : 2 * d]) / 2 / (t + 1) ** 2))
    features, targets = samples(n, d)
    return {"features": features.tolist(), "targets": targets.tolist(), "l2": l2, "batch": b, "rate": rate, "errors": path}


def reshuffled(n, d, rate, epochs):
    """Every order of n samples, at the ends of epochs, beside n draws with replacement."""
    x, y = samples(n, d)
    hessian = x.T @ x / n
    w = np.linalg.solve(hessian, x.T @ y / n)
    r = x @ w - y
    singles = []
    for i in range(n):
        step = np.eye(d) - rate * np.outer(x[i], x[i])
        singles.append(np.block([[step, (-rate * x[i] * r[i])[:, None]], [np.zeros((1, d)), np.ones((1, 1))]]))
    orders = []
    for order in itertools.permutations(range(n)):
        matrix = np.eye(d + 1)
        for i in order:
            matrix = singles[i] @ matrix
        orders.append(matrix)
    error = lambda second: number(np.sum(hessian * second[:d, :d]) / 2)
    start = np.outer(np.append(-w, 1.0), np.append(-w, 1.0))
    epochwise, drawn = start, start
    found = {"without": [error(start)], "with": [error(start)]}
    for _ in range(epochs):
        epochwise = np.mean([matrix @ epochwise @ matrix.T for matrix in orders], axis=0)
        for _ in range(n):
            drawn = np.mean([matrix @ drawn @ matrix.T for matrix in singles], axis=0)
        found["without"].append(error(epochwise))
        found["with"].append(error(drawn))
    return {"features": x.tolist(), "targets": y.tolist(), "rate": rate, **found}


def critical():
    """Updates until the exact expectation of the shipped quadratic is down to 0.001, at the rates of critical-batch.toml."""
    lam = np.array([0.5, 0.6, 0.8, 1.0])
    found = []
    for b, rate in [(1, 0.00365), (4, 0.0145), (16, 0.0573), (64, 0.214), (256, 0.665), (1024, 1.27), (4096, 1.31)]:
        error, t = np.full(4, 2.5), 0
        while error.sum() > 1e-3:
            error, t = (1 - rate * lam) ** 2 * error + rate**2 * lam / (8 * b), t + 1
        found.append({"batch": b, "rate": rate, "updates": t})
    return found


def polyak():
    """F - F* under Polyak's step."""
    lam = np.array(SPECTRUM)
    w = np.sqrt(2 * 0.2 / lam)
    path = []
    for _ in range(41):
        error = float(np.sum(lam * w * w) / 2)
        path.append(number(error))
        w = w - error / np.sum((lam * w) ** 2) * lam * w
    return path


def accelerated():
    """F - F* with a momentum that grows, at the weights before the look-ahead."""
    lam = np.array(SPECTRUM)
    ahead = last = np.sqrt(2 * 0.2 / lam)
    path = [number(float(np.sum(lam * last * last) / 2))]
    for t in range(60):
        x = ahead - lam * ahead
        ahead, last = x + t / (t + 3) * (x - last), x
        path.append(number(float(np.sum(lam * x * x) / 2)))
    return path


def singular():
    """Five samples of which the third feature is the sum of the others."""
    x, y = samples(5, 2)
    x = np.round(np.column_stack([x, x[:, 0] + x[:, 1]]), 6)
    n = len(y)
    values = np.linalg.eigvalsh(x.T @ x / n)
    w = np.linalg.pinv(x) @ y
    r = x @ w - y
    return {
        "features": x.tolist(),
        "targets": y.tolist(),
        "strong_convexity": number(values[1]),
        "smoothness": number(values[2]),
        "minimizer": [number(value) for value in w],
        "minimum": number(r @ r / (2 * n)),
        "noise_at_minimum": number(np.mean([np.sum((x[i] * r[i]) ** 2) for i in range(n)])),
        "sample_smoothness": number(max(np.sum(x * x, axis=1))),
        "start_distance": number(np.linalg.norm(w)),
    }


def main():
    options = command_line(__doc__)
    content = {
        "source": f"scripts/reference/next_door.py, NumPy {np.__version__}",
        "descents": [descent(*method) for method in METHODS],
        "averaged_quadratic": averaged_quadratic(0.4, [1, 10, 1000, 5000, 20000]),
        "averaged_least_squares": [averaged_least_squares(5, 2, 0.05, 1, 0.2, 40), averaged_least_squares(4, 2, 0.0, 2, 0.3, 40)],
        "reshuffled": reshuffled(6, 2, 0.1, 12),
        "accelerated": accelerated(),
        "critical": critical(),
        "polyak": polyak(),
        "singular": singular(),
    }
    sys.exit(0 if store("crates/convergence/fixtures/next_door.json", content, options.check) else 1)


if __name__ == "__main__":
    main()

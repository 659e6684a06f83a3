#!/usr/bin/env python3
"""GPTQ as its paper has it (Frantar et al. 2023, algorithm 1, with the order of decreasing diagonals), in NumPy.

    python3 scripts/reference/gptq.py       # writes crates/compression/fixtures/gptq.json

The scales are those of Q4_0 by the reference's rule (the number of the greatest magnitude over -8, kept in half precision), chosen before
anything is rounded. The file has the weights, the sums of products of the inputs, the whole numbers, and how far the outputs are off, of GPTQ
and of rounding to the nearest.
"""

import json
from pathlib import Path

import numpy as np

OUTPUTS, INPUTS, TOKENS, BLOCK = 6, 64, 256, 32


def main():
    random = np.random.default_rng(1)
    weights = random.normal(size=(OUTPUTS, INPUTS)).astype(np.float32)
    mixing = random.normal(size=(INPUTS, INPUTS)) * np.exp(random.normal(size=INPUTS))
    inputs = (random.normal(size=(TOKENS, INPUTS)) @ mixing).astype(np.float32)
    products = (inputs.astype(np.float64).T @ inputs).astype(np.float32)

    hessian = products.astype(np.float64)
    order = np.argsort(-np.diag(hessian), kind="stable")
    damped = hessian + 0.01 * np.diag(hessian).mean() * np.eye(INPUTS)
    upper = np.linalg.cholesky(np.linalg.inv(damped[order][:, order])).T

    blocks = weights.reshape(OUTPUTS, -1, BLOCK)
    far = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)
    wide = (far / -8).astype(np.float32)
    kept = wide.astype(np.float16).astype(np.float32).repeat(BLOCK, -1).reshape(OUTPUTS, INPUTS)
    wide = wide.repeat(BLOCK, -1).reshape(OUTPUTS, INPUTS)

    def whole(column, numbers):
        return np.clip(np.floor(numbers / wide[:, column] + 8.5), 0, 15)

    codes = np.zeros((OUTPUTS, INPUTS), dtype=int)
    left = weights[:, order].astype(np.float64)
    for place, column in enumerate(order):
        codes[:, column] = whole(column, left[:, place])
        error = (left[:, place] - kept[:, column] * (codes[:, column] - 8)) / upper[place, place]
        left[:, place:] -= np.outer(error, upper[place, place:])
    nearest = np.stack([whole(column, weights[:, column]) for column in range(INPUTS)], 1)

    def off(codes):
        difference = weights - kept * (codes - 8)
        return float(np.einsum("oi,ij,oj->", difference, hessian, difference))

    record = {
        "inputs": INPUTS, "weights": weights.ravel().tolist(), "products": products.ravel().tolist(),
        "codes": codes.ravel().tolist(), "off": off(codes), "off_nearest": off(nearest),
    }
    path = Path(__file__).resolve().parents[2] / "crates/compression/fixtures/gptq.json"
    path.write_text(json.dumps(record) + "\n")
    print(path, record["off"], record["off_nearest"])


if __name__ == "__main__":
    main()

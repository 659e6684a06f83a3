#!/usr/bin/env python3
"""A projection with a low-rank adapter, and its gradients, by PyTorch.

    python3 scripts/reference/lora.py            # writes crates/models/fixtures/lora.json
    python3 scripts/reference/lora.py --check    # compares with what is there

y = x W + b + s x A B with s = alpha / r (Hu et al. 2021, https://arxiv.org/abs/2106.09685) or alpha / sqrt(r) (Kalajdzievski 2023,
https://arxiv.org/abs/2312.03732), in double precision; the loss is the sum of y times given numbers. With lengths m of columns y = m / |W + s A B| x (W + s A B) + b (Liu et al.
2024, https://arxiv.org/abs/2402.09353), in which |W + s A B| has no gradient (section 4.3).
"""

import math
import sys

import torch

from fixture_files import command_line, number, source, store

INPUTS, OUTPUTS, ROWS = 5, 6, 4


def numbers(count, step):
    """Numbers between -1 and 1 that any program can make."""
    return [round(math.sin(step * (index + 1)), 6) for index in range(count)]


def tensor(count, shape, step, grad=False):
    return torch.tensor(numbers(count, step), dtype=torch.float64).reshape(shape).requires_grad_(grad)


def case(rank, alpha, rank_stabilised, dora=False):
    x = tensor(ROWS * INPUTS, (ROWS, INPUTS), 0.7, True)
    weight = tensor(INPUTS * OUTPUTS, (INPUTS, OUTPUTS), 1.3)
    bias = tensor(OUTPUTS, (OUTPUTS,), 2.1)
    down = tensor(INPUTS * rank, (INPUTS, rank), 0.9, True)
    up = tensor(rank * OUTPUTS, (rank, OUTPUTS), 1.7, True)
    scale = alpha / (math.sqrt(rank) if rank_stabilised else rank)
    lengths = (1 + 0.5 * tensor(OUTPUTS, (OUTPUTS,), 0.5)).detach().requires_grad_(True)
    if dora:
        whole = weight + scale * down @ up
        y = x @ whole * (lengths / whole.norm(dim=0).detach()) + bias
    else:
        y = x @ weight + bias + scale * (x @ down) @ up
    (y * tensor(ROWS * OUTPUTS, (ROWS, OUTPUTS), 0.3)).sum().backward()
    flat = lambda values: [number(value) for value in values.flatten().tolist()]
    return {
        "rank": rank,
        "alpha": alpha,
        "rank_stabilised": rank_stabilised,
        "down": flat(down),
        "up": flat(up),
        "output": flat(y),
        "input_gradient": flat(x.grad),
        "down_gradient": flat(down.grad),
        "up_gradient": flat(up.grad),
        "lengths": flat(lengths.detach()) if dora else None,
        "lengths_gradient": flat(lengths.grad) if dora else None,
    }


def main():
    arguments = command_line(__doc__)
    content = {
        "source": source("lora.py"),
        "input": numbers(ROWS * INPUTS, 0.7),
        "weight": numbers(INPUTS * OUTPUTS, 1.3),
        "bias": numbers(OUTPUTS, 2.1),
        "factors": numbers(ROWS * OUTPUTS, 0.3),
        "cases": [case(1, 2.0, False), case(2, 4.0, False), case(3, 16.0, True), case(4, 1.0, True), case(2, 4.0, False, True), case(3, 2.0, True, True)],
    }
    return 0 if store("crates/models/fixtures/lora.json", content, arguments.check) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Parameters after every step of PyTorch's optimizers, gradients after its clipping, and nanoGPT's learning rates.

    python3 scripts/reference/optimizers.py            # writes crates/training/fixtures/{optimizers,clipping,schedules}.json
    python3 scripts/reference/optimizers.py --check    # compares with what is there

All in double precision. In `optimizers.json` a matrix and a vector take eight steps with given gradients and a rate that
changes at each; one entry's gradients are of the size of Adam's epsilon, so that a misplaced epsilon shows, and one entry's
are always zero, so that decay and nothing else moves it.
"""

import math
import sys

import torch

from fixture_files import command_line, number, source, store, tensor
from recipes import cosine_with_warmup

RATES = [0.1, 0.05, 0.2, 0.01, 0.1, 0.03, 0.15, 0.02]
SHAPES = {"matrix": (2, 3), "vector": (3,)}
DECAYED = "matrix"  # decay is for matrices only
FORMULA = (
    "step s, parameter k (matrix 0, vector 1) and flat index i counted from 0: sin(0.7 s + 1.3 i + 2.1 k); "
    "the vector's entry 1 is multiplied by 1e-8 and the matrix's entry 4 is 0"
)


def gradient(step, k, name):
    size = math.prod(SHAPES[name])
    entries = [math.sin(0.7 * step + 1.3 * i + 2.1 * k) for i in range(size)]
    if name == "vector":
        entries[1] *= 1e-8
    else:
        entries[4] = 0.0
    return torch.tensor(entries, dtype=torch.float64).reshape(SHAPES[name])


def initial(k, name):
    size = math.prod(SHAPES[name])
    return torch.tensor([0.5 * math.cos(1.1 * i + k) for i in range(size)], dtype=torch.float64).reshape(SHAPES[name])


# --- optimizers -------------------------------------------------------------------------------------------------------

CASES = {
    "adamw": (torch.optim.AdamW, 0.1, {"betas": (0.9, 0.99), "eps": 1e-8}),
    "adam": (torch.optim.Adam, 0.0, {"betas": (0.9, 0.999), "eps": 1e-8}),
    "sgd": (torch.optim.SGD, 0.0, {}),
    "sgd_weight_decay": (torch.optim.SGD, 0.1, {}),
    "sgd_momentum": (torch.optim.SGD, 0.0, {"momentum": 0.9, "dampening": 0.0}),
    "sgd_momentum_weight_decay": (torch.optim.SGD, 0.1, {"momentum": 0.9, "dampening": 0.0}),
    "sgd_nesterov": (torch.optim.SGD, 0.0, {"momentum": 0.9, "dampening": 0.0, "nesterov": True}),
    "sgd_nesterov_weight_decay": (torch.optim.SGD, 0.1, {"momentum": 0.9, "dampening": 0.0, "nesterov": True}),
}


def run(optimizer_class, decay, options):
    """The parameters after each step."""
    parameters = {name: initial(k, name).requires_grad_() for k, name in enumerate(SHAPES)}
    groups = [
        {"params": [parameter], "weight_decay": decay if name == DECAYED else 0.0}
        for name, parameter in parameters.items()
    ]
    optimizer = optimizer_class(groups, lr=RATES[0], **options)
    steps = []
    for step, rate in enumerate(RATES):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for k, (name, parameter) in enumerate(parameters.items()):
            parameter.grad = gradient(step, k, name)
        optimizer.step()
        steps.append({name: tensor(parameter) for name, parameter in parameters.items()})
    return steps


def optimizers():
    cases = {}
    for name, (optimizer_class, decay, options) in CASES.items():
        settings = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
        settings |= {"weight_decay": decay}
        steps = run(optimizer_class, decay, options)
        cases[name] = {"class": f"torch.optim.{optimizer_class.__name__}", "settings": settings, "steps": steps}
    return {
        "source": source("optimizers.py"),
        "weight_decay_applies_to": DECAYED,
        "initial": {name: tensor(initial(k, name)) for k, name in enumerate(SHAPES)},
        "rates": RATES,
        "gradient_formula": FORMULA,
        "gradients": [
            {name: tensor(gradient(step, k, name)) for k, name in enumerate(SHAPES)} for step in range(len(RATES))
        ],
        "cases": cases,
    }


# --- clipping ---------------------------------------------------------------------------------------------------------

# Name, largest norm, factor on the gradients. The gradients of `at_the_limit` have the norm 1: PyTorch multiplies by
# limit / (norm + 1e-6), capped at 1, so they are scaled although they do not exceed the limit.
CLIPPING = [
    ("below_the_limit", 10.0, 1.0),
    ("above_the_limit", 1.0, 1.0),
    ("far_above_the_limit", 0.25, 1e4),
    ("tiny", 1.0, 1e-6),
    ("zero", 1.0, 0.0),
]


def clip(limit, gradients):
    parameters = [torch.zeros_like(value).requires_grad_() for value in gradients.values()]
    for parameter, value in zip(parameters, gradients.values()):
        parameter.grad = value.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    return {
        "max_norm": limit,
        "gradients": {name: tensor(value) for name, value in gradients.items()},
        "norm": number(norm.item()),
        "clipped": {name: tensor(parameter.grad) for name, parameter in zip(gradients, parameters)},
    }


def clipping():
    cases = {}
    for step, (name, limit, factor) in enumerate(CLIPPING):
        gradients = {parameter: factor * gradient(step, k, parameter) for k, parameter in enumerate(SHAPES)}
        cases[name] = clip(limit, gradients)
    unit = {"matrix": torch.zeros(2, 3, dtype=torch.float64), "vector": torch.tensor([0.0, 0.0, 0.6], dtype=torch.float64)}
    unit["matrix"][0, 0] = 0.8
    cases["at_the_limit"] = clip(1.0, unit)
    return {"source": source("optimizers.py") + ": torch.nn.utils.clip_grad_norm_", "cases": cases}


# --- schedules --------------------------------------------------------------------------------------------------------


def schedules():
    settings = {"warmup": 100, "steps": 2000, "peak": 1e-3, "floor": 1e-4}
    steps = [0, 1, 2, 49, 50, 98, 99, 100, 101, 102, 500, 1000, 1049, 1050, 1051, 1500, 1900, 1998, 1999, 2000, 2001, 5000]
    rates = [number(cosine_with_warmup(step, **settings)) for step in steps]
    return {
        "source": "scripts/reference/optimizers.py: the learning rate of nanoGPT's train.py, steps counted from 0",
        "cosine_with_warmup": {"settings": settings, "steps": steps, "rates": rates},
    }


def main():
    options = command_line(__doc__)
    torch.set_num_threads(1)
    folder = "crates/training/fixtures"
    agree = True
    for name, content in (("optimizers", optimizers()), ("clipping", clipping()), ("schedules", schedules())):
        agree &= store(f"{folder}/{name}.json", content, options.check)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Parameters after every step of optimizers, averages of weights, and gradients after clipping.

    python3 scripts/reference/optimizers.py            # writes crates/optimization/fixtures/*.json
    python3 scripts/reference/optimizers.py --check    # compares with what is there

All in double precision. In `optimizers.json` a matrix and a vector take eight steps with given gradients and a rate that
changes at each; one entry's gradients are of the size of Adam's epsilon, so that a misplaced epsilon shows, and one entry's
are always zero, so that decay and nothing else moves it.

PyTorch has most of the optimizers. Lion is `lion-pytorch`'s, the schedule-free ones are `schedulefree`'s. Muon is written out
here, because PyTorch's orthogonalises in half precision; it is compared with PyTorch's as closely as that allows.
"""

import math
import sys

import torch
from lion_pytorch import Lion
from schedulefree import AdamWScheduleFree, SGDScheduleFree
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fixture_files import command_line, number, source, store, tensor

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
    "adam_weight_decay": (torch.optim.Adam, 0.1, {"betas": (0.9, 0.99), "eps": 1e-8}),
    "sgd": (torch.optim.SGD, 0.0, {}),
    "sgd_weight_decay": (torch.optim.SGD, 0.1, {}),
    "sgd_momentum": (torch.optim.SGD, 0.0, {"momentum": 0.9, "dampening": 0.0}),
    "sgd_momentum_weight_decay": (torch.optim.SGD, 0.1, {"momentum": 0.9, "dampening": 0.0}),
    "sgd_nesterov": (torch.optim.SGD, 0.0, {"momentum": 0.9, "dampening": 0.0, "nesterov": True}),
    "sgd_nesterov_weight_decay": (torch.optim.SGD, 0.1, {"momentum": 0.9, "dampening": 0.0, "nesterov": True}),
    "rmsprop": (torch.optim.RMSprop, 0.0, {"alpha": 0.99, "eps": 1e-8}),
    "rmsprop_weight_decay": (torch.optim.RMSprop, 0.1, {"alpha": 0.9, "eps": 1e-8}),
    "rmsprop_momentum": (torch.optim.RMSprop, 0.0, {"alpha": 0.9, "eps": 1e-8, "momentum": 0.5}),
    "rmsprop_centered": (torch.optim.RMSprop, 0.0, {"alpha": 0.9, "eps": 1e-8, "centered": True}),
    "rmsprop_all": (torch.optim.RMSprop, 0.1, {"alpha": 0.9, "eps": 1e-8, "momentum": 0.5, "centered": True}),
    "lion": (Lion, 0.1, {"betas": (0.9, 0.99)}),
    "schedule_free_sgd": (SGDScheduleFree, 0.1, {"momentum": 0.9}),
    "schedule_free_adamw": (AdamWScheduleFree, 0.1, {"betas": (0.9, 0.99), "eps": 1e-8}),
}


def parameters_and_groups(decay):
    parameters = {name: initial(k, name).requires_grad_() for k, name in enumerate(SHAPES)}
    groups = [
        {"params": [parameter], "weight_decay": decay if name == DECAYED else 0.0}
        for name, parameter in parameters.items()
    ]
    return parameters, groups


def values(parameters):
    return {name: tensor(parameter) for name, parameter in parameters.items()}


def run(optimizer_class, decay, options):
    """The parameters after each step, and those to evaluate with where the optimizer has others for that."""
    parameters, groups = parameters_and_groups(decay)
    optimizer = optimizer_class(groups, lr=RATES[0], **options)
    schedule_free = hasattr(optimizer, "eval")
    steps, evaluation = [], []
    for step, rate in enumerate(RATES):
        if schedule_free:
            optimizer.train()
        for group in optimizer.param_groups:
            group["lr"] = rate
        for k, (name, parameter) in enumerate(parameters.items()):
            parameter.grad = gradient(step, k, name)
        optimizer.step()
        steps.append(values(parameters))
        if schedule_free:
            optimizer.eval()
            evaluation.append(values(parameters))
    return {"steps": steps} | ({"evaluation": evaluation} if schedule_free else {})


# Muon as its authors publish it (https://kellerjordan.github.io/posts/muon/), in double precision.

MUON_CASES = {
    "muon_original": {"adjustment": "original", "nesterov": True, "rest_rate": 0.5},
    "muon_match_rms_adamw": {"adjustment": "match-rms-adamw", "nesterov": True, "rest_rate": 1.0},
    "muon_without_look_ahead": {"adjustment": "original", "nesterov": False, "rest_rate": 1.0},
}
MUON_CONSTANTS = {"momentum": 0.95, "weight_decay": 0.1, "betas": [0.9, 0.99], "eps": 1e-8}


def orthogonalised(matrix):
    """Five steps of the quintic Newton-Schulz iteration; an odd polynomial, so that the transpose commutes with it."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def run_muon(settings):
    """The matrix, in Kiln's layout [in, out], by Muon; the vector by AdamW."""
    parameters, _ = parameters_and_groups(0.0)
    matrix, vector = parameters["matrix"].detach(), parameters["vector"]
    # PyTorch's layout is [out, in].
    theirs = torch.nn.Parameter(matrix.T.clone())
    muon = torch.optim.Muon(
        [theirs],
        weight_decay=MUON_CONSTANTS["weight_decay"],
        momentum=MUON_CONSTANTS["momentum"],
        nesterov=settings["nesterov"],
        adjust_lr_fn=settings["adjustment"].replace("-", "_"),
    )
    rest = torch.optim.AdamW([vector], betas=MUON_CONSTANTS["betas"], eps=MUON_CONSTANTS["eps"], weight_decay=0.0)
    inputs, outputs = matrix.shape
    original = settings["adjustment"] == "original"
    factor = math.sqrt(max(1, outputs / inputs)) if original else 0.2 * math.sqrt(max(outputs, inputs))
    mu, decay = MUON_CONSTANTS["momentum"], MUON_CONSTANTS["weight_decay"]
    mean, steps, largest = torch.zeros_like(matrix), [], 0.0
    for step, rate in enumerate(RATES):
        g = gradient(step, 0, "matrix")
        mean = mu * mean + (1 - mu) * g
        direction = (1 - mu) * g + mu * mean if settings["nesterov"] else mean
        matrix = (1 - rate * decay) * matrix - rate * factor * orthogonalised(direction)
        muon.param_groups[0]["lr"], rest.param_groups[0]["lr"] = rate, rate * settings["rest_rate"]
        theirs.grad, vector.grad = g.T.clone(), gradient(step, 1, "vector")
        muon.step()
        rest.step()
        steps.append(values({"matrix": matrix, "vector": vector}))
        largest = max(largest, (matrix - theirs.detach().T).abs().max().item())
    # Half precision has three digits; the steps add up to 0.66 times the factor.
    if largest > 0.01 * factor:
        raise ValueError(f"Muon parts from PyTorch's by {largest}")
    return {"steps": steps}


def optimizers():
    cases = {}
    for name, (optimizer_class, decay, options) in CASES.items():
        settings = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
        settings |= {"weight_decay": decay}
        module = optimizer_class.__module__.split(".")[0]
        origin = "torch.optim" if module == "torch" else module
        cases[name] = {"class": f"{origin}.{optimizer_class.__name__}", "settings": settings}
        cases[name] |= run(optimizer_class, decay, options)
    for name, settings in MUON_CASES.items():
        cases[name] = {"class": "optimizers.py: run_muon", "settings": settings | MUON_CONSTANTS} | run_muon(settings)
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


# --- averages of the weights ------------------------------------------------------------------------------------------

POLYAK_START = 3
DECAY = 0.9


class Iterates(torch.nn.Module):
    """A model whose parameters are whatever they are set to; step s, counted from 1."""

    def __init__(self):
        super().__init__()
        for name, shape in SHAPES.items():
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)))

    def at(self, step):
        with torch.no_grad():
            for k, (name, parameter) in enumerate(self.named_parameters()):
                parameter.copy_(gradient(step, k, name))
        return self


def averages_of(model, averaged, first):
    found = []
    for step in range(first, len(RATES) + 1):
        averaged.update_parameters(model.at(step))
        found.append(values(dict(averaged.module.named_parameters())))
    return found


def mean_with_decay(step):
    """The mean of the iterates up to `step`, weighted by DECAY to the power of their age."""
    weights = [DECAY ** (step - earlier) for earlier in range(1, step + 1)]
    return {
        name: tensor(sum(w * gradient(s, k, name) for s, w in enumerate(weights, 1)) / sum(weights))
        for k, name in enumerate(SHAPES)
    }


def averaging():
    model = Iterates()
    steps = range(1, len(RATES) + 1)
    exponential = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
    return {
        "source": source("optimizers.py") + ": torch.optim.swa_utils.AveragedModel",
        "iterates": [values(dict(model.at(step).named_parameters())) for step in steps],
        "polyak": {"start": POLYAK_START, "averages": averages_of(model, AveragedModel(model), POLYAK_START)},
        "exponential": {"decay": DECAY, "averages": averages_of(model, exponential, 1)},
        "bias_corrected": {"decay": DECAY, "averages": [mean_with_decay(step) for step in steps]},
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


def main():
    options = command_line(__doc__)
    torch.set_num_threads(1)
    folder = "crates/optimization/fixtures"
    agree = True
    contents = {
        "optimizers": optimizers(),
        "averaging": averaging(),
        "clipping": clipping(),
    }
    for name, content in contents.items():
        agree &= store(f"{folder}/{name}.json", content, options.check)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()

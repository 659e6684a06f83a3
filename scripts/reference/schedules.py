#!/usr/bin/env python3
"""Learning rates of PyTorch's schedulers, and nanoGPT's.

    python3 scripts/reference/schedules.py            # writes crates/optimization/fixtures/schedules.json
    python3 scripts/reference/schedules.py --check    # compares with what is there

Each case has the settings of one `torch.optim.lr_scheduler` and the rate of every update. `plateau` has the losses that the
scheduler is shown, one before each update.
"""

import math
import sys

import torch
from torch.optim import lr_scheduler

from fixture_files import command_line, number, source, store
from recipes import cosine_with_warmup

UPDATES = 60
RATE = 0.8


def by_time(make):
    """The rates of UPDATES updates."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    scheduler = make(optimizer)
    rates = []
    for _ in range(UPDATES):
        rates.append(number(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return rates


BY_TIME = {
    "step": lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.3),
    "exponential": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma=0.97),
    "polynomial": lambda optimizer: lr_scheduler.PolynomialLR(optimizer, total_iters=50, power=1.5),
    "linear": lambda optimizer: lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.05, total_iters=50),
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=UPDATES, eta_min=0.01),
    "cosine_restarts": lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer, T_0=5, T_mult=2, eta_min=0.01
    ),
    "one_cycle": lambda optimizer: lr_scheduler.OneCycleLR(
        optimizer, max_lr=RATE, total_steps=UPDATES, pct_start=0.3, div_factor=25.0, final_div_factor=1e4
    ),
    "piecewise": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, milestones=[11, 40], gamma=0.25),
}


def plateau(**settings):
    """Losses that fall, stay, and fall again, and the rate of the update after each."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, threshold_mode="rel", eps=0.0, **settings)
    losses, rates = [], []
    for step in range(UPDATES):
        loss = 2.0 / (1 + min(step, 12)) + 0.01 * math.sin(step) - (0.3 if step > 45 else 0.0)
        losses.append(number(loss))
        optimizer.step()
        scheduler.step(loss)
        rates.append(number(optimizer.param_groups[0]["lr"]))
    return {"settings": settings, "losses": losses, "rates": rates}


def nanogpt():
    settings = {"warmup": 100, "steps": 2000, "peak": 1e-3, "floor": 1e-4}
    steps = [0, 1, 2, 49, 50, 98, 99, 100, 101, 102, 500, 1000, 1049, 1050, 1051, 1500, 1900, 1998, 1999, 2000, 2001, 5000]
    rates = [number(cosine_with_warmup(step, **settings)) for step in steps]
    return {"settings": settings, "steps": steps, "rates": rates}


def main():
    options = command_line(__doc__)
    content = {
        "source": source("schedules.py") + ": torch.optim.lr_scheduler, and the learning rate of nanoGPT's train.py",
        "rate": RATE,
        "by_time": {name: by_time(make) for name, make in BY_TIME.items()},
        "plateau": {
            "plain": plateau(factor=0.5, patience=3, threshold=1e-4),
            "cooldown": plateau(factor=0.3, patience=2, threshold=0.05, cooldown=4, min_lr=0.05),
        },
        "cosine_with_warmup": nanogpt(),
    }
    sys.exit(0 if store("crates/optimization/fixtures/schedules.json", content, options.check) else 1)


if __name__ == "__main__":
    main()

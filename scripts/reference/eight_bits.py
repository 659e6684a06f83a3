"""Levels of bitsandbytes 0.50.2, codes, and steps of PyTorch's AdamW whose state is rounded to them after each step:
crates/optimization/fixtures/eight_bits.json.

Codes are those of the nearest level, found by looking at all of them: bitsandbytes' own routine for processors leaves out the levels
next to zero.
"""

import json
import pathlib

import bitsandbytes.functional as functional
import torch

FILE = pathlib.Path(__file__).resolve().parents[2] / "crates/optimization/fixtures/eight_bits.json"
SIGNED, NON_NEGATIVE = functional.create_dynamic_map(True), functional.create_dynamic_map(False)
BLOCK = 256
torch.manual_seed(7)


def numbers(tensor):
    return [float(f"{number:.9g}") for number in tensor.detach().flatten().tolist()]


def packed(values, levels):
    codes, scales = [], []
    for block in values.flatten().split(BLOCK):
        scales.append(block.abs().max())
        codes += ((block / scales[-1])[:, None] - levels).abs().argmin(dim=1).tolist()
    return codes, torch.stack(scales)


def rounded(values, levels):
    codes, scales = packed(values, levels)
    blocks = levels[codes].split(BLOCK)
    return torch.cat([block * scale for block, scale in zip(blocks, scales)]).reshape(values.shape)


def levels():
    values = torch.randn(600) ** 3
    pairs = [packed(values, SIGNED), packed(values.abs(), NON_NEGATIVE)]
    return {
        "signed": numbers(SIGNED),
        "non_negative": numbers(NON_NEGATIVE),
        "values": numbers(values),
        "codes": [codes for codes, _ in pairs],
        "scales": [numbers(scales) for _, scales in pairs],
    }


def adamw():
    """Four steps of AdamW on 2 x 300 numbers."""
    weight = torch.nn.Parameter(torch.randn(2, 300))
    steps = {"before": numbers(weight), "gradients": [], "after": []}
    optimizer = torch.optim.AdamW([weight], lr=0.01, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    for _ in range(4):
        weight.grad = torch.randn(2, 300) * 0.1
        steps["gradients"].append(numbers(weight.grad))
        optimizer.step()
        state = optimizer.state[weight]
        state["exp_avg"].copy_(rounded(state["exp_avg"], SIGNED))
        state["exp_avg_sq"].copy_(rounded(state["exp_avg_sq"], NON_NEGATIVE))
        steps["after"].append(numbers(weight))
    return steps


FILE.write_text(json.dumps({"levels": levels(), "adamw": adamw()}) + "\n")

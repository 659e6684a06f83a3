#!/usr/bin/env python3
"""How well rules read a learning rate off a range test, against races that try the rates.

For each tiny model and each text: `kiln find-rate` once a seed, and one training a rate of a grid of factor 2, whose lowest validation
loss at the end names the best rate. Then each rule's rate is compared with the best one. Needs nothing but Python and the binary:

    scripts/find-rate-rules.py target/release/kiln folder shakespeare.txt code.txt prose.txt

Everything is kept in the folder; what is there is not computed again, so a stopped measurement goes on.
"""

import json
import math
import os
import pathlib
import subprocess
import sys

MODELS = ["rnn", "lstm", "gru", "transformer"]
CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs" / "tiny"
LENGTHS = [200, 1000]
SEEDS = [1, 2, 3]
# From 2^-12 to 2^-2 and from 2^-6 to 2^7, the best rates of these models well inside.
GRIDS = {"adamw": [2.0**power for power in range(-12, -1)], "sgd": [2.0**power for power in range(-6, 8)]}
TEST_STEPS = 200


def main():
    kiln, folder, texts = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for optimizer, grid in GRIDS.items():
        for text in map(pathlib.Path, texts):
            for model in MODELS:
                config = write_config(folder, model, text, optimizer)
                tests = [range_test(kiln, folder, config, seed) for seed in SEEDS]
                for length in LENGTHS:
                    losses = [race(kiln, folder, config, length, rate) for rate in grid]
                    cases.append({"optimizer": optimizer, "model": model, "text": text.stem, "length": length,
                                  "grid": grid, "losses": losses, "tests": tests})
    print_best(cases)
    for optimizer in GRIDS:
        print_rules(optimizer, [case for case in cases if case["optimizer"] == optimizer])


def write_config(folder, model, text, optimizer):
    """The tiny configuration of a model, on another text and with another optimizer."""
    lines = (CONFIGS / f"{model}.toml").read_text().replace(
        "[data.builtin]\ncharacters = 20_000\nseed = 1", f'[data.file]\npaths = ["{text.resolve()}"]'
    ).replace("[optimizer.adamw]", f"[optimizer.{optimizer}]")
    path = folder / f"{model}-{text.stem}-{optimizer}.toml"
    path.write_text(lines)
    return path


def run(kiln, arguments):
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "KILN_CACHE": "/tmp/kiln-find-rate-cache"}
    return subprocess.run([kiln, *arguments], env=environment, capture_output=True, text=True, check=False)


def range_test(kiln, folder, config, seed):
    """The points of one range test."""
    kept = folder / f"{config.stem}-test-{seed}.json"
    if not kept.exists():
        ended = run(kiln, ["find-rate", str(config), "--device", "cpu", "--steps", str(TEST_STEPS), "--json",
                           "--set", f"seed={seed}"])
        if ended.returncode != 0:
            sys.exit(ended.stderr)
        kept.write_text(ended.stdout)
    return json.loads(kept.read_text())


def race(kiln, folder, config, length, rate):
    """The validation loss at the end of a training with this highest rate; infinite where it diverges."""
    name = f"{config.stem}-{length}-{rate:.6f}"
    kept = folder / f"{name}.json"
    if not kept.exists():
        settings = {
            "run.steps": length, "run.evaluate-every": length, "run.checkpoint-every": length, "run.log-every": length,
            "schedule.cosine.rate": rate, "schedule.cosine.final-rate": rate / 10,
            "schedule.cosine.warmup": length // 20, "run.evaluate-fraction": 0.5,
        }
        arguments = ["train", str(config), "--device", "cpu", "--runs", str(folder / "runs"), "--run", name]
        for key, value in settings.items():
            arguments += ["--set", f"{key}={value}"]
        ended = run(kiln, arguments)
        loss = None
        if ended.returncode == 0:
            log = (folder / "runs" / name / "metrics.jsonl").read_text().splitlines()
            loss = [json.loads(line)["valid_loss"] for line in log if "valid_loss" in line][-1]
        elif ended.returncode != 4:
            sys.exit(ended.stderr)
        kept.write_text(json.dumps(loss))
        run(kiln, ["rm", str(folder / "runs" / name), "--yes"])
    loss = json.loads(kept.read_text())
    return math.inf if loss is None else loss


# The rules: a rate from the points of a range test, or None.


def lowest(test):
    points = test["points"]
    return min(range(len(points)), key=lambda index: points[index]["smoothed"])


def a_part_of_the_lowest(part):
    return lambda test: test["points"][lowest(test)]["rate"] / part


def steepest(test):
    """Where the smoothed loss falls most steeply (Smith 2018, fastai's `steep`)."""
    return test["steepest"]


def valley(test):
    """fastai's default, `valley`: halfway through the longest falling stretch of the losses."""
    losses = [point["smoothed"] for point in test["points"]]
    lengths, end = [1] * len(losses), 0
    for i in range(1, len(losses)):
        lengths[i] = 1 + max((lengths[j] for j in range(i) if losses[i] < losses[j]), default=0)
        if lengths[end] < lengths[i]:
            end = i
    start = max(end - lengths[end], 0)
    third = (end - start) / 3
    return test["points"][start + int(third) + int(third / 2)]["rate"]


def slide(test):
    """fastai's `slide`: the last rate before the lowest loss where it still falls by half of its steepest slope."""
    points = test["points"]
    end = lowest(test)
    slopes = [points[i + 1]["smoothed"] - points[i - 1]["smoothed"] for i in range(1, max(end, 2))]
    worst = min(slopes)
    index = max(i for i, slope in enumerate(slopes, 1) if slope <= worst / 2)
    return points[index]["rate"]


def before_the_rise(part):
    """A part of the last rate before the smoothed loss is above its lowest value by 2 % of what it fell."""

    def rule(test):
        points, first = test["points"], test["first_loss"]
        low = points[lowest(test)]["smoothed"]
        for point in points[lowest(test):]:
            if point["smoothed"] > low + 0.02 * (first - low):
                return point["rate"] / part
        return points[-1]["rate"] / part

    return rule


def part_of_the_divergence(part):
    return lambda test: (test["stop"].get("rate") or test["to"]) / part


def share_of_the_fall(share):
    """Where the smoothed loss has fallen by this share of all that it falls."""

    def rule(test):
        points, first = test["points"], test["first_loss"]
        low = points[lowest(test)]["smoothed"]
        return next(point["rate"] for point in points if point["smoothed"] <= first - share * (first - low))

    return rule


RULES = {
    **{f"lowest / {part}": a_part_of_the_lowest(part) for part in [10, 8, 6, 5, 4, 3, 2]},
    "steepest": steepest,
    "steepest x 2": lambda test: 2 * steepest(test),
    "valley": valley,
    "slide": slide,
    **{f"before the rise / {part}": before_the_rise(part) for part in [10, 4]},
    **{f"divergence / {part}": part_of_the_divergence(part) for part in [100, 50, 20, 10]},
    **{f"{share:.0%} of the fall": share_of_the_fall(share) for share in [0.5, 0.6, 0.7, 0.8, 0.9]},
}


def best_rate(case):
    """The minimum of the parabola through the best point of the grid and its neighbours, in log2 of the rate."""
    losses, grid = case["losses"], case["grid"]
    index = min(range(len(losses)), key=losses.__getitem__)
    if index in (0, len(losses) - 1) or not all(map(math.isfinite, losses[index - 1:index + 2])):
        return grid[index]
    before, here, after = losses[index - 1:index + 2]
    shift = 0.5 * (before - after) / (before - 2 * here + after)
    return grid[index] * 2**shift


def loss_at(case, rate):
    """The loss at a rate, linear between the grid's in the logarithm."""
    losses, grid = case["losses"], case["grid"]
    place = math.log2(rate / grid[0])
    index = min(max(math.floor(place), 0), len(grid) - 2)
    part = min(max(place - index, 0.0), 1.0)
    return losses[index] + part * (losses[index + 1] - losses[index]) if part else losses[index]


def print_best(cases):
    print("| optimizer | model | text | steps | best rate | loss |", "|---|---|---|---|---|---|", sep="\n")
    for case in cases:
        print(f"| {case['optimizer']} | {case['model']} | {case['text']} | {case['length']} | {best_rate(case):.2e} "
              f"| {min(case['losses']):.3f} |")


def print_rules(optimizer, cases):
    for length in [*LENGTHS, None]:
        chosen = [case for case in cases if length in (case["length"], None)]
        print(f"\n{optimizer}, {'all' if length is None else length} steps", "", sep="\n")
        print("| rule | median of rate / best | typical factor off | largest factor off | mean excess loss | largest |",
              "|---|---|---|---|---|---|", sep="\n")
        for name, rule in RULES.items():
            offs, excesses = [], []
            for case in chosen:
                best = best_rate(case)
                for test in case["tests"]:
                    rate = rule(test)
                    offs.append(math.log2(rate / best))
                    excesses.append(loss_at(case, rate) - min(case["losses"]))
            offs.sort()
            typical = 2 ** math.sqrt(sum(off * off for off in offs) / len(offs))
            print(f"| {name} | {2 ** offs[len(offs) // 2]:.2f} | {typical:.2f} | {2 ** max(map(abs, offs)):.2f} "
                  f"| {sum(excesses) / len(excesses):.4f} | {max(excesses):.4f} |")


main()

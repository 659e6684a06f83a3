#!/usr/bin/env python3
"""How well rules read a learning rate off a range test, against races that try the rates.

For each tiny model and each text: `kiln find-rate` once a seed, and one training a rate of a grid of factor 2, whose lowest
validation loss at the end names the best rate. Then each rule's rate is compared with the best one. Needs nothing but Python and
the binary; the texts should be in ASCII, since the last tenth must have no character that the rest lacks:

    scripts/find-rate-rules.py target/release/kiln folder shakespeare.txt code.txt prose.txt

Everything is kept in the folder; what is there is not computed again, so a measurement that was stopped resumes.
"""

import json
import math
import os
import pathlib
import re
import subprocess
import sys

MODELS = ["rnn", "lstm", "gru", "transformer"]
CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs" / "tiny"
LENGTHS = [200, 1000]
SEEDS = [1, 2, 3]
# From 2^-12 to 2^-2 and from 2^-6 to 2^7, the best rates of these models well inside.
GRIDS = {"adamw": [2.0**power for power in range(-12, -1)], "sgd": [2.0**power for power in range(-6, 8)]}
TEST_STEPS = 200
# What is measured: the tiny models, with either optimizer; and models four times as wide, with AdamW.
SETS = [("adamw", ""), ("sgd", ""), ("adamw", "wide")]
WIDE = {"transformer": {"width": 128}, **{model: {"hidden": 128, "embedding": 64} for model in ["rnn", "lstm", "gru"]}}


def main():
    kiln, folder, texts = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for optimizer, size in SETS:
        grid = GRIDS[optimizer]
        for text in map(pathlib.Path, texts):
            for model in MODELS:
                config = write_config(folder, model, text, optimizer, size)
                tests = [range_test(kiln, folder, config, seed) for seed in SEEDS]
                # Long trainings of wide models take long: one text has to do.
                for length in LENGTHS[:1] if size and text.stem != pathlib.Path(texts[0]).stem else LENGTHS:
                    losses = [race(kiln, folder, config, length, rate) for rate in grid]
                    names = {"set": f"{optimizer} {size}".strip(), "model": model, "text": text.stem}
                    cases.append({**names, "length": length, "grid": grid, "losses": losses, "tests": tests})
    print_best(cases)
    for name in dict.fromkeys(case["set"] for case in cases):
        chosen = [case for case in cases if case["set"] == name]
        print_rules(name, chosen)
        print_verified(name, chosen)


def write_config(folder, model, text, optimizer, size):
    """The tiny configuration of a model, on another text, with another optimizer and width."""
    lines = (CONFIGS / f"{model}.toml").read_text().replace(
        "[data.builtin]\ncharacters = 20_000\nseed = 1", f'[data.file]\npaths = ["{text.resolve()}"]'
    ).replace("[optimizer.adamw]", f"[optimizer.{optimizer}]")
    for key, value in (WIDE[model] if size else {}).items():
        lines = re.sub(rf"^{key} = .*", f"{key} = {value}", lines, flags=re.MULTILINE)
    path = folder / f"{model}-{text.stem}-{optimizer}{size}.toml"
    path.write_text(lines)
    return path


def run(kiln, arguments):
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
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


def diverged(test):
    """Where training diverged, or the last rate."""
    return test["stop"].get("rate") or test["to"]


def way(share):
    """The sum of all rates up to where the smoothed loss has fallen by this share of all that it falls."""

    def rule(test):
        points, first = test["points"], test["first_loss"]
        bound = first - share * (first - points[lowest(test)]["smoothed"])
        last = next(index for index, point in enumerate(points) if point["smoothed"] <= bound)
        return sum(point["rate"] for point in points[:last + 1])

    return rule


def times(factor, *rates):
    """A factor times the geometric mean of rates."""
    return lambda test: factor * math.prod(rate(test) for rate in rates) ** (1 / len(rates))


def a_constant(_):
    return 1.0


# Each with the factor that is usual, or else with the one that left the least loss over all cases of an optimizer (for AdamW,
# of both widths).
def rules(is_plain):
    def either(adamw, sgd):
        return sgd if is_plain else adamw

    lowest_rate = a_part_of_the_lowest(1)
    return {
        "lowest / 10 (was Kiln's)": times(1 / 10, lowest_rate),
        "lowest / 4": times(1 / 4, lowest_rate),
        "lowest, best factor": times(either(0.21, 1.7), lowest_rate),
        "steepest (Smith, fastai)": steepest,
        "steepest, best factor": times(either(8, 13), steepest),
        "valley (fastai's default)": valley,
        "slide (fastai)": slide,
        "divergence, best factor": times(either(0.019, 0.25), diverged),
        "the same rate for all": times(either(0.008, 4), a_constant),
        "way, best factor": times(either(1.2, 2.4), way(0.15)),
        "way and divergence (Kiln's)": times(either(0.15, 0.7), way(0.15), diverged),
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
    print("| set | model | text | steps | best rate | loss |", "|---|---|---|---|---|---|", sep="\n")
    for case in cases:
        print(f"| {case['set']} | {case['model']} | {case['text']} | {case['length']} | {best_rate(case):.2e} "
              f"| {min(case['losses']):.3f} |")


def print_rules(name, cases):
    for length in [*LENGTHS, None]:
        chosen = [case for case in cases if length in (case["length"], None)]
        print(f"\n{name}, {'all' if length is None else length} steps", "", sep="\n")
        print("| rule | median of rate / best | typical factor off | largest factor off | mean excess loss | largest |",
              "|---|---|---|---|---|---|", sep="\n")
        for rule_name, rule in rules(is_plain="sgd" in name).items():
            offs, excesses = [], []
            for case in chosen:
                best = best_rate(case)
                for test in case["tests"]:
                    rate = rule(test)
                    offs.append(math.log2(rate / best))
                    excesses.append(loss_at(case, rate) - min(case["losses"]))
            offs.sort()
            typical = 2 ** math.sqrt(sum(off * off for off in offs) / len(offs))
            print(f"| {rule_name} | {2 ** offs[len(offs) // 2]:.2f} | {typical:.2f} | {2 ** max(map(abs, offs)):.2f} "
                  f"| {sum(excesses) / len(excesses):.4f} | {max(excesses):.4f} |")


def print_verified(name, cases):
    """What the best of three rates around Kiln's, found by trainings of 200 steps, leaves."""
    rule = rules(is_plain="sgd" in name)["way and divergence (Kiln's)"]
    short = {(case["model"], case["text"]): case for case in cases if case["length"] == LENGTHS[0]}
    for factor in [1, 1.5, 2, 3]:
        for length in LENGTHS:
            excesses = []
            for case in cases:
                if case["length"] != length:
                    continue
                for test in case["tests"]:
                    rates = [rule(test) * step for step in (1 / factor, 1, factor)]
                    best = min(rates, key=lambda rate: loss_at(short[case["model"], case["text"]], rate))
                    excesses.append(loss_at(case, best) - min(case["losses"]))
            mean = sum(excesses) / len(excesses)
            print(f"{name}, three rates a factor {factor} apart, {length} steps: mean excess {mean:.4f}, "
                  f"largest {max(excesses):.4f}")


main()

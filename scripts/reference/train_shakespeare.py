#!/usr/bin/env python3
"""Trains one of the recipes of configs/shakespeare in PyTorch, for a loss to put beside Kiln's at equal steps.

    python3 scripts/reference/train_shakespeare.py --model lstm --seed 1 --data tinyshakespeare.txt

Writes no file. Prints one JSON object on the standard output, with the loss over the whole validation split in nats per
character; progress goes to the standard error. The models and recipes are in `recipes.py`.
"""

import argparse
import json
import sys
import time

import torch

from recipes import DTYPES, SHAKESPEARE, build, read_splits, train_step


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=list(SHAKESPEARE), required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", required=True, help="a UTF-8 text; its first 90 %% of characters train")
    parser.add_argument("--steps", type=int, help="default: the recipe's")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log-every", type=int, default=250)
    return parser.parse_args()


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    train, validation, vocabulary = read_splits(options.data)
    training = build(options.model, train, vocabulary, options.seed, options.steps, options.device, options.dtype)
    seconds, begun = 0.0, time.perf_counter()
    for step in range(training.steps):
        loss = train_step(training, step)
        if (step + 1) % options.log_every == 0 or step + 1 == training.steps:
            value = loss.item()
            seconds += time.perf_counter() - begun
            print(f"{options.model} step {step + 1}/{training.steps} loss {value:.4f} {seconds:.0f} s", file=sys.stderr)
            begun = time.perf_counter()
    peak = torch.cuda.max_memory_allocated() if options.device != "cpu" else 0
    result = {
        "model": options.model,
        "seed": options.seed,
        "steps": training.steps,
        "valid_loss": round(training.evaluate(validation), 5),
        "train_seconds": round(seconds, 1),
        "torch": torch.__version__,
        "threads": options.threads,
    }
    if options.device != "cpu":
        result |= {
            "device": torch.cuda.get_device_name(),
            "dtype": options.dtype,
            "tokens_per_second": round(training.steps * training.tokens_per_step / seconds),
            "peak_memory_mib": round(peak / 2**20, 1),
        }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

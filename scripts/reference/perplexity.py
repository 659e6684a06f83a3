#!/usr/bin/env python3
"""The perplexity of a small Llama of `crates/models/fixtures/hugging-face` on a text, by `transformers` in windows with strides.

    python3 scripts/reference/perplexity.py

Prints nats a token for the windows that `kiln eval` reads (a stride of a whole context, the last window moved back to end with the text; that is
the number in `tests/foreign.rs`), and for the windows of `transformers`' own page on perplexity with a stride of half a context, in which every
token but the first ones is predicted from half a context at least.
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

FOLDER = Path(__file__).resolve().parents[2] / "crates/models/fixtures/hugging-face/llama"
CONTEXT = 128
# The tokenizer of the test: A to Z, then a to n; a B (token 1) stands before the text.
START = [1]
TEXT = [(place * place + place // 3) % 40 for place in range(300)]


def losses(model, tokens, begin, end):
    """Of the tokens from begin + 1 to end, each predicted from those from begin on."""
    with torch.no_grad():
        logits = model(torch.tensor([tokens[begin:end]])).logits[0].double()
    targets = torch.tensor(tokens[begin + 1:end + 1])
    return torch.nn.functional.cross_entropy(logits[:len(targets)], targets, reduction="none")


def strided(model, tokens, stride):
    """Windows that begin every `stride` tokens; of each, what the one before it hasn't predicted counts."""
    total, done, targets = 0.0, 0, len(tokens) - 1
    for begin in range(0, targets, stride):
        begin = max(0, min(begin, targets - CONTEXT))
        end = min(begin + CONTEXT, targets)
        total += losses(model, tokens, begin, end)[done - begin:].sum().item()
        done = end
        if done == targets:
            return total / targets


def main():
    model = AutoModelForCausalLM.from_pretrained(FOLDER).eval().float()
    for name, tokens in (("behind the start", START + TEXT), ("as it is", TEXT)):
        for stride in (CONTEXT, CONTEXT // 2):
            print(f"{name}, stride {stride}: {strided(model, tokens, stride):.9f} nats a token")


main()

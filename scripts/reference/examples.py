#!/usr/bin/env python3
"""Losses of examples of which only some tokens are predicted, and their gradients, by PyTorch.

    python3 scripts/reference/examples.py            # writes crates/training/fixtures/examples.json
    python3 scripts/reference/examples.py --check    # compares with what is there

An Elman network of one layer reads each example alone, in double precision.

`masked`: the cross-entropy of the tokens that are predicted, `ignore_index` elsewhere; the mean over those of all batches of an update,
whatever batch they are in.

`preferences`: direct preference optimization (Rafailov et al. 2023, https://arxiv.org/abs/2305.18290, equation 7), with the label smoothing of
"conservative" DPO (Mitchell 2023): the mean over pairs of -(1 - e) log sigmoid(b d) - e log sigmoid(-b d), where d is the difference of the
log-probabilities of the chosen and the rejected answer, less that of the reference model.
"""

import sys

import torch
import torch.nn.functional as functional

from fixture_files import command_line, number, source, store, tensor

VOCABULARY, EMBEDDING, HIDDEN = 5, 3, 4
IGNORED = -100

# Each example: its tokens, and 1 for those that are predicted.
BATCHES = [
    [([0, 3, 1, 4, 2], [0, 0, 0, 1, 1]), ([2, 2, 0], [0, 1, 1])],
    [([1, 4, 4, 0], [0, 1, 0, 1]), ([3, 1, 0, 2, 2, 4, 1], [0, 0, 1, 1, 1, 1, 1])],
]

# Each pair: prompt, chosen answer, rejected answer.
PAIRS = [([0, 3], [1, 4, 2], [2, 2]), ([4], [0, 1], [3, 3, 0, 1])]


def model(rate):
    shapes = {
        "embedding.weight": (VOCABULARY, EMBEDDING),
        "layers.0.input_weight": (EMBEDDING, HIDDEN),
        "layers.0.hidden_weight": (HIDDEN, HIDDEN),
        "layers.0.bias": (HIDDEN,),
        "output.weight": (HIDDEN, VOCABULARY),
        "output.bias": (VOCABULARY,),
    }
    parameters = {}
    for index, (name, shape) in enumerate(shapes.items()):
        places = torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float64)
        parameters[name] = (0.5 * torch.sin(rate * places**2 + index)).reshape(shape).requires_grad_()
    return parameters


def logits(parameters, tokens):
    state, rows = torch.zeros(HIDDEN, dtype=torch.float64), []
    for token in tokens:
        read = parameters["embedding.weight"][token] @ parameters["layers.0.input_weight"]
        state = torch.tanh(read + state @ parameters["layers.0.hidden_weight"] + parameters["layers.0.bias"])
        rows.append(state @ parameters["output.weight"] + parameters["output.bias"])
    return torch.stack(rows)


def masked():
    parameters = model(0.37)
    sums, counts = [], []
    for batch in BATCHES:
        found, count = torch.zeros((), dtype=torch.float64), 0
        for tokens, counted in batch:
            targets = torch.tensor([token if counts else IGNORED for token, counts in zip(tokens[1:], counted[1:])])
            found = found + functional.cross_entropy(logits(parameters, tokens[:-1]), targets, ignore_index=IGNORED, reduction="sum")
            count += sum(counted)
        sums.append(found)
        counts.append(count)
    loss = sum(sums) / sum(counts)
    loss.backward()
    return {
        "parameters": {name: tensor(value) for name, value in parameters.items()},
        "batches": [[{"tokens": tokens, "counted": counted} for tokens, counted in batch] for batch in BATCHES],
        "losses": [number((found / count).item()) for found, count in zip(sums, counts)],
        "loss": number(loss.item()),
        "gradients": {name: tensor(value.grad) for name, value in parameters.items()},
    }


def answer_log_probability(parameters, prompt, answer):
    tokens = prompt + answer
    found = torch.log_softmax(logits(parameters, tokens[:-1]), dim=1)
    places = range(len(prompt) - 1, len(tokens) - 1)
    return sum(found[place, tokens[place + 1]] for place in places)


def preferences(beta, smoothing):
    parameters, reference = model(0.37), model(0.41)
    losses, margins, references = [], [], []
    for prompt, chosen, rejected in PAIRS:
        own = [answer_log_probability(parameters, prompt, answer) for answer in (chosen, rejected)]
        others = [answer_log_probability(reference, prompt, answer).detach() for answer in (chosen, rejected)]
        margin = beta * ((own[0] - own[1]) - (others[0] - others[1]))
        losses.append(-(1 - smoothing) * functional.logsigmoid(margin) - smoothing * functional.logsigmoid(-margin))
        margins.append(margin)
        references.append([number(value.item()) for value in others])
    loss = torch.stack(losses).mean()
    loss.backward()
    return {
        "beta": beta,
        "smoothing": smoothing,
        "references": references,
        "margins": [number(margin.item()) for margin in margins],
        "loss": number(loss.item()),
        "gradients": {name: tensor(value.grad) for name, value in parameters.items()},
    }


def main():
    arguments = command_line(__doc__)
    cases = [preferences(0.1, 0.0), preferences(2.0, 0.0), preferences(0.5, 0.1)]
    content = {
        "source": source("examples.py"),
        "masked": masked(),
        "reference": {name: tensor(value) for name, value in model(0.41).items()},
        "pairs": [{"prompt": prompt, "chosen": chosen, "rejected": rejected} for prompt, chosen, rejected in PAIRS],
        "preferences": cases,
    }
    return 0 if store("crates/training/fixtures/examples.json", content, arguments.check) else 1


if __name__ == "__main__":
    sys.exit(main())

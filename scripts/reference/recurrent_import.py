#!/usr/bin/env python3
"""Small recurrent language models of PyTorch, with the logits that it computes.

    python3 scripts/reference/recurrent_import.py        # writes crates/models/fixtures/recurrent/

Each NAME.safetensors has an `nn.Embedding`, an `nn.RNN`, `nn.LSTM` or `nn.GRU` of two layers and an `nn.Linear`, under
PyTorch's names; `logits.json` has the tokens of a text and the logits of its last place. Made with PyTorch 2.15.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[2] / "crates/models/fixtures/recurrent"
VOCABULARY, EMBEDDING, HIDDEN, STEPS = 11, 5, 6, 13


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name in ["rnn", "lstm", "gru"]:
        torch.manual_seed(5)
        embedding = torch.nn.Embedding(VOCABULARY, EMBEDDING)
        layers = getattr(torch.nn, name.upper())(EMBEDDING, HIDDEN, num_layers=2, batch_first=True)
        head = torch.nn.Linear(HIDDEN, VOCABULARY)
        tokens = torch.randint(0, VOCABULARY, (1, STEPS))
        with torch.no_grad():
            logits = head(layers(embedding(tokens))[0])[0, -1]
        parts = {"embedding": embedding, name: layers, "fc": head}
        tensors = {f"{part}.{key}": value for part, module in parts.items() for key, value in module.state_dict().items()}
        save_file({key: value.contiguous() for key, value in tensors.items()}, FOLDER / f"{name}.safetensors")
        expected[name] = {"tokens": tokens[0].tolist(), "logits": logits.tolist()}
    (FOLDER / "logits.json").write_text(json.dumps(expected, indent=1) + "\n")


main()

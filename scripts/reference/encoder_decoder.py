#!/usr/bin/env python3
"""Logits, losses and gradients of small encoder-decoders, computed by `torch.nn.Transformer` in double precision.

    python3 scripts/reference/encoder_decoder.py            # writes crates/models/fixtures/encoder_decoder_<name>.json
    python3 scripts/reference/encoder_decoder.py --check    # compares with what is there

The parameters are not in the files: both sides compute them as `cells.py` says, in the order in which Kiln's model has them.
Embeddings, positions and the head stand around PyTorch's module, which has none. A loss is that of each token of the targets;
a gradient is that of the sum of those which are no padding.
"""

import math
import sys

import torch
from torch import nn
from torch.nn import functional as F

from cells import Fixture, gru_parameters, lstm_parameters, run_recurrent
from fixture_files import command_line, source, store, tensor

VOCABULARY, CONTEXT, WIDTH, HEADS, INNER, LAYERS = 7, 6, 8, 2, 12, (2, 1)
SOURCES = torch.tensor([[3, 1, 4, 1, 0], [5, 2, 0, 6, 6], [2, 6, 5, 0, 4]])
SOURCE_LENGTHS = [5, 3, 4]
INPUTS = torch.tensor([[0, 2, 5, 1], [0, 4, 0, 0], [0, 1, 1, 3]])
TARGETS = torch.tensor([[2, 5, 1, 0], [4, 0, 0, 0], [1, 1, 3, 0]])
LENGTHS = [4, 2, 4]


def pair(fixture, name, inputs, outputs):
    """A projection's weight [in, out] and bias, turned to PyTorch's [out, in]."""
    return fixture.weight(f"{name}.weight", inputs, outputs).T, fixture.weight(f"{name}.bias", outputs)


def norm(fixture, name):
    return fixture.norm_weight(f"{name}.weight", WIDTH), fixture.weight(f"{name}.bias", WIDTH)


def block(fixture, ours, theirs, is_decoder, parameters):
    """Puts the parameters of one block under PyTorch's names."""

    def put(name, values, suffixes=("weight", "bias")):
        parameters.update({f"{theirs}.{name}{suffix}": value for suffix, value in zip(suffixes, values)})

    dot, joined = (".weight", ".bias"), ("_weight", "_bias")
    put("norm1", norm(fixture, f"{ours}.attention_norm"), dot)
    put("self_attn.in_proj", pair(fixture, f"{ours}.attention.query_key_value", WIDTH, 3 * WIDTH), joined)
    put("self_attn.out_proj", pair(fixture, f"{ours}.attention.output", WIDTH, WIDTH), dot)
    if is_decoder:
        put("norm2", norm(fixture, f"{ours}.cross_attention_norm"), dot)
        query = pair(fixture, f"{ours}.cross_attention.query", WIDTH, WIDTH)
        key_value = pair(fixture, f"{ours}.cross_attention.key_value", WIDTH, 2 * WIDTH)
        put("multihead_attn.in_proj", [torch.cat(both) for both in zip(query, key_value)], joined)
        put("multihead_attn.out_proj", pair(fixture, f"{ours}.cross_attention.output", WIDTH, WIDTH), dot)
    put("norm3" if is_decoder else "norm2", norm(fixture, f"{ours}.feed_forward_norm"), dot)
    put("linear1", pair(fixture, f"{ours}.feed_forward.input", WIDTH, INNER), dot)
    put("linear2", pair(fixture, f"{ours}.feed_forward.output", INNER, WIDTH), dot)


def with_losses(fixture, logits, smoothing):
    """The file: logits, losses, and the gradients of the sum of the losses that are no padding."""
    losses = F.cross_entropy(logits.reshape(-1, VOCABULARY), TARGETS.reshape(-1), reduction="none", label_smoothing=smoothing)
    losses = losses.reshape(TARGETS.shape)
    counts = torch.arange(TARGETS.shape[1])[None] < torch.tensor(LENGTHS)[:, None]
    gradients = torch.autograd.grad((losses * counts).sum(), list(fixture.parameters.values()))
    tokens = {"sources": SOURCES, "inputs": INPUTS, "targets": TARGETS}
    return {
        "source": source("encoder_decoder.py"),
        "inputs": {name: tensor(value) for name, value in tokens.items()},
        "outputs": {"logits": tensor(logits), "losses": tensor(losses)},
        "gradients": {name: tensor(value) for name, value in zip(fixture.parameters, gradients)},
    }


def sinusoids(length):
    position = torch.arange(length, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, WIDTH, 2, dtype=torch.float64) * (-math.log(10000.0) / WIDTH))
    return torch.stack([torch.sin(position * rate), torch.cos(position * rate)], 2).reshape(length, WIDTH)


def encoder_decoder(activation, norm_first, shared, learned, tied, scaled, smoothing):
    def compute(fixture):
        table = fixture.weight("token_embedding.weight", VOCABULARY, WIDTH)
        of_sources = table if shared else fixture.weight("source_embedding.weight", VOCABULARY, WIDTH)
        if learned:
            positions = [fixture.weight(f"{half}_positions.weight", CONTEXT, WIDTH) for half in ("source", "target")]
        else:
            positions = [sinusoids(CONTEXT)] * 2
        parameters = {}
        for index in range(LAYERS[0]):
            block(fixture, f"encoder.{index}", f"encoder.layers.{index}", False, parameters)
        if norm_first:
            parameters["encoder.norm.weight"], parameters["encoder.norm.bias"] = norm(fixture, "encoder_norm")
        for index in range(LAYERS[1]):
            block(fixture, f"decoder.{index}", f"decoder.layers.{index}", True, parameters)
        if norm_first:
            parameters["decoder.norm.weight"], parameters["decoder.norm.bias"] = norm(fixture, "decoder_norm")
        head = table.T if tied else fixture.weight("output.weight", WIDTH, VOCABULARY)

        options = dict(activation=activation, dropout=0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64)
        last = (lambda: nn.LayerNorm(WIDTH, dtype=torch.float64)) if norm_first else (lambda: None)
        encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, **options), LAYERS[0], last(), enable_nested_tensor=False)
        decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, HEADS, INNER, **options), LAYERS[1], last())
        model = nn.Transformer(WIDTH, HEADS, custom_encoder=encoder, custom_decoder=decoder, batch_first=True)
        assert set(parameters) == {name for name, _ in model.named_parameters()}

        factor = math.sqrt(WIDTH) if scaled else 1.0
        embed = lambda table, tokens, positions: table[tokens] * factor + positions[: tokens.shape[1]]
        padding = torch.arange(SOURCES.shape[1])[None] >= torch.tensor(SOURCE_LENGTHS)[:, None]
        later = torch.ones(INPUTS.shape[1], INPUTS.shape[1], dtype=torch.bool).triu(1)
        hidden = torch.func.functional_call(
            model,
            parameters,
            (embed(of_sources, SOURCES, positions[0]), embed(table, INPUTS, positions[1])),
            dict(tgt_mask=later, src_key_padding_mask=padding, memory_key_padding_mask=padding),
        )
        return with_losses(fixture, hidden @ head, smoothing)

    return compute


# --- recurrent --------------------------------------------------------------------------------------------------------

EMBEDDING, HIDDEN, ATTENTION = 3, 4, 5


def layers(fixture, name, count, first, others, layer_parameters):
    """The parameters of layers one above the other, four of PyTorch's each."""
    return [layer_parameters(fixture, first if index == 0 else others, HIDDEN, f"{name}.{index}.") for index in range(count)]


def run(kernel, x, hidden, parameters):
    """One layer's outputs, and its state of one or two tensors after them."""
    state = (hidden[0][None], hidden[1][None]) if kernel is torch.lstm else hidden[0][None]
    output, *after = run_recurrent(kernel, x, state, parameters)
    return output, [part[0] for part in after]


def recurrent(kernel, layer_parameters, count, bidirectional, attention, shared):
    def compute(fixture):
        memory_width = (2 if bidirectional else 1) * HIDDEN
        table = fixture.weight("token_embedding.weight", VOCABULARY, EMBEDDING)
        of_sources = table if shared else fixture.weight("source_embedding.weight", VOCABULARY, EMBEDDING)
        encoder = layers(fixture, "encoder", count, EMBEDDING, memory_width, layer_parameters)
        backward = layers(fixture, "encoder_backward", count if bidirectional else 0, EMBEDDING, memory_width, layer_parameters)
        bridge = [
            (fixture.weight(f"bridge.{index}.weight", memory_width, HIDDEN), fixture.weight(f"bridge.{index}.bias", HIDDEN))
            for index in range(count)
        ]
        decoder = layers(fixture, "decoder", count, EMBEDDING + (memory_width if attention else 0), HIDDEN, layer_parameters)
        if attention:
            query = fixture.weight("attention.query.weight", HIDDEN, ATTENTION)
            key = fixture.weight("attention.key.weight", memory_width, ATTENTION)
            key_bias = fixture.weight("attention.key.bias", ATTENTION)
            score = fixture.weight("attention.score.weight", ATTENTION, 1)
        head = fixture.weight("output.weight", HIDDEN + (memory_width if attention else 0), VOCABULARY)
        bias = fixture.weight("output.bias", VOCABULARY)

        logits = []
        for source, length, inputs in zip(SOURCES, SOURCE_LENGTHS, INPUTS):
            below, states = of_sources[source[:length]][None], []
            zeros = [torch.zeros(1, HIDDEN, dtype=torch.float64)] * 2
            for index in range(count):
                forward, _ = run(kernel, below, zeros, encoder[index])
                outputs, last = [forward], [forward[:, -1]]
                if bidirectional:
                    turned, _ = run(kernel, below.flip(1), zeros, backward[index])
                    outputs.append(turned.flip(1))
                    last.append(turned[:, -1])
                weight, offset = bridge[index]
                states.append([torch.tanh(torch.cat(last, 1) @ weight + offset), zeros[1]])
                below = torch.cat(outputs, 2)
            memory, row = below[0], []
            for token in inputs:
                x, context = table[token][None, None], None
                if attention:
                    scores = torch.tanh(states[0][0] @ query + memory @ key + key_bias) @ score
                    context = (torch.softmax(scores, 0) * memory).sum(0)[None, None]
                    x = torch.cat((x, context), 2)
                for index in range(count):
                    x, after = run(kernel, x, states[index], decoder[index])
                    states[index] = after if len(after) > 1 else [after[0], zeros[1]]
                features = torch.cat((x, context), 2) if attention else x
                row.append(features[0, 0] @ head + bias)
            logits.append(torch.stack(row))
        return with_losses(fixture, torch.stack(logits), 0.0)

    return compute


FIXTURES = {
    "recurrent_gru": recurrent(torch.gru, gru_parameters, count=1, bidirectional=True, attention=True, shared=True),
    "recurrent_lstm": recurrent(torch.lstm, lstm_parameters, count=2, bidirectional=False, attention=False, shared=False),
    "recurrent_deep": recurrent(torch.gru, gru_parameters, count=2, bidirectional=True, attention=True, shared=False),
    "after": encoder_decoder("relu", norm_first=False, shared=True, learned=False, tied=True, scaled=True, smoothing=0.0),
    "before": encoder_decoder("gelu", norm_first=True, shared=False, learned=True, tied=False, scaled=False, smoothing=0.1),
}


def main():
    options = command_line(__doc__)
    torch.set_num_threads(1)
    agree = True
    for name, compute in FIXTURES.items():
        agree &= store(f"crates/models/fixtures/encoder_decoder_{name}.json", compute(Fixture()), options.check)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Outputs and gradients of recurrent cells, attention, blocks and language models, computed by PyTorch in double precision.

    python3 scripts/reference/cells.py            # writes crates/models/fixtures/<name>.json
    python3 scripts/reference/cells.py --check    # compares with what is there

The parameters are not in the files: both sides compute them, number `k` in its fixture's order and flat index `i` being
`0.5 sin(0.37 (i + 1)^2 + k)`, or `1 + 0.2 sin(...)` for the weight of a norm. Every matrix is [in, out], as Kiln stores it:
y = x W + b. A gradient is that of `sum over outputs m of sum_i o[i] cos(i + 1 + m)`, or of the loss where there is one.

The recurrent cells are PyTorch's own kernels, those of `torch.nn.RNN`, `LSTM` and `GRU`. Attention is written out, because
PyTorch's has no soft-cap, and compared with `scaled_dot_product_attention` wherever it has none.
"""

import sys

import torch
from torch.nn import functional as F

from fixture_files import command_line, source, store, tensor

EPSILON = 1e-5
ROTARY_BASE = 10000.0
SCORE_CAP = 2.0
LOGIT_CAP = 3.0
TOKENS = torch.tensor([[0, 3, 1, 4], [2, 2, 0, 1]])
TARGETS = torch.tensor([[3, 1, 4, 2], [2, 0, 1, 3]])
VOCABULARY = 5


# --- given values -----------------------------------------------------------------------------------------------------


def angles(shape, rate, offset):
    index = torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float64)
    return (rate * index**2 + offset).reshape(shape)


class Fixture:
    """The inputs and parameters that one computation asked for, each numbered in the order of asking."""

    def __init__(self):
        self.inputs, self.parameters = {}, {}

    def input(self, name, *shape):
        value = 0.8 * torch.cos(angles(shape, 0.53, len(self.inputs)))
        self.inputs[name] = value.requires_grad_()
        return self.inputs[name]

    def weight(self, name, *shape):
        value = 0.5 * torch.sin(angles(shape, 0.37, len(self.parameters)))
        self.parameters[name] = value.requires_grad_()
        return self.parameters[name]

    def norm_weight(self, name, *shape):
        value = 1.0 + 0.2 * torch.sin(angles(shape, 0.37, len(self.parameters)))
        self.parameters[name] = value.requires_grad_()
        return self.parameters[name]

    def content(self, outputs):
        """The file: `outputs` and the gradients of the objective with respect to all that was given."""
        inputs = dict(self.inputs)
        if "loss" in outputs:
            objective = outputs["loss"].sum()
            inputs |= {"tokens": TOKENS, "targets": TARGETS}
        else:
            objective = sum(weighted_sum(output, m) for m, output in enumerate(outputs.values()))
        leaves = self.inputs | self.parameters
        gradients = torch.autograd.grad(objective, list(leaves.values()))
        return {
            "source": source("cells.py"),
            "inputs": {name: tensor(value) for name, value in inputs.items()},
            "outputs": {name: tensor(value) for name, value in outputs.items()},
            "gradients": {name: tensor(value) for name, value in zip(leaves, gradients)},
        }


def weighted_sum(output, m):
    index = torch.arange(output.numel(), dtype=torch.float64)
    return (output.reshape(-1) * torch.cos(index + 1 + m)).sum()


def with_loss(logits):
    return {"logits": logits, "loss": F.cross_entropy(logits.flatten(0, 1), TARGETS.flatten()).reshape(1)}


# --- recurrent cells --------------------------------------------------------------------------------------------------
# Each `*_parameters` asks for one layer's parameters in Kiln's layout and gives PyTorch's four: input and hidden matrices
# ([out, in]), input and hidden biases.


def rnn_parameters(fixture, inputs, hidden, prefix=""):
    input_weight = fixture.weight(f"{prefix}input_weight", inputs, hidden)
    hidden_weight = fixture.weight(f"{prefix}hidden_weight", hidden, hidden)
    bias = fixture.weight(f"{prefix}bias", hidden)
    return [input_weight.T, hidden_weight.T, bias, torch.zeros_like(bias)]


def lstm_parameters(fixture, inputs, hidden, prefix=""):
    input_weight = fixture.weight(f"{prefix}input_weight", inputs, 4 * hidden)
    hidden_weight = fixture.weight(f"{prefix}hidden_weight", hidden, 4 * hidden)
    bias = fixture.weight(f"{prefix}bias", 4 * hidden)

    def torch_order(value):
        """Kiln's blocks are input, forget, output, candidate; PyTorch's are input, forget, candidate, output."""
        i, f, o, g = value.split(hidden, dim=-1)
        return torch.cat((i, f, g, o), dim=-1)

    return [torch_order(input_weight).T, torch_order(hidden_weight).T, torch_order(bias), torch.zeros_like(bias)]


def gru_parameters(fixture, inputs, hidden, prefix=""):
    input_weight = fixture.weight(f"{prefix}input_weight", inputs, 3 * hidden)
    hidden_weight = fixture.weight(f"{prefix}hidden_weight", hidden, 3 * hidden)
    bias = fixture.weight(f"{prefix}bias", 3 * hidden)
    hidden_bias = fixture.weight(f"{prefix}hidden_bias", hidden)
    gates = torch.zeros(2 * hidden, dtype=torch.float64)
    return [input_weight.T, hidden_weight.T, bias, torch.cat((gates, hidden_bias))]


def run_recurrent(kernel, x, state, parameters):
    """PyTorch's kernel over a whole window: x [B, T, in], state [layers, B, H] or a pair of them."""
    parameters = [parameter.contiguous() for parameter in parameters]
    return kernel(x, state, parameters, True, len(parameters) // 4, 0.0, False, False, True)


def rnn_cell(kernel):
    def compute(fixture):
        x, h0 = fixture.input("x", 2, 3, 3), fixture.input("h0", 2, 4)
        output, hidden = run_recurrent(kernel, x, h0[None], rnn_parameters(fixture, 3, 4))
        return {"output": output, "hidden": hidden[0]}

    return compute


def lstm_cell(fixture):
    x, h0, c0 = fixture.input("x", 2, 3, 3), fixture.input("h0", 2, 4), fixture.input("c0", 2, 4)
    output, hidden, cell = run_recurrent(torch.lstm, x, (h0[None], c0[None]), lstm_parameters(fixture, 3, 4))
    return {"output": output, "hidden": hidden[0], "cell": cell[0]}


def gru_cell(fixture):
    x, h0 = fixture.input("x", 2, 3, 3), fixture.input("h0", 2, 4)
    output, hidden = run_recurrent(torch.gru, x, h0[None], gru_parameters(fixture, 3, 4))
    return {"output": output, "hidden": hidden[0]}


def recurrent_language_model(kernel, layer_parameters, embedding, tied, hidden=4):
    """Embedding, two layers from a state of zeros, and a head that is the embedding where `tied`."""

    def compute(fixture):
        table = fixture.weight("embedding.weight", VOCABULARY, embedding)
        parameters = layer_parameters(fixture, embedding, hidden, "layers.0.")
        parameters += layer_parameters(fixture, hidden, hidden, "layers.1.")
        head = table.T if tied else fixture.weight("output.weight", hidden, VOCABULARY)
        bias = fixture.weight("output.bias", VOCABULARY)
        zeros = torch.zeros(2, 2, hidden, dtype=torch.float64)
        state = (zeros, zeros) if kernel is torch.lstm else zeros
        output = run_recurrent(kernel, table[TOKENS], state, parameters)[0]
        return with_loss(output @ head + bias)

    return compute


# --- attention --------------------------------------------------------------------------------------------------------


def rotate(x):
    """Rotary positions in the half-rotation form: x [B, heads, T, D], component j turns with component j + D/2."""
    time, half = x.shape[-2], x.shape[-1] // 2
    frequency = ROTARY_BASE ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(time, dtype=torch.float64)[:, None] * frequency
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()), dim=-1)


def mix(query, key, value, cap):
    """Causal attention of [B, heads, T, D] tensors; `cap` bounds the scaled scores smoothly before the mask."""
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if cap is not None:
        scores = cap * torch.tanh(scores / cap)
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    mixed = scores.masked_fill(later, float("-inf")).softmax(dim=-1) @ value
    if cap is None:
        torch.testing.assert_close(mixed, F.scaled_dot_product_attention(query, key, value, is_causal=True))
    return mixed


class Attention:
    """x [B, T, C] to [B, T, C]; asks for its parameters when built."""

    def __init__(self, fixture, width, heads, key_heads=None, head=4, bias=False, rotary=False, norm=False, prefix=""):
        self.heads, self.key_heads, self.head, self.rotary = heads, key_heads or heads, head, rotary
        columns = (heads + 2 * self.key_heads) * head
        self.weight = fixture.weight(f"{prefix}query_key_value.weight", width, columns)
        self.bias = fixture.weight(f"{prefix}query_key_value.bias", columns) if bias else 0.0
        self.output_weight = fixture.weight(f"{prefix}output.weight", heads * head, width)
        self.output_bias = fixture.weight(f"{prefix}output.bias", width) if bias else 0.0
        self.query_norm = fixture.norm_weight(f"{prefix}query_norm.weight", head) if norm else None
        self.key_norm = fixture.norm_weight(f"{prefix}key_norm.weight", head) if norm else None
        self.cap = SCORE_CAP if norm else None

    def __call__(self, x):
        batch, time, _ = x.shape
        heads = (x @ self.weight + self.bias).view(batch, time, -1, self.head).transpose(1, 2)
        query, key, value = heads.split((self.heads, self.key_heads, self.key_heads), dim=1)
        if self.query_norm is not None:
            query, key = rms_norm(query, self.query_norm), rms_norm(key, self.key_norm)
        if self.rotary:
            query, key = rotate(query), rotate(key)
        readers = self.heads // self.key_heads
        key, value = key.repeat_interleave(readers, dim=1), value.repeat_interleave(readers, dim=1)
        mixed = mix(query, key, value, self.cap).transpose(1, 2).reshape(batch, time, -1)
        return mixed @ self.output_weight + self.output_bias


def attention(width, **options):
    def compute(fixture):
        x = fixture.input("x", 2, 5, width)
        return {"output": Attention(fixture, width, **options)(x)}

    return compute


# --- blocks -----------------------------------------------------------------------------------------------------------


def rms_norm(x, weight):
    return F.rms_norm(x, weight.shape, weight, EPSILON)


class Norm:
    """LayerNorm (with or without a bias) or RMSNorm over the last dimension."""

    def __init__(self, fixture, width, kind, bias, name):
        self.kind = kind
        self.weight = fixture.norm_weight(f"{name}.weight", width)
        self.bias = fixture.weight(f"{name}.bias", width) if bias else None

    def __call__(self, x):
        if self.kind == "rms":
            return rms_norm(x, self.weight)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, EPSILON)


ACTIVATIONS = {
    "gelu-tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu": F.gelu,
    "relu-squared": lambda x: F.relu(x).square(),
    "swiglu": lambda x: F.silu(x[..., : x.shape[-1] // 2]) * x[..., x.shape[-1] // 2 :],
}


class FeedForward:
    """x W_in, the activation, W_out; SwiGLU's first matrix holds the gate's columns and then the others."""

    def __init__(self, fixture, width, hidden, activation, bias, prefix):
        self.activation = ACTIVATIONS[activation]
        columns = 2 * hidden if activation == "swiglu" else hidden
        self.input = fixture.weight(f"{prefix}input.weight", width, columns)
        self.input_bias = fixture.weight(f"{prefix}input.bias", columns) if bias else 0.0
        self.output = fixture.weight(f"{prefix}output.weight", hidden, width)
        self.output_bias = fixture.weight(f"{prefix}output.bias", width) if bias else 0.0

    def __call__(self, x):
        return self.activation(x @ self.input + self.input_bias) @ self.output + self.output_bias


class Block:
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, fixture, style, prefix=""):
        width, bias, norm = style["width"], style["bias"], style["norm"]
        self.attention_norm = Norm(fixture, width, norm, bias, f"{prefix}attention_norm")
        self.attention = Attention(fixture, width, bias=bias, prefix=f"{prefix}attention.", **style["attention"])
        self.feed_forward_norm = Norm(fixture, width, norm, bias, f"{prefix}feed_forward_norm")
        activation, hidden = style["activation"], style["hidden"]
        self.feed_forward = FeedForward(fixture, width, hidden, activation, bias, f"{prefix}feed_forward.")

    def __call__(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


GPT2 = dict(width=8, hidden=32, bias=True, norm="layer", activation="gelu-tanh", attention=dict(heads=2))
GPT2_ERF = GPT2 | dict(activation="gelu")
NANOGPT = GPT2_ERF | dict(bias=False)
GROUPED = dict(heads=4, key_heads=2, rotary=True)
LLAMA = dict(width=16, hidden=12, bias=False, norm="rms", activation="swiglu", attention=GROUPED)
CAPPED = LLAMA | dict(hidden=24, activation="relu-squared", attention=GROUPED | dict(norm=True))


def block(style):
    def compute(fixture):
        x = fixture.input("x", 2, 5, style["width"])
        return {"output": Block(fixture, style)(x)}

    return compute


def transformer(style, context=None, tied=True, cap=None):
    """Two blocks between the embedding (with learned positions where there is a `context`) and the head."""

    def compute(fixture):
        width = style["width"]
        table = fixture.weight("token_embedding.weight", VOCABULARY, width)
        x = table[TOKENS]
        if context is not None:
            x = x + fixture.weight("position_embedding.weight", context, width)[: TOKENS.shape[1]]
        for index in range(2):
            x = Block(fixture, style, f"blocks.{index}.")(x)
        x = Norm(fixture, width, style["norm"], style["bias"], "final_norm")(x)
        logits = x @ (table.T if tied else fixture.weight("output.weight", width, VOCABULARY))
        return with_loss(logits if cap is None else cap * torch.tanh(logits / cap))

    return compute


# --- all --------------------------------------------------------------------------------------------------------------

FIXTURES = {
    "rnn_tanh": rnn_cell(torch.rnn_tanh),
    "rnn_relu": rnn_cell(torch.rnn_relu),
    "lstm": lstm_cell,
    "gru": gru_cell,
    "lstm_language_model": recurrent_language_model(torch.lstm, lstm_parameters, embedding=3, tied=False),
    "gru_language_model": recurrent_language_model(torch.gru, gru_parameters, embedding=4, tied=True),
    "rnn_language_model": recurrent_language_model(torch.rnn_tanh, rnn_parameters, embedding=3, tied=False),
    "attention": attention(8, heads=2, bias=True),
    "attention_grouped_rotary": attention(16, **GROUPED),
    "attention_query_key_norm": attention(16, **GROUPED, norm=True),
    "gpt2_block": block(GPT2),
    "gpt2_block_erf": block(GPT2_ERF),
    "llama_block": block(LLAMA),
    "gpt2_language_model": transformer(GPT2, context=6),
    "nanogpt_language_model": transformer(NANOGPT, context=6),
    "llama_language_model": transformer(LLAMA, tied=False),
    "capped_language_model": transformer(CAPPED, cap=LOGIT_CAP),
}


def main():
    options = command_line(__doc__)
    torch.set_num_threads(1)
    agree = True
    for name, compute in FIXTURES.items():
        fixture = Fixture()
        agree &= store(f"crates/models/fixtures/{name}.json", fixture.content(compute(fixture)), options.check)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Statistics of SciPy and gradients of PyTorch that `kiln study` is compared with.

    python3 scripts/reference/study.py            # writes crates/study/fixtures/*.json and crates/models/fixtures/traced.json
    python3 scripts/reference/study.py --check    # compares with what is there

The curves of gradients are those of the models of `cells.py` with the same given weights: for each row of the tokens the
norm of the gradient of -ln softmax(logits after the last token)[target 2] with respect to each state.
"""

import sys

import numpy
import torch
from scipy import optimize, stats

import cells
from fixture_files import command_line, number, source, store


def shares():
    cases = []
    for count, of in [(0, 5), (1, 5), (3, 10), (10, 10), (7, 200)]:
        interval = stats.binomtest(count, of).proportion_ci(0.95, method="exact")
        cases.append({"count": count, "of": of, "low": interval.low, "high": interval.high})
    return cases


def pairs():
    random = numpy.random.default_rng(1)
    cases = []
    for size, shift in [(2, 0.5), (5, 0.1), (5, 2.0), (12, 0.3)]:
        first = random.normal(size=size)
        second = first + random.normal(size=size) * 0.5 - shift
        result = stats.ttest_rel(first, second)
        low = result.confidence_interval(0.95).low
        cases.append({"first": first.tolist(), "second": second.tolist(), "p": result.pvalue, "low": low})
    return cases


def scaling():
    random = numpy.random.default_rng(2)
    cases = []
    for floor, scale, exponent in [(0.3, 20.0, 0.5), (1.0, 5.0, 0.3)]:
        sizes = numpy.array([1e3, 3e3, 1e4, 3e4, 1e5, 1e3, 3e3, 1e4, 3e4, 1e5])
        losses = floor + scale * sizes**-exponent + random.normal(size=len(sizes)) * 0.003
        law = lambda n, e, a, b: e + a * n**-b
        found, covariance = optimize.curve_fit(law, sizes, losses, p0=[floor, scale, exponent], ftol=1e-14, xtol=1e-14)
        half = stats.t.ppf(0.975, len(sizes) - 3) * numpy.sqrt(numpy.diag(covariance))
        cases.append({"sizes": sizes.tolist(), "losses": losses.tolist(), "floor": found[0], "scale": found[1],
                      "exponent": found[2], "half_widths": half.tolist()})
    return cases


def norms(states, logits):
    loss = -torch.log_softmax(logits[:, -1], -1)[:, 2].sum()
    gradients = torch.autograd.grad(loss, states, retain_graph=True)
    return [gradient.norm(dim=-1).tolist() for gradient in gradients]


def recurrent(step, parameters, gates, memory=False):
    """The states of two layers of width 4, token by token, each with its place in the graph; inputs are given."""

    def compute():
        fixture = cells.Fixture()
        embedding = fixture.weight("embedding.weight", cells.VOCABULARY, 3)
        inputs = [x for x in embedding[cells.TOKENS].unbind(1)]
        layers = []
        for index, width in [(0, 3), (1, 4)]:
            prefix = f"layers.{index}."
            layers.append(parameters(fixture, width, 4, prefix))
        output, bias = fixture.weight("output.weight", 4, cells.VOCABULARY), fixture.weight("output.bias", cells.VOCABULARY)
        below, traced = inputs, {"inputs": inputs}
        for index, weights in enumerate(layers):
            hidden, cell = torch.zeros(2, 4, dtype=torch.float64), torch.zeros(2, 4, dtype=torch.float64)
            hiddens, memories = [], []
            for x in below:
                if memory:
                    hidden, cell = step(x, (hidden, cell), *weights)
                    memories.append(cell)
                else:
                    hidden = step(x, hidden, *weights)
                hiddens.append(hidden)
            below = hiddens
            traced[f"hidden.{index}"] = hiddens
            if memory:
                traced[f"memory.{index}"] = memories
        logits = (below[-1] @ output + bias)[:, None]
        return {name: norms(states, logits) for name, states in traced.items()}

    return compute


def curves():
    return {
        "rnn": recurrent(torch.rnn_tanh_cell, cells.rnn_parameters, 1)(),
        "lstm": recurrent(torch.lstm_cell, cells.lstm_parameters, 4, memory=True)(),
        "gru": recurrent(torch.gru_cell, cells.gru_parameters, 3)(),
    }


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return number(float(value)) if isinstance(value, float) else value


def main():
    arguments = command_line(__doc__)
    statistics = {"source": source("study.py"), "shares": shares(), "pairs": pairs(), "scaling": scaling()}
    results = [
        store("crates/study/fixtures/statistics.json", rounded(statistics), arguments.check),
        store("crates/models/fixtures/traced.json", {"source": source("study.py"), "curves": rounded(curves())}, arguments.check),
    ]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()

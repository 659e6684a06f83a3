"use strict";
// What the program computes in crates/convergence, for a quadratic and a constant rate. `batch` is Infinity for the
// full gradient; `start` is F(w_0) - F*, of which each direction has the same part.

// E F(w_t) - F* for t = 0 ... steps: in each direction E x² with x = sqrt(lambda) e, F - F* = the sum of x² / 2.
function expectedErrors({ spectrum, start, rate, batch, variance, steps }) {
  const noise = variance / batch / spectrum.length;
  const squares = spectrum.map(() => 2 * start / spectrum.length);
  const errors = [];
  for (let t = 0; t <= steps; t++) {
    errors.push(squares.reduce((sum, square) => sum + square / 2, 0));
    spectrum.forEach((lambda, i) => {
      const kept = 1 - rate * lambda;
      squares[i] = kept * kept * squares[i] + rate * rate * lambda * noise;
    });
  }
  return errors;
}

// What the expectation ends at; infinite where a direction does not shrink.
function expectedFloor({ spectrum, rate, batch, variance }) {
  const noise = variance / batch / spectrum.length;
  const rest = (lambda) => rate * lambda < 2 ? rate * noise / (2 * (2 - rate * lambda)) : Infinity;
  return spectrum.reduce((sum, lambda) => sum + rest(lambda), 0);
}

// Theorem 4.6 of Bottou, Curtis and Nocedal: the factor, the floor, and the bound after t updates; nothing above 1/L.
function theorem({ spectrum, start, rate, batch, variance }) {
  const c = Math.min(...spectrum);
  const L = Math.max(...spectrum);
  if (rate > (1 + 1e-9) / L) return null;
  const factor = Math.max(1 - rate * c, 0);
  const floor = rate * L * variance / (2 * c * batch);
  const at = (t) => Math.pow(factor, t) * start + (1 - Math.pow(factor, t)) * floor;
  return { factor, floor, at };
}

// Where a path starts, as its distance from w* in each direction.
function startOf({ spectrum, start }) {
  return spectrum.map((lambda) => Math.sqrt(2 * start / spectrum.length / lambda));
}

// One update of mini-batch SGD; `normal` gives normal numbers of variance 1.
function descend(weights, { spectrum, rate, batch, variance }, normal) {
  const deviation = Math.sqrt(variance / spectrum.length / batch);
  return weights.map((weight, i) => weight - rate * (spectrum[i] * weight + deviation * normal()));
}

function errorOf(weights, { spectrum }) {
  return weights.reduce((sum, weight, i) => sum + spectrum[i] * weight * weight / 2, 0);
}

// Normal numbers from a seed: those of Box and Muller from the generator "mulberry32".
function normalNumbers(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

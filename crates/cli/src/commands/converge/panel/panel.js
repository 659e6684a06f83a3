// The sliders, the drawing of the expectation, and the animation. Without a document there is nothing to draw.
function startLab() {
  const element = (id) => document.getElementById("lab-" + id);
  const slider = (id) => Number(element(id).value);
  const digits = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"];
  const superscript = (number) => String(number).replace("-", "⁻").replace(/\d/g, (digit) => digits[digit]);

  function words(value) {
    if (!Number.isFinite(value)) return "no end";
    if (value === 0) return "0";
    const exponent = Math.floor(Math.log10(Math.abs(value)));
    if (exponent >= -3 && exponent < 5) return String(Number(value.toPrecision(3)));
    return (value / Math.pow(10, exponent)).toFixed(2) + "·10" + superscript(exponent);
  }

  const round = (value) => Number(value.toPrecision(3));

  function settings() {
    const L = round(Math.pow(10, slider("l")));
    const c = Math.min(round(Math.pow(10, slider("c"))), L);
    return {
      c, L,
      rate: round(Math.pow(10, slider("rate"))),
      batch: slider("batch") === 11 ? Infinity : Math.pow(2, slider("batch")),
      variance: slider("variance") === -4 ? 0 : round(Math.pow(10, slider("variance"))),
      steps: Number(Math.pow(10, slider("steps")).toPrecision(2)),
      start: 1,
    };
  }

  function tellSettings(set) {
    element("rate-value").textContent = words(set.rate) + " = " + words(set.rate * set.L) + "/L";
    element("batch-value").textContent = set.batch === Infinity ? "all: the full gradient" : set.batch;
    element("c-value").textContent = words(set.c);
    element("l-value").textContent = words(set.L) + ", L/c = " + words(set.L / set.c);
    element("variance-value").textContent = words(set.variance);
    element("steps-value").textContent = set.steps;
  }

  // Four eigenvalues in equal ratios.
  const four = (set) => ({ ...set, spectrum: [0, 1, 2, 3].map((i) => set.c * Math.pow(set.L / set.c, i / 3)) });

  function tellNumbers(set, errors, bound) {
    const last = errors[errors.length - 1];
    const rows = [
      ["E F(w) − F* after " + set.steps + " updates", words(last)],
      ["E F(w) − F* in the end", words(expectedFloor(set))],
      ["the bound after " + set.steps + " updates", bound ? words(bound.at(set.steps)) : "none"],
      ["its floor, ηLσ²/(2cb)", bound ? words(bound.floor) : "none"],
      ["its factor a step, 1 − ηc", bound ? String(Number(bound.factor.toPrecision(4))) : "none"],
    ];
    element("numbers").innerHTML =
      rows.map(([name, value]) => "<div><dt>" + name + "</dt><dd>" + value + "</dd></div>").join("");
    element("verdict").textContent = bound
      ? "η is at most 1/L, so the theorem holds."
      : set.rate * set.L < 2
        ? "η is above 1/L, where the theorem promises nothing; below 2/L the error still comes to rest."
        : "η is not below 2/L: the steepest direction does not shrink any more.";
  }

  // A line through values at t = 0, 1, ..., of which about 400 are drawn.
  function line(values, x, y, name) {
    const every = Math.max(1, Math.ceil(values.length / 400));
    const last = values.length - 1;
    const points = values.map((value, t) => [t, value])
      .filter(([t, value]) => (t % every === 0 || t === last) && value > 0 && Number.isFinite(value))
      .map(([t, value]) => x(t).toFixed(1) + "," + y(value).toFixed(1));
    return '<polyline class="lab-line ' + name + '" points="' + points.join(" ") + '"/>';
  }

  function drawErrors(set, errors, bound) {
    const width = Math.max(280, element("errors").clientWidth);
    const [height, left, right, top, bottom] = [Math.min(420, Math.max(260, width * 0.55)), 52, 12, 30, 44];
    const bounds = bound ? errors.map((_, t) => bound.at(t)) : [];
    // What grows without end leaves the picture; what vanishes ends where digits do.
    const drawn = errors.concat(bounds).filter((value) => value > 1e-16 && value < 1e6);
    const high = Math.ceil(Math.log10(Math.max(...drawn)) - 1e-9);
    const low = Math.min(high - 1, Math.floor(Math.log10(Math.min(...drawn))));
    const x = (t) => left + (width - left - right) * t / set.steps;
    const y = (value) => top + (height - top - bottom) * (high - Math.log10(value)) / (high - low);
    let drawing = "";
    const every = Math.ceil((high - low) / 8);
    for (let power = low; power <= high; power += every) {
      const at = y(Math.pow(10, power)).toFixed(1);
      drawing += '<line class="lab-grid" x1="' + left + '" x2="' + (width - right) +
        '" y1="' + at + '" y2="' + at + '"/><text x="' + (left - 8) + '" y="' + at +
        '" dy=".35em" text-anchor="end">10' + superscript(power) + "</text>";
    }
    for (const share of [0, 0.5, 1]) {
      const t = Math.round(share * set.steps);
      const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
      drawing += '<text x="' + x(t).toFixed(1) + '" y="' + (height - bottom + 20) +
        '" text-anchor="' + anchor + '">' + t + "</text>";
    }
    drawing += '<text x="4" y="16">F(w) − F*</text>' +
      '<text x="' + (left + width - right) / 2 + '" y="' + (height - 4) + '" text-anchor="middle">update t</text>';
    if (bound && bound.floor > Math.pow(10, low)) drawing += line(errors.map(() => bound.floor), x, y, "lab-floor");
    if (bound) drawing += line(bounds.filter((value) => value >= Math.pow(10, low)), x, y, "lab-bound");
    const inside = (value) => value >= Math.pow(10, low) && value <= Math.pow(10, high);
    drawing += line(errors.map((value) => inside(value) ? value : 0), x, y, "lab-exact");
    const last = errors[errors.length - 1];
    element("errors").innerHTML = '<svg viewBox="0 0 ' + width + " " + height +
      '" role="img" aria-label="The expected error goes from 1 to ' + words(last) + " in " + set.steps +
      ' updates.">' + drawing + "</svg>";
  }

  const LONGEST_TRAIL = 1500;
  const path = { seed: 1, t: 0, weights: [], trail: [], normal: null, timer: null };
  const two = (set) => ({ ...set, spectrum: [set.c, set.L] });

  function resetPath() {
    const set = two(settings());
    path.normal = normalNumbers(path.seed);
    path.weights = startOf(set);
    path.trail = [path.weights];
    path.t = 0;
    drawPath();
  }

  function stepPath() {
    path.weights = descend(path.weights, two(settings()), path.normal);
    path.trail.push(path.weights);
    if (path.trail.length > LONGEST_TRAIL) path.trail.shift();
    path.t += 1;
  }

  function stop() {
    clearInterval(path.timer);
    path.timer = null;
    element("play").textContent = "Play";
  }

  function play() {
    if (path.timer !== null) return stop();
    element("play").textContent = "Pause";
    path.timer = setInterval(() => {
      stepPath();
      drawPath();
      if (path.t >= settings().steps || !path.weights.every(Number.isFinite)) stop();
    }, 60);
  }

  // The same scale along both axes; c along the page, L across it.
  function drawPath() {
    const set = two(settings());
    const width = Math.max(280, element("path").clientWidth);
    const spread = set.spectrum.map((lambda) => set.rate * lambda < 2
      ? 3 * Math.sqrt(set.rate * set.variance / 2 / set.batch / (lambda * (2 - set.rate * lambda))) : 0);
    const from = startOf(set);
    const half = from.map((start, i) => 1.15 * Math.max(start, Math.min(spread[i], 3 * start)));
    const height = Math.min(420, Math.max(180, width * half[1] / half[0]));
    const scale = Math.min(width / 2 / half[0], height / 2 / half[1]);
    const x = (value) => (width / 2 + scale * value).toFixed(1);
    const y = (value) => (height / 2 - scale * value).toFixed(1);
    let drawing = "";
    for (let level = 4; level > 1e-4; level /= 4) {
      const [rx, ry] = set.spectrum.map((lambda) => (scale * Math.sqrt(2 * level / lambda)).toFixed(1));
      drawing += '<ellipse class="lab-level" cx="' + x(0) + '" cy="' + y(0) + '" rx="' + rx + '" ry="' + ry + '"/>';
    }
    const trail = path.trail.filter((place) => place.every((value) => Math.abs(value) < 1e6));
    drawing += '<polyline class="lab-line lab-path" points="' +
      trail.map((place) => x(place[0]) + "," + y(place[1])).join(" ") + '"/>';
    const now = trail[trail.length - 1];
    drawing += '<circle class="lab-now" cx="' + x(now[0]) + '" cy="' + y(now[1]) + '" r="5"/>';
    element("path").innerHTML = '<svg viewBox="0 0 ' + width + " " + height.toFixed(0) +
      '" role="img" aria-label="The path of the weights between lines of equal height.">' + drawing + "</svg>";
    element("place").textContent = "Update " + path.t + ": F(w) − F* = " + words(errorOf(path.weights, set)) + ".";
  }

  function draw() {
    const set = four(settings());
    const [errors, bound] = [expectedErrors(set), theorem(set)];
    tellSettings(set);
    tellNumbers(set, errors, bound);
    drawErrors(set, errors, bound);
  }

  document.getElementById("lab").hidden = false;
  element("absent").hidden = true;
  for (const id of ["rate", "batch", "c", "l", "variance", "steps"]) {
    element(id).addEventListener("input", () => {
      draw();
      if (id === "c" || id === "l") resetPath(); else drawPath();
    });
  }
  element("step").addEventListener("click", () => { stepPath(); drawPath(); });
  element("play").addEventListener("click", play);
  element("reset").addEventListener("click", () => { stop(); resetPath(); });
  element("redraw").addEventListener("click", () => { path.seed += 1; resetPath(); });
  window.addEventListener("resize", () => { draw(); drawPath(); });
  draw();
  resetPath();
}

if (typeof document !== "undefined") startLab();

// Drawings, as SVG by hand: intervals, bars and lines are a few numbers each. Every drawing repeats numbers that stand
// beside it, so it is hidden from a reader that cannot see it unless it has a name. Styles are classes of the sheet.
const STEPS = [1, 2, 2.5, 5, 10];

function roundStep(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return (STEPS.find((one) => one * power >= step * 0.999) || 10) * power;
}

// A linear scale over `width`, broken at round numbers: shares stay inside [0, 1], measures begin at 0.
function axisFor(values, width, { isShare = true, n = 4 } = {}) {
  const finite = values.filter((value) => isKnown(value) && Number.isFinite(value));
  let low = finite.length ? Math.min(...finite) : 0;
  let high = finite.length ? Math.max(...finite) : 1;
  const floor = low >= 0 ? 0 : -Infinity;
  const ceiling = isShare && high <= 1 ? 1 : Infinity;
  if (!isShare) low = Math.min(low, 0);
  const step = roundStep(Math.max((high - low) / n, isShare ? 1e-4 : 1e-9));
  low = Math.floor(low / step + 1e-9) * step;
  high = Math.ceil(high / step - 1e-9) * step;
  if (high <= low) [low, high] = [low - step, high + step];
  low = Math.max(floor, low);
  high = Math.min(ceiling, high);
  const at = (value) => Math.min(1, Math.max(0, (value - low) / (high - low))) * width;
  const ticks = [];
  for (let index = 0; low + index * step <= high + step * 0.01; index += 1) {
    const value = Number((low + index * step).toPrecision(12));
    ticks.push({ at: at(value), value });
  }
  return { low, high, at, ticks, width };
}

function logAxis(values, width) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const at = (value) => Math.min(1, Math.max(0, (Math.log10(value) - low) / (high - low))) * width;
  const ticks = [];
  for (let power = low; power <= high; power += 1) ticks.push({ at: at(10 ** power), value: 10 ** power });
  return { low: 10 ** low, high: 10 ** high, at, ticks, width };
}

// One estimate as a dot with whiskers; `limits` are the gates behind it.
function intervalMark(axis, estimate, { y = 10, status = "", limits = [], rule = "" } = {}) {
  const left = axis.at(isKnown(estimate.lower) ? estimate.lower : axis.low);
  const right = axis.at(isKnown(estimate.upper) ? estimate.upper : axis.high);
  const atLeast = rule.includes(">=");
  return svg("g", { class: `interval ${status}` },
    limits.map((limit) => [
      rule && svg("rect", { class: "allowed", x: atLeast ? axis.at(limit) : 0, y: y - 9, height: 18,
        width: Math.max(0, atLeast ? axis.width - axis.at(limit) : axis.at(limit)) }),
      svg("line", { class: "limit", x1: axis.at(limit), x2: axis.at(limit), y1: y - 10, y2: y + 10 }),
    ]),
    svg("line", { class: "whisker", x1: left, x2: right, y1: y, y2: y }),
    svg("line", { class: "cap", x1: left, x2: left, y1: y - 4, y2: y + 4 }),
    svg("line", { class: "cap", x1: right, x2: right, y1: y - 4, y2: y + 4 }),
    status === "fail"
      ? svg("rect", { class: "dot", x: axis.at(estimate.value) - 4, y: y - 4, width: 8, height: 8 })
      : svg("circle", { class: "dot", cx: axis.at(estimate.value), cy: y, r: 4.5 }));
}

function intervalSvg(axis, estimate, options = {}) {
  return svg("svg", { class: "mini", viewBox: `-6 0 ${axis.width + 12} 20`, width: axis.width + 12, height: 20,
    "aria-hidden": "true" }, intervalMark(axis, estimate, options));
}

function axisSvg(axis, label) {
  return svg("svg", { class: "axis", viewBox: `-6 0 ${axis.width + 12} 18`, width: axis.width + 12, height: 18,
    "aria-hidden": "true" },
  svg("line", { x1: 0, x2: axis.width, y1: 1, y2: 1 }),
  axis.ticks.map((tick, index) => [
    svg("line", { x1: tick.at, x2: tick.at, y1: 1, y2: 5 }),
    svg("text", { x: tick.at, y: 16, "text-anchor": index === 0 ? "start" : index === axis.ticks.length - 1 ? "end" : "middle" },
      label(tick.value)),
  ]));
}

const brief = (value) => String(Number(value.toPrecision(4)));

// How often each kind happened, ok first, then what counts as 0, then what nobody knows.
function kindsBar(kinds, width = 180) {
  const order = ["ok", "zero", "missing"];
  const sorted = [...kinds].sort((a, b) => order.indexOf(kindGroup(a[0])) - order.indexOf(kindGroup(b[0])) || b[1] - a[1]);
  const total = sorted.reduce((sum, [, n]) => sum + n, 0);
  if (!total) return h("span", { class: "muted" }, "no answer in this run");
  const raw = sorted.map(([, n]) => Math.max(3, (n / total) * width));
  const scale = width / raw.reduce((sum, one) => sum + one, 0);
  let x = 0;
  const bars = sorted.map(([kind], index) => {
    const bar = svg("rect", { class: `bar ${kindGroup(kind)}`, x, y: 0, height: 12, width: Math.max(1, raw[index] * scale - 1) });
    x += raw[index] * scale;
    return bar;
  });
  return h("span", { class: "kinds" },
    svg("svg", { viewBox: `0 0 ${width} 12`, width, height: 12, "aria-hidden": "true" }, bars),
    h("span", { class: "kind-words" }, sorted.map(([kind, n]) =>
      h("span", { class: `kind ${kindGroup(kind)}` }, `${words(kind)} ${formatCount(n)}`))));
}

// Quantiles .05 .1 .25 .5 .75 .9 .95 .99 1 of one kind of waiting.
const QUANTILES = { p5: 0, p10: 1, p25: 2, p50: 3, p75: 4, p90: 5, p95: 6, p99: 7, max: 8 };

function spreadMark(axis, quantiles) {
  const at = (name) => axis.at(Math.max(axis.low, quantiles[QUANTILES[name]]));
  return svg("svg", { class: "spread", viewBox: `-6 0 ${axis.width + 12} 20`, width: axis.width + 12, height: 20,
    "aria-hidden": "true" },
  svg("line", { class: "whisker", x1: at("p5"), x2: at("p95"), y1: 10, y2: 10 }),
  svg("rect", { class: "box", x: at("p25"), y: 4, height: 12, width: Math.max(1.5, at("p75") - at("p25")) }),
  svg("line", { class: "median", x1: at("p50"), x2: at("p50"), y1: 3, y2: 17 }),
  svg("line", { class: "cap", x1: at("p95"), x2: at("p95"), y1: 6, y2: 14 }),
  svg("circle", { class: "far", cx: at("p99"), cy: 10, r: 2.5 }));
}

// A line of nights with its band; nights that cannot be compared with the last are hollow and not joined.
function trendSvg(points, times, { width = 420, height = 56, isShare = true, limits = [] } = {}) {
  const values = points.flatMap((point) => [point.value, point.lower, point.upper]);
  const y = axisFor([...values, ...limits], height - 12, { isShare, n: 3 });
  const span = Math.max(1, times.length - 1);
  const x = (time) => 6 + (times.indexOf(time) / span) * (width - 12);
  const up = (value) => height - 6 - y.at(value);
  const joined = points.filter((point) => point.isComparable);
  const band = joined.filter((point) => isKnown(point.lower) && isKnown(point.upper));
  const edge = [...band.map((p) => `${x(p.time)},${up(p.upper)}`), ...[...band].reverse().map((p) => `${x(p.time)},${up(p.lower)}`)];
  return svg("svg", { class: "trend", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    limits.map((limit) => svg("line", { class: "limit", x1: 0, x2: width, y1: up(limit), y2: up(limit) })),
    band.length > 1 && svg("polygon", { class: "band", points: edge.join(" ") }),
    joined.length > 1 && svg("polyline", { class: "line", points: joined.map((p) => `${x(p.time)},${up(p.value)}`).join(" ") }),
    points.map((p) => svg("circle", { class: p.isComparable ? "dot" : "dot hollow", cx: x(p.time), cy: up(p.value), r: 3 })));
}

// The last nights, small and many: one drawing a suite × model, on one time axis.
const TREND_KINDS = [
  ["primary", "Primary metric", (point) => ({ value: point.primary.value, lower: point.primary.lower, upper: point.primary.upper })],
  ["latency_p50_s", "Median latency", (point) => ({ value: point.latency_p50_s })],
  ["cost_per_success_usd", "USD per success", (point) => ({ value: point.cost_per_success_usd })],
  ["coverage", "Coverage", (point) => ({ value: point.coverage })],
];
const TREND_FORMAT = { primary: formatShare, coverage: formatShare, latency_p50_s: formatSeconds, cost_per_success_usd: formatUsd };

function trendRow(suite, model, times, kind) {
  const [name, , read] = kind;
  const points = report.nights.filter((one) => one.suite === suite.name && one.model_id === model)
    .map((one) => ({ time: one.started_at, isComparable: one.is_comparable, run: one.run_id, ...read(one) })).filter((one) => isKnown(one.value));
  if (!points.length) return null;
  const limits = name === "primary" ? suite.gates.filter((gate) => gate.metric === suite.primary && gate.of === "mean" && !gate.where).map((gate) => gate.at_least ?? gate.at_most) : [];
  const format = TREND_FORMAT[name], last = points.at(-1), first = points[0];
  const isOneDay = formatTime(first.time).slice(0, 10) === formatTime(last.time).slice(0, 10);
  const when = (point) => h("div", { class: "fine" }, isOneDay ? formatTime(point.time).slice(11) : formatTime(point.time).slice(0, 10));
  return h("tr", null, rowHead(model), cell("", trendSvg(points, times, { isShare: name === "primary" || name === "coverage", limits })),
    cell("number", format(first.value), when(first)),
    cell("number", h("strong", null, format(last.value)), when(last)),
    cell("number", plural(points.length, "night"), points.some((one) => !one.isComparable) && h("div", { class: "fine" }, "○ other prompts or scorers")));
}

function trendsView(route) {
  const head = h("h1", { tabindex: "-1" }, "Trends");
  if (!report.nights.length) return h("div", null, head, empty("This is the first whole night of this project: there is no trend yet."));
  const kind = TREND_KINDS.find(([name]) => name === route.query.kind) || TREND_KINDS[0];
  const model = route.query.model || "";
  const times = [...new Set(report.nights.map((one) => one.started_at))].sort((a, b) => a - b);
  const go = (change) => { location.hash = hashFor(["trends"], { kind: kind[0], model, ...change }); };
  return h("div", null, head,
    h("p", { class: "facts" }, `${plural(times.length, "night")}, ${formatTime(times[0])} to ${formatTime(times.at(-1))}. For the eye: `, h("code", null, "evalkit drift"), " says what is a drift."),
    h("div", { class: "tools" }, choice("Show", TREND_KINDS.map(([name, text]) => [name, text]), kind[0], (value) => go({ kind: value })),
      choice("Model", [["", "all models"], ...report.model_ids.map((one) => [one, one])], model, (value) => go({ model: value }))),
    report.suites.map((suite) => section(suite.name, kind[0] === "primary" ? `${suite.primary}; dashed: the gate` : kind[1],
      table(`${kind[1]} of ${suite.name} by night`, ["Model", "Nights", ["First", "number"], ["Last", "number"], ["Known", "number"]],
        (model ? [model] : report.model_ids).map((one) => trendRow(suite, one, times, kind))))));
}

// One task: who stands where, every metric of every model against its gate, cost, latency, outcomes.
// A section is a function of the task that returns a node, or nothing when it has nothing to say; a new kind of evidence
// gets its place by one line in this list.
const TASK_SECTIONS = [standingSection, forestSection, taskFrontierSection, latencySection, outcomesSection, lengthSection,
  modesSection];

const WAITS = [
  ["latency_s", "Client time", "wall time of the answering attempt"],
  ["ttft_s", "Time to first token", "streamed calls only"],
  ["queue_s", "Queue", "waiting for a slot or a rate limit of our own"],
  ["retry_s", "Retry", "earlier attempts and the pauses between them"],
];

function taskTabs(current) {
  return h("nav", { class: "tabs", "aria-label": "Tasks" }, report.task_names.map((task) =>
    h("a", { href: taskLink(task), "aria-current": task === current ? "page" : null }, task)));
}

function taskView(route) {
  const task = route.rest[0] || report.task_names[0];
  if (!report.task_names.includes(task)) return missingView(`There is no task ${task} in this report.`);
  const rules = rulesOf(task);
  const facts = [rules?.critical && "critical: no waiver may admit", rules?.incumbent && `incumbent ${rules.incumbent}`,
    rules?.pin && `pinned ${rules.pin}`, rules && `ranked by ${rules.rank_by}`].filter(Boolean);
  return h("div", null, taskTabs(task),
    h("h1", { tabindex: "-1" }, task), facts.length > 0 && h("p", { class: "facts" }, facts.join(" · ")),
    suitesOf(task).filter((suite) => suite.description).map((suite) => h("p", { class: "fine" }, `${suite.name}: ${suite.description}`)),
    TASK_SECTIONS.map((make) => make(task)));
}

function standingSection(task) {
  const order = offered(task);
  const rows = standing(task).map((verdict) => h("tr", null,
    rowHead(verdict.model_id),
    cell("number", order.includes(verdict.model_id) ? String(order.indexOf(verdict.model_id) + 1) : "–"),
    cell("", chip(verdict.status), previousVerdict(task, verdict.model_id) &&
      previousVerdict(task, verdict.model_id).status !== verdict.status &&
      h("div", { class: "was" }, `was ${previousVerdict(task, verdict.model_id).status}`)),
    cell("why", verdict.reasons.map((reason) => h("div", { class: "reason" }, h("strong", null, reasonName(reason)),
      reason.detail && ` ${reason.detail}`, reason.cure && h("div", { class: "fine" }, `→ ${reason.cure}`))),
    !verdict.reasons.length && h("span", { class: "muted" }, "every gate holds"), rankReason(task, verdict.model_id)),
    cell("", isKnown(verdict.identity_class) ? words(verdict.identity_class) : UNKNOWN),
    cell("number", formatShare(verdict.coverage)),
    cell("", formatTime(verdict.valid_until)),
    cell("", link(hashFor(["review"], { task, model: verdict.model_id }), "decide"))));
  return section("Standing", order.length ? `A router is offered ${order.join(", then ")}.` : "A router is offered nobody: requests of this task are denied.",
    table(`Verdicts on ${task}`, ["Model", ["Rank", "number"], "Verdict", "Why", "Identity", ["Coverage", "number"], "Valid until", "Waiver"], rows));
}

// Every metric with every model that has a number: the primary first, then what has a gate, then the rest.
function metricsOf(suite) {
  const names = [...new Set(report.cells.filter((one) => one.suite === suite.name).map((one) => one.metric))];
  const gated = suite.gates.map((gate) => gate.metric);
  const place = (metric) => (metric === suite.primary ? -1 : gated.includes(metric) ? gated.indexOf(metric) : 1000);
  return names.sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}

function gatesOn(verdict, suite, metric) {
  return (verdict?.gates || []).filter((one) => one.suite === suite.name && one.metric === metric);
}

function rankReason(task, model) {
  const rank = report.ranking.find((one) => one.task === task && one.model_id === model);
  return rank && h("div", { class: "fine" }, `${rank.place}. ${rank.reason}`);
}

// The same questions in every way a model can be asked for structure; only the preferred one decides.
function modesSection(task) {
  const found = report.ablation.filter((one) => suitesOf(task).some((suite) => suite.name === one.suite));
  if (!found.length) return null;
  const names = [...new Set(found.flatMap((one) => one.metrics.map((each) => each.metric)))];
  const rows = found.map((one) => h("tr", null, rowHead(one.model_id), cell("", one.suite),
    cell("", h("code", null, one.mode), one.is_preferred && h("span", { class: "badge" }, "decides")),
    cell("number", formatCount(one.n_calls - one.n_missing), one.n_missing > 0 && h("span", { class: "fine" }, ` of ${formatCount(one.n_calls)}`)),
    names.map((name) => {
      const { value, lower, upper } = one.metrics.find((each) => each.metric === name)?.estimate || {};
      return cell("number", isKnown(value) ? [h("strong", null, formatValue(name, value)),
        h("span", { class: "fine" }, ` ${formatValue(name, lower)} – ${formatValue(name, upper)}`)] : UNKNOWN);
    })));
  return section("Ways to ask for structure", "What each mode gave, with 95% intervals: which request shape a router may send.",
    table("Metrics of every model in every mode", ["Model", "Suite", "Mode", ["n", "number"], ...names.map((name) => [name, "number"])], rows));
}

function forest(suite, metric) {
  const cells = report.cells.filter((one) => one.suite === suite.name && one.metric === metric);
  const gates = suite.gates.filter((gate) => gate.metric === metric);
  const plain = gates.filter((gate) => gate.of === "mean" && !gate.where);
  const limits = plain.map((gate) => gate.at_least ?? gate.at_most);
  const axis = axisFor([...cells.flatMap((one) => [one.estimate.value, one.estimate.lower, one.estimate.upper]), ...limits], 300,
    { isShare: unitOf(metric) === "share" });
  const rank = ["fail", "undecided", "pass"];
  const rows = cells.map((one) => {
    const results = gatesOn(verdictOf(suite.task, one.model_id), suite, metric).sort((a, b) => rank.indexOf(a.status) - rank.indexOf(b.status));
    const status = results[0]?.status || "";
    const { value, lower, upper, n, n_clusters: clusters } = one.estimate;
    return h("tr", null, rowHead(one.model_id),
      cell("", intervalSvg(axis, one.estimate, { status, limits, rule: plain[0]?.rule || "" })),
      cell("number", h("strong", null, formatValue(metric, value)), h("span", { class: "fine" }, ` ${formatValue(metric, lower)} – ${formatValue(metric, upper)}`)),
      cell("number fine", n === clusters ? formatCount(n) : `${formatCount(n)} in ${formatCount(clusters)}`),
      cell("", status ? [chip(status), h("div", { class: "fine" }, results.map((gate) => `${gate.words.bound}`).join("; "))] : h("span", { class: "muted" }, "no gate")));
  });
  return h("div", { class: "forest" },
    h("h3", null, metric, metric === suite.primary && h("span", { class: "badge" }, "primary"),
      gates.map((gate) => h("code", { class: "rule" }, `${gate.rule}${gate.where ? ` where tag = ${gate.where.tag}` : ""}`))),
    table(`${suite.name}: ${metric} of every model against its gate`, ["Model", "Estimate and interval", ["Value, 95% interval", "number"], ["n", "number", "answers, in clusters"], "Gate"],
      rows, { className: "forest-table", footer: h("tfoot", null, h("tr", null, h("td"), cell("", axisSvg(axis, brief)), h("td"), h("td"), h("td"))) }));
}

// Gates on what has no cell: percentiles, cost per success, tagged cases.
function otherGates(suite) {
  const shown = new Set(metricsOf(suite));
  const rules = suite.gates.filter((gate) => gate.of !== "mean" || gate.where || !shown.has(gate.metric));
  return rules.map((rule) => {
    const found = report.verdicts.filter((one) => one.task === suite.task)
      .flatMap((one) => one.gates.filter((gate) => gate.suite === suite.name && gate.metric === rule.metric && gate.rule === rule.rule)
        .map((gate) => ({ model: one.model_id, gate })));
    if (!found.length) return null;
    const axis = gateAxis(suite.task, found[0].gate, 300);
    return h("div", { class: "forest" },
      h("h3", null, found[0].gate.words.name, h("code", { class: "rule" }, rule.rule)),
      table(`${suite.name}: ${found[0].gate.words.name} of every model against its gate`, ["Model", "Estimate and interval", ["Value", "number"], "Gate"],
        found.map(({ model, gate }) => h("tr", null, rowHead(model),
          cell("", gate.estimate && intervalSvg(axis, gate.estimate, { status: gate.status, limits: [gate.limit], rule: gate.rule })),
          cell("number", h("strong", null, gate.words.value)),
          cell("", chip(gate.status), h("div", { class: "fine" }, `${gate.words.bound}; ${gate.words.n}`)))),
        { className: "forest-table", footer: h("tfoot", null, h("tr", null, h("td"), cell("", axisSvg(axis, brief)), h("td"), h("td"))) }));
  });
}

function forestSection(task) {
  return suitesOf(task).map((suite) => {
    const metrics = metricsOf(suite);
    const gated = new Set([suite.primary, ...suite.gates.map((gate) => gate.metric)]);
    const [first, rest] = [metrics.filter((one) => gated.has(one)), metrics.filter((one) => !gated.has(one))];
    const size = `${plural(suite.n_cases, "case")} × ${plural(suite.trials, "trial")}${suite.n_skipped ? `, ${suite.n_skipped} skipped` : ""}`;
    return section(`Gates of ${suite.name}`, h("span", null, `${size}. The dashed line is the gate's limit. `,
      link(hashFor(["answers"], { suite: suite.name }), "All answers")),
    metrics.length ? first.map((metric) => forest(suite, metric)) : empty("No answer of this suite has a number."),
    otherGates(suite),
    rest.length > 0 && h("details", null, h("summary", null, `${plural(rest.length, "further metric")} without a gate`), rest.map((metric) => forest(suite, metric))));
  });
}

function taskFrontierSection(task) {
  const points = [], leftOut = [];
  for (const model of report.model_ids) {
    const found = suitesOf(task).map((suite) => ({
      usd: detailsOf(suite.name, model)?.usd_per_call,
      estimate: report.cells.find((one) => one.suite === suite.name && one.model_id === model && one.metric === suite.primary)?.estimate,
    }));
    const mean = (read) => found.reduce((sum, one) => sum + read(one), 0) / found.length;
    if (!found.length || found.some((one) => !isKnown(one.usd) || !one.estimate)) {
      leftOut.push(model);
      continue;
    }
    points.push({ name: model, usd: mean((one) => one.usd), quality: mean((one) => one.estimate.value),
      lower: mean((one) => one.estimate.lower ?? 0), upper: mean((one) => one.estimate.upper ?? 1),
      status: verdictOf(task, model)?.status || "" });
  }
  if (!points.length) return null;
  return section("Cost and quality", "USD per call, all attempts, against the primary metric.",
    frontier(points, leftOut, { costLabel: "USD per call", qualityLabel: suitesOf(task).map((suite) => suite.primary).join(" / ") }));
}

function latencySection(task) {
  const tables = WAITS.flatMap(([name, title, intro]) => {
    const found = suitesOf(task).flatMap((suite) => report.model_ids.map((model) => ({ suite: suite.name, model, spread: detailsOf(suite.name, model)?.[name] })))
      .filter((one) => one.spread?.length);
    if (!found.length) return [];
    const positive = found.flatMap((one) => one.spread).filter((value) => value > 0);
    const axis = logAxis([Math.max(0.001, Math.min(...positive)), Math.max(...positive)], 300);
    const many = suitesOf(task).length > 1;
    return [h("div", { class: "forest" }, h("h3", null, title, h("span", { class: "fine" }, ` ${intro}`)),
      table(`${title} of every model`, ["Model", "Distribution, log scale", ["p50", "number"], ["p95", "number"], ["p99", "number"], ["longest", "number"]],
        found.map((one) => h("tr", null, rowHead(one.model, many && h("div", { class: "fine" }, one.suite)),
          cell("", spreadMark(axis, one.spread)),
          ["p50", "p95", "p99", "max"].map((mark) => cell("number", formatSeconds(one.spread[QUANTILES[mark]]))))),
        { className: "forest-table", footer: h("tfoot", null, h("tr", null, h("td"), cell("", axisSvg(axis, (value) => `${brief(value)} s`)), h("td"), h("td"), h("td"), h("td"))) }))];
  });
  const absent = WAITS.filter(([name]) => !suitesOf(task).some((suite) => report.model_ids.some((model) => detailsOf(suite.name, model)?.[name]?.length)));
  return section("Latency", "Box: middle half; line: 5th to 95th percentile; dot: 99th. Answered calls only, each kind of waiting apart.",
    tables, absent.length > 0 && h("p", { class: "fine" }, `Nothing to show: ${absent.map(([, title]) => title.toLowerCase()).join(", ")}.`));
}

function outcomesSection(task) {
  return section("Outcomes", "How every call ended on the wire. ✓ counted as answered, ✕ the model's fault (0), ? missing: nobody knows.",
    suitesOf(task).map((suite) => {
      const rows = report.model_ids.map((model) => {
        const found = detailsOf(suite.name, model);
        return h("tr", null, rowHead(model), cell("number", formatCount(found?.n ?? 0)),
          cell("", kindsBar(found?.kinds || [], 260)),
          cell("number", found?.n_failing ? link(hashFor(["answers"], { suite: suite.name, model, show: "failing" }), `${formatCount(found.n_failing)} lost points`) : "none"));
      });
      return h("div", { class: "forest" }, h("h3", null, suite.name), table(`Outcomes on ${suite.name}`, ["Model", ["Calls", "number"], "Kinds", ["Failing", "number"]], rows));
    }));
}

function lengthSection(task) {
  const found = suitesOf(task).flatMap((suite) => report.model_ids.map((model) => ({ suite, model, tokens: detailsOf(suite.name, model)?.output_tokens })))
    .filter((one) => isKnown(one.tokens));
  if (!found.length) return null;
  const most = Math.max(...found.map((one) => one.tokens));
  return section("Length", "Mean output tokens of an answer: what is paid for, and waited for.",
    table("Mean output tokens", ["Model", "Mean", ["Tokens", "number"]], found.map((one) => h("tr", null,
      rowHead(one.model, suitesOf(task).length > 1 && h("div", { class: "fine" }, one.suite.name)),
      cell("", svg("svg", { viewBox: "0 0 300 10", width: 300, height: 10, "aria-hidden": "true" },
        svg("rect", { class: "bar plain", x: 0, y: 0, height: 10, width: Math.max(1, (one.tokens / most) * 300) }))),
      cell("number", one.tokens.toFixed(1)))), { className: "forest-table" }));
}

// The first screen: what changed, who may serve what and why not, what it costs.
function changedPanel() {
  const previous = report.previous;
  const regressions = report.comparisons.filter((one) => one.is_regression);
  const suspects = report.comparisons.filter((one) => one.against === "baseline" && ["suspect", "screened"].includes(one.standing));
  const changes = verdictChanges();
  const gains = changes.filter(({ now }) => now.status === "eligible");
  const losses = changes.filter(({ before }) => before.status === "eligible");
  const others = changes.filter((one) => !gains.includes(one) && !losses.includes(one));
  const items = [
    ...regressions.slice(0, 5).map((one) => h("li", null, chip("confirmed", "regression"), " ", h("strong", null, one.model_id),
      ` ${one.suite} ${one.metric} ${signed(one.metric, one.difference)}`, one.identity_changed &&
      h("div", { class: "fine" }, `The model behind the name changed: ${one.identity_changed}`))),
    ...[...losses, ...gains, ...others].slice(0, 8).map(({ now, before }) => h("li", null,
      chip(now.status), " ", link(taskLink(now.task), h("strong", null, now.model_id)), ` · ${now.task}`,
      h("div", { class: "fine" }, `was ${before.status}; now ${whyWords(now)}`))),
    ...suspects.slice(0, 3).map((one) => h("li", null, chip(one.standing, STANDING_WORDS[one.standing]), " ", h("strong", null, one.model_id),
      h("div", { class: "fine" }, `${one.suite} ${one.metric} ${signed(one.metric, one.difference)}, not confirmed`))),
  ];
  const n = regressions.length + changes.length;
  const count = (status) => report.verdicts.filter((one) => one.status === status).length;
  return h("section", { class: "panel", "aria-labelledby": "changed" },
    h("h2", { id: "changed" }, "What changed"),
    h("p", { class: "big" }, previous
      ? n ? `${plural(changes.length, "verdict")}, ${plural(regressions.length, "confirmed regression")}` : "Nothing to act on"
      : "First run"),
    h("p", { class: "fine" }, previous
      ? [`Since ${formatTime(previous.run.started_at)}, run `, h("code", null, previous.run.run_id), "."]
      : "There is no whole run before this one to compare with."),
    h("p", { class: "tally" }, ["eligible", "ineligible", "undecided"].map((status) => h("span", null, chip(status, `${count(status)} ${status}`), " "))),
    items.length > 0 && h("ul", { class: "plain" }, items),
    h("p", { class: "fine" }, link(hashFor(["changes"]), suspects.length
      ? `${plural(suspects.length, "suspect")} to look at, and every comparison` : "Every comparison, and answers that flipped")));
}

// Why not, in a word: the first reason that is no gate, else the gate that decided.
function briefWhy(verdict) {
  const cause = verdict.reasons.find((reason) => !GATE_REASONS.has(reason.code));
  if (cause) return words(cause.code);
  const gate = verdict.worst === null ? null : verdict.gates[verdict.worst];
  return gate ? gate.words.name : verdict.reasons.map((reason) => words(reason.code))[0] || "";
}

function taskLine(task) {
  const order = offered(task);
  const verdicts = report.verdicts.filter((one) => one.task === task);
  const n = verdicts.filter((one) => one.status === "eligible").length;
  const others = standing(task).filter((one) => one.status !== "eligible");
  return h("li", null,
    h("div", { class: "task-line" }, link(taskLink(task), h("strong", null, task)),
      h("span", { class: "fine" }, order.length < n ? `${n} of ${verdicts.length} may serve it, ${order.length} offered` : `${n} of ${verdicts.length} may serve it`)),
    order.length
      ? h("ol", { class: "order" }, order.map((model) => h("li", null, model,
        verdictOf(task, model)?.admitted_by === "waiver" && h("span", { class: "badge" }, "waiver"))))
      : h("p", { class: "nobody" }, chip("ineligible", "no model may serve it")),
    others.length > 0 && h("ul", { class: "nots" }, others.slice(0, 8).map((one) => h("li", { title: whyWords(one) },
      h("span", { class: `mark ${one.status === "ineligible" ? "wrong" : "missing"}`, "aria-hidden": "true" }, SIGNS[one.status]),
      h("span", { class: "unseen" }, `${one.status}: `), one.model_id, h("span", { class: "fine" }, ` ${briefWhy(one)}`))),
    others.length > 8 && h("li", { class: "fine" }, `and ${others.length - 8} more`)));
}

function servingPanel() {
  return h("section", { class: "panel", "aria-labelledby": "serving" },
    h("h2", { id: "serving" }, "Who may serve what"),
    report.task_names.length ? h("ul", { class: "tasks" }, report.task_names.map(taskLine)) : empty("The policy names no task."));
}

function costPanel() {
  const facts = Object.fromEntries(report.facts.map(([name, value, note]) => [name, { value, note }]));
  const priced = report.models.filter((model) => isKnown(model.cost_per_success_usd))
    .sort((a, b) => a.cost_per_success_usd - b.cost_per_success_usd);
  const most = Math.max(...priced.map((model) => model.cost_per_success_usd), 0);
  const serves = (model) => report.offers.some(([, order]) => order.includes(model.model_id));
  const unpriced = report.models.filter((model) => !isKnown(model.cost_per_success_usd)).map((model) => model.model_id);
  return h("section", { class: "panel", "aria-labelledby": "costs" },
    h("h2", { id: "costs" }, "What it costs"),
    h("p", { class: "big" }, facts.Spend?.value || UNKNOWN),
    h("p", { class: "fine" }, `Spent by this run (${facts.Spend?.note || "unknown"}): ${facts.Calls.value} calls, ${facts.Missing.value} missing, ${facts.Duration.value}.`),
    h("h3", null, "USD per success"),
    priced.length ? h("ul", { class: "costs" }, priced.slice(0, 8).map((model) => h("li", { class: serves(model) ? "" : "not" },
      h("span", { class: "name" }, model.model_id),
      svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { class: "bar ok", x: 0, y: 0, height: 8, width: Math.max(1, (model.cost_per_success_usd / most) * 100) })),
      h("span", { class: "number" }, formatUsd(model.cost_per_success_usd)),
      !serves(model) && h("span", { class: "unseen" }, " serves no task")))) : empty("No price is known."),
    priced.length > 8 && h("p", { class: "fine" }, `and ${priced.length - 8} more, below.`),
    unpriced.length > 0 && h("p", { class: "fine" }, `Without a known price or a success: ${unpriced.join(", ")}.`));
}

function notices() {
  const run = report.run;
  const soon = report.waivers.filter((one) => waiverState(one).kind === "soon");
  return [
    run.status !== "finished" && h("p", { class: "notice" }, h("strong", null, `This run is ${run.status}.`), run.note && ` ${run.note}`),
    report.changes.length > 0 && h("div", { class: "notice" }, h("strong", null, "Not what it was: "),
      h("ul", { class: "plain" }, report.changes.map((one) => h("li", null,
        `${one.suite} · ${one.model_id || "every model"}: ${one.what}`)))),
    soon.length > 0 && h("p", { class: "notice" }, h("strong", null, `${plural(soon.length, "waiver")} about to end: `),
      soon.map((one) => `${one.action} ${one.model} on ${one.task} (${one.until})`).join("; "), ". ",
      link(hashFor(["review"]), "Review them")),
  ];
}

function modelsTable() {
  const rows = report.models.map((model) => h("tr", null,
    rowHead(model.model_id),
    cell("number", formatShare(model.mean_quality)),
    cell("number", formatUsd(model.cost_per_success_usd)),
    cell("number", formatUsd(model.cost_usd)),
    cell("number", formatSeconds(model.latency_p50_s)),
    cell("number", formatSeconds(model.latency_p95_s)),
    cell("number", model.overhead_words[0], model.overhead_words[1] && h("div", { class: "fine" }, model.overhead_words[1])),
    cell("", words(model.identity_class)),
    cell("", kindsBar(model.kinds))));
  return table("Models: quality, cost, latency and outcomes", [
    "Model", ["Quality", "number", "mean over suites of the primary metric"], ["USD / success", "number"], ["Spend", "number"],
    ["p50", "number"], ["p95", "number"], ["Gateway adds", "number", "median of paired differences"], "Identity", "Outcomes",
  ], rows, { className: "numbers" });
}

function curesList() {
  const found = report.verdicts.filter((one) => one.status === "undecided" && cureOf(one));
  if (!found.length) return null;
  return section("What would settle it", "The cheapest cure of every undecided verdict.",
    table("Cures", ["Task", "Model", "Cure"], found.map((one) => h("tr", null,
      rowHead(link(taskLink(one.task), one.task)), cell("", one.model_id), cell("", cureOf(one))))));
}

function overallPoints() {
  const points = [], leftOut = [];
  for (const model of report.models) {
    const usd = model.cost_per_success_usd, quality = model.mean_quality;
    if (!isKnown(usd) || !isKnown(quality)) {
      leftOut.push(model.model_id);
      continue;
    }
    const cells = report.cells.filter((one) => one.model_id === model.model_id && suiteBy(one.suite)?.primary === one.metric);
    const mean = (side, other) => (cells.length ? cells.reduce((sum, one) => sum + (one.estimate[side] ?? other), 0) / cells.length : quality);
    points.push({ name: model.model_id, usd, quality, lower: Math.min(quality, mean("lower", 0)),
      upper: Math.max(quality, mean("upper", 1)), status: "" });
  }
  return [points, leftOut];
}

function overviewView(route) {
  const [points, leftOut] = overallPoints();
  return h("div", null,
    h("h1", { tabindex: "-1", class: "unseen" }, `Overview of ${report.title}`),
    notices(),
    h("div", { class: "panels" }, changedPanel(), servingPanel(), costPanel()),
    matrixSection(route),
    section("Cost and quality", "All suites together; each task has its own on its page.",
      frontier(points, leftOut, { costLabel: "USD per success", qualityLabel: "quality" })),
    section("Models", "Over the whole run. Latency is the answering attempt alone.", modelsTable()),
    curesList());
}

// This run against what was before and against the incumbents: every comparison, and the answers that flipped.
const STANDING_WORDS = { confirmed: "regression", suspect: "suspect", screened: "look again", untested: "too much missing",
  cleared: "not confirmed again", none: "no drop found" };

function comparisonRow(one, axis) {
  const word = one.against === "incumbent" && one.standing === "confirmed" ? "worse than incumbent" : STANDING_WORDS[one.standing];
  return h("tr", { class: one.standing }, rowHead(one.model_id, h("div", { class: "fine" }, `${one.suite} · ${one.metric}`)),
    cell("", chip(one.standing, word), one.identity_changed && h("div", { class: "fine" }, `The model behind the name changed: ${one.identity_changed}`)),
    cell("", intervalSvg(axis, { value: one.difference, lower: one.lower, upper: one.upper }, { status: one.standing === "confirmed" ? "fail" : "", limits: [0] })),
    cell("number", h("strong", null, signed(one.metric, one.difference)), h("div", { class: "fine" }, `${signed(one.metric, one.lower)} to ${signed(one.metric, one.upper)}`)),
    cell("number", `−${one.n_worse} +${one.n_better}`, h("div", { class: "fine" }, `of ${formatCount(one.n)}${one.n_missing ? `, ${one.n_missing} missing` : ""}`)),
    cell("number", one.p_adjusted.toPrecision(2), h("div", { class: "fine" }, `of ${one.alpha}`)),
    cell("fine", [one.worst_group && `fell most: ${one.worst_group.kind} ${one.worst_group.name} ${signed(one.metric, one.worst_group.difference)}, n=${one.worst_group.n}`,
      one.cure && `next: ${one.cure}`, isKnown(one.detectable) && one.standing === "none" && `would have found ${signed(one.metric, -one.detectable)}`].filter(Boolean).join("; ")));
}

function comparisonTable(caption, found) {
  const axis = axisFor([0, ...found.flatMap((one) => [one.difference, one.lower, one.upper])], 180);
  return table(caption, ["Model", "Finding", "Difference and interval", ["Difference", "number"], ["Worse, better", "number"], ["Holm p", "number"], "Note"],
    found.map((one) => comparisonRow(one, axis)), { className: "comparisons",
      footer: h("tfoot", null, h("tr", null, h("td"), h("td"), cell("", axisSvg(axis, brief)), h("td"), h("td"), h("td"), h("td"))) });
}

// Named by the comparison; the list behind each shows every one.
function flipsSection(found) {
  const flipped = found.filter((one) => one.flips.length);
  return section("Answers that flipped", "Right before and wrong now, paired by case.",
    flipped.length ? flipped.map((one) => h("div", { class: "flips" }, h("h3", null, `${one.model_id} · ${one.suite} · ${one.metric}`),
      h("ul", { class: "plain columns" }, one.flips.map((flip) => h("li", null,
        link(caseLink(one.suite, flip.case_id, { model: one.model_id, versus: "before" }), flip.case_id)))),
      h("p", { class: "fine" }, link(hashFor(["answers"], { suite: one.suite, model: one.model_id, show: "broke" }), "All that were right in the last run and are wrong now"))))
      : empty("No comparison that looks worse has a flipped answer."),
    report.previous && report.suites.length > 0 && h("p", null, "Every flip since the last run, by suite: ", report.suites.map((suite) => [
      link(hashFor(["answers"], { suite: suite.name, show: "broke" }), suite.name), " "])));
}

function changesView() {
  const own = report.comparisons.filter((one) => one.against === "baseline");
  const incumbents = report.comparisons.filter((one) => one.against === "incumbent");
  const telling = own.filter((one) => one.standing !== "none" && one.standing !== "cleared");
  const quiet = own.filter((one) => !telling.includes(one));
  const changes = verdictChanges();
  const nights = Math.max(0, ...own.map((one) => one.n_nights));
  return h("div", null, h("h1", { tabindex: "-1" }, "Changes"),
    report.previous ? h("p", { class: "facts" }, `Run ${report.run.run_id} against ${report.previous.run.run_id} (${formatTime(report.previous.run.started_at)}); up to ${plural(nights, "earlier run")} pooled.`)
      : h("p", { class: "facts" }, "There is no whole run before this one to compare with."),
    report.changes.length > 0 && section("Not what it was", "What may explain the rest, so it comes first.",
      table("Not what it was", ["Suite", "Model", "What"], report.changes.map((one) => h("tr", null, rowHead(one.suite), cell("", one.model_id || "every model"), cell("", one.what))))),
    section("Verdicts", "As of the end of the run before, by today's gates and policy.",
      changes.length ? table("Verdicts that changed", ["Task", "Model", "Before", "Now", "Why"], changes.map(({ now, before }) => h("tr", null,
        rowHead(link(taskLink(now.task), now.task)), cell("", now.model_id), cell("", chip(before.status)), cell("", chip(now.status)), cell("fine", whyWords(now)))))
        : empty(report.previous ? "No verdict changed." : "Nothing to compare with.")),
    section("Got worse?", "Paired per case against the model's own earlier nights; exact, Holm over all. Drops under 0.02 are not acted on.",
      own.length === 0 ? empty("Nothing to compare: no suite has the same prompts and scorers, and enough answers, in both runs.")
        : telling.length ? comparisonTable("What looks worse", telling) : empty("No confirmed regression, and nothing suspicious."),
      quiet.length > 0 && h("details", null, h("summary", null, `${plural(quiet.length, "comparison")} without a drop`), comparisonTable("Comparisons without a drop", quiet))),
    flipsSection(report.comparisons),
    incumbents.length > 0 && section("Against the incumbents", "A standing difference, no news: policy decides what it is worth.", comparisonTable("Against the incumbents", incumbents)));
}

// Verdicts in words: the chip, the gate that decided, the reasons, the cure.
const GATE_REASONS = new Set(["gate_failed", "gate_undecided"]);

function reasonName(reason) {
  const about = [reason.suite, reason.metric].filter(Boolean).join("/");
  return about ? `${words(reason.code)} (${about})` : words(reason.code);
}

// One axis for all models of a task, so that the drawings of a column can be compared.
function gateAxis(task, gate, width) {
  const same = report.verdicts.filter((one) => one.task === task).flatMap((one) => one.gates)
    .filter((one) => one.suite === gate.suite && one.metric === gate.metric && one.rule === gate.rule);
  const numbers = same.flatMap((one) => [one.limit, one.estimate?.value, one.estimate?.lower, one.estimate?.upper]);
  return axisFor(numbers, width, { isShare: unitOf(gate.metric) === "share" });
}

// A few words for the first screen: the first reason that is no gate, else the gate.
function whyWords(verdict) {
  const cause = verdict.reasons.find((reason) => !GATE_REASONS.has(reason.code));
  if (cause && verdict.status !== "eligible") return `${reasonName(cause)}${cause.detail ? `: ${cause.detail}` : ""}`;
  const gate = verdict.worst === null ? null : verdict.gates[verdict.worst];
  if (gate) return `${gate.words.name} ${gate.words.value}: ${gate.words.bound}`;
  return verdict.reasons.map(reasonName).join(", ");
}

function cureOf(verdict) {
  const texts = [...verdict.reasons.map((reason) => reason.cure), ...verdict.gates.map((gate) => gate.cure)];
  return texts.find(Boolean) || "";
}

function gateView(task, gate, width = 150) {
  const axis = gateAxis(task, gate, width);
  return h("div", { class: `gate ${gate.status}` },
    h("div", { class: "gate-line" }, h("code", null, gate.words.name), " ", h("strong", null, gate.words.value)),
    gate.estimate && intervalSvg(axis, gate.estimate, { status: gate.status, limits: [gate.limit], rule: gate.rule }),
    h("div", { class: "fine" }, `${gate.words.bound}; ${gate.words.n}`));
}

function verdictCell(verdict) {
  if (!verdict) return h("span", { class: "muted" }, "not considered");
  const gate = verdict.worst === null ? null : verdict.gates[verdict.worst];
  const causes = verdict.reasons.filter((reason) => !GATE_REASONS.has(reason.code));
  const before = previousVerdict(verdict.task, verdict.model_id);
  return h("div", { class: "verdict" },
    h("div", { class: "verdict-head" }, chip(verdict.status),
      before && before.status !== verdict.status && h("span", { class: "was" }, `was ${before.status}`),
      verdict.admitted_by === "waiver" && h("span", { class: "badge" }, "by waiver")),
    causes.slice(0, 2).map((reason) => h("div", { class: "cause" }, h("strong", null, reasonName(reason)),
      reason.detail && h("span", { class: "fine" }, ` ${reason.detail}`))),
    gate && gateView(verdict.task, gate));
}

// The models of a task in the router's order, then the undecided, then the others.
function standing(task) {
  const order = offered(task);
  const rank = { eligible: 0, undecided: 1, ineligible: 2 };
  const place = (verdict) => (order.includes(verdict.model_id) ? order.indexOf(verdict.model_id) : 1e6);
  return report.verdicts.filter((one) => one.task === task && report.model_ids.includes(one.model_id))
    .sort((a, b) => rank[a.status] - rank[b.status] || place(a) - place(b));
}

const waiverEnd = (waiver) => {
  const until = /^\d{4}-\d{2}-\d{2}$/.test(waiver.until) ? `${waiver.until}T24:00:00Z`
    : /(Z|[+-]\d{2}:?\d{2})$/.test(waiver.until) ? waiver.until : `${waiver.until}Z`;
  return Date.parse(until);
};

function waiverState(waiver, now = Date.now()) {
  const days = (waiverEnd(waiver) - now) / 86_400_000;
  if (days <= 0) return { kind: "over", words: `ended ${plural(Math.max(0, Math.floor(-days)), "day")} ago` };
  const left = days < 1 ? "less than a day" : plural(Math.floor(days), "day");
  return days <= 3 ? { kind: "soon", words: `ends soon: ${left} left` } : { kind: "active", words: `${left} left` };
}

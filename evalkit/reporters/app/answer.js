// One model's answer: what it said with the faults at their place, its scores, what happened on the way, the raw wire.
function textBlock(text, label) {
  return h("pre", { class: "text", dir: "ltr", tabindex: "0", role: "group", "aria-label": label }, text);
}

function jsonBlock(text, marks, label) {
  const found = text && jsonIn(text);
  if (!found) return textBlock(text || "no text", label);
  const left = new Set(marks.keys());
  const lines = found.lines.map((line) => {
    const said = line.isEnd ? null : marks.get(line.pointer);
    if (said) left.delete(line.pointer);
    return jsonLine(line, said);
  });
  // What is missing has no line of its own: it is told at the closest thing above it.
  const lost = [...left].map((pointer) => h("div", { class: "lost" }, h("code", null, pointer || "/"), " ", [...marks.get(pointer).keys()].join("; ")));
  return h("div", { class: "json-box" },
    found.before && h("div", { class: "around" }, h("span", { class: "unseen" }, "before the JSON: "), found.before),
    found.isFenced && h("div", { class: "around" }, "in a ``` fence"),
    h("pre", { class: "text json", dir: "ltr", tabindex: "0", role: "group", "aria-label": label }, lines),
    found.after && h("div", { class: "around" }, h("span", { class: "unseen" }, "after the JSON: "), found.after),
    lost.length > 0 && h("div", { class: "losts" }, lost));
}

function jsonLine(line, said) {
  const parts = line.parts.map(([kind, text]) => (kind ? h("span", { class: `j-${kind}` }, text) : text));
  return h("span", { class: `line${said ? " faulty" : ""}` },
    h("span", { class: "gutter", "aria-hidden": "true" }, said ? "✕" : " "), "  ".repeat(line.depth), parts, "\n",
    said && [...said].map(([message, metric]) => h("span", { class: "fault" }, `${"  ".repeat(line.depth)}  ↑ ${metric}: ${message}\n`)));
}

const whySaid = (score) => (score ? [score[2], ...score[3]].filter(Boolean).join(" · ") : "");

function scoresTable(answer) {
  return h("table", { class: "scores" }, h("caption", { class: "unseen" }, `Scores of ${answer.model}`),
    h("tbody", null, (answer.scores || []).map(([metric, value, rationale, findings], index, every) => h("tr", null,
      h("th", { scope: "row" }, metric),
      cell("number", h("span", { class: `mark ${value === 1 ? "right" : value === null ? "missing" : "wrong"}`, "aria-hidden": "true" }, SIGNS[value === 1 ? "right" : value === null ? "missing" : "wrong"]),
        value === null ? "none" : formatShare(value)),
      cell("fine", whySaid(every[index - 1]) === whySaid([metric, value, rationale, findings]) && whySaid(every[index]) ? "as above" : whySaid(every[index]))))));
}

function factsOf(answer) {
  const [latency, ttft, queue, retry, direct] = answer.times;
  const [prompt, output, reasoning, cached] = answer.tokens;
  return [
    ["client time", formatSeconds(latency)], ["first token", isKnown(ttft) && formatSeconds(ttft)],
    ["queue", queue >= 0.0005 && formatSeconds(queue)], ["retry", retry >= 0.0005 && formatSeconds(retry)],
    ["direct", isKnown(direct) && formatSeconds(direct)],
    ["cost", `${formatUsd(answer.usd)} (${answer.usd_source})`],
    ["tokens", `${formatCount(prompt)} in, ${formatCount(output)} out`],
    ["reasoning tokens", isKnown(reasoning) && formatCount(reasoning)], ["cached tokens", isKnown(cached) && formatCount(cached)],
    ["mode", answer.mode], ["finish", answer.finish], ["identity", words(answer.identity)], ["served by", answer.served],
    ["turns", answer.n_turns],
  ].filter(([, value]) => value);
}

function attemptsTable(answer) {
  return table(`Attempts of ${answer.model}`, ["#", "Outcome", ["Status", "number"], ["Took", "number"], ["Then waited", "number"], ["Cost", "number"], "Said"],
    (answer.attempts || []).map(([kind, status, latency, pause, usd, detail], index) => h("tr", null, rowHead(index + 1),
      cell("", h("span", { class: `kind ${kindGroup(kind)}` }, words(kind))), cell("number", status ?? "none"), cell("number", formatSeconds(latency)),
      cell("number", pause ? formatSeconds(pause) : "–"), cell("number", formatUsd(usd)), cell("fine", detail))));
}

function wireView(answer) {
  if (!answer.wire?.some(([request, response]) => request || response)) return empty("No bytes were kept.");
  return answer.wire.map(([request, response], index) => h("div", { class: "wire" },
    answer.wire.length > 1 && h("h4", null, `turn ${index + 1 + Math.max(0, (answer.n_turns || 0) - answer.wire.length)}`),
    h("h4", null, "request"), textBlock(request || "empty", "raw request"), h("h4", null, "response"), textBlock(response || "empty", "raw response")));
}

// Opened only when somebody looks: forty raw exchanges are not built to be hidden.
function lazily(summary, make) {
  const node = h("details", { on: { toggle: () => { if (node.open && node.childElementCount === 1) node.append(h("div", null, make())); } } }, h("summary", null, summary));
  return node;
}

function answerCard(answer, suite, { other, isChosen }) {
  const primary = (answer.scores || []).find(([metric]) => metric === suite.primary);
  const group = kindGroup(answer.kind);
  const mark = group === "missing" || !primary || primary[1] === null ? "missing" : primary[1] === 1 ? "right" : "wrong";
  const id = freshId("answer");
  const before = answer.before;
  return h("section", { class: `card ${mark}${isChosen ? " chosen" : ""}`, "aria-labelledby": id },
    h("header", null, h("h3", { id }, answer.model, answer.trial ? h("span", { class: "fine" }, ` trial ${answer.trial + 1}`) : ""),
      h("span", null, chip(mark, mark === "missing" ? "no score" : `${suite.primary} ${formatShare(primary[1])}`), " ",
        answer.kind !== "ok" && h("span", { class: `kind ${group}` }, words(answer.kind)))),
    before && h("p", { class: "fine" }, before.is_same ? "The same answer as in the last run." : `Last run: ${words(before.kind || answer.kind)}, ${suite.primary} ${formatShare(before.primary)}, other words.`),
    other?.none ? empty(other.none) : other ? diffView(other.text, answer.text || "", { from: other.name, to: answer.model })
      : jsonBlock(answer.text, marksIn(answer.scores || []), `answer of ${answer.model}`),
    answer.flags?.length > 0 && h("p", { class: "fine" }, "noticed on the wire: ", answer.flags.map((flag) => h("code", null, flag))),
    scoresTable(answer),
    h("dl", { class: "facts-list" }, factsOf(answer).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
    answer.reasoning && lazily("Reasoning", () => textBlock(answer.reasoning, "reasoning")),
    lazily(plural((answer.attempts || []).length, "attempt"), () => attemptsTable(answer)),
    lazily("Raw wire", () => wireView(answer)));
}

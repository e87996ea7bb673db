// The list of answers of a suite. Only the rows in sight exist: a hundred thousand cost what thirty do.
const ROW_HEIGHT = 34;
const SHOW = [["", "all answers"], ["failing", "lost points"], ["missing", "missing"], ["broke", "right before, wrong now"],
  ["mended", "wrong before, right now"], ["differs", "answer differs from last run"], ["critical", "critical cases"]];
const BIT = { failing: 1, missing: 2, broke: 4, mended: 8, differs: 16, critical: 32 };
const ROW_SORTS = { case: "case", model: "model", score: "score", ms: "ms", usd: "usd", kind: "kind" };

// Numbers of the rows that match, in order. `inside`: case numbers found by searching the answers, or null.
function matching(rows, state, inside) {
  const needles = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const haystacks = needles.length ? {
    case: rows.cases.map((name, number) => `${name} ${rows.tags[number].join(" ")}`.toLowerCase()),
    model: rows.models.map((name) => name.toLowerCase()),
    why: rows.whys.map((name) => name.toLowerCase()), kind: rows.kinds.map((name) => name.toLowerCase()),
  } : null;
  const bit = BIT[state.show] || 0, model = state.model ? rows.models.indexOf(state.model) : -1;
  const found = [];
  for (let row = 0; row < rows.case.length; row += 1) {
    if (bit && !(rows.flags[row] & bit)) continue;
    if (state.model && rows.model[row] !== model) continue;
    if (inside) {
      if (!inside.has(rows.case[row])) continue;
    } else if (haystacks && !needles.every((needle) => Object.keys(haystacks).some((name) => haystacks[name][rows[name][row]].includes(needle)))) continue;
    found.push(row);
  }
  const column = rows[ROW_SORTS[state.sort]];
  if (!column) return found;
  const names = { case: rows.cases, model: rows.models, kind: rows.kinds }[state.sort];
  const key = names ? (row) => names[column[row]] : (row) => column[row];
  const sign = state.down ? -1 : 1;
  return found.sort((a, b) => (key(a) < key(b) ? -sign : key(a) > key(b) ? sign : a - b));
}

async function answersView(route) {
  const suite = suiteBy(route.query.suite) || report.suites[0];
  if (!suite) return missingView("This run asked no suite.");
  const rows = await rowsOf(suite.name);
  const state = { suite: suite.name, model: route.query.model || "", show: route.query.show || "", q: route.query.q || "",
    sort: route.query.sort || "", down: route.query.down || "" };
  let inside = null;
  const count = h("span", { class: "count", role: "status" });
  const list = virtualRows(rows, suite);
  const scanner = h("span");
  const draw = () => {
    remember(["answers"], state);
    const found = matching(rows, state, inside);
    count.textContent = `${formatCount(found.length)} of ${formatCount(rows.case.length)} answers`;
    list.show(found, state);
  };
  const soon = debounced(draw);
  const change = (name) => (value) => { state[name] = value; draw(); };
  list.onSort = (name) => {
    state.down = state.sort === name && !state.down ? "1" : "";
    state.sort = name;
    draw();
  };
  const scan = h("button", { type: "button", on: { click: () => scanAnswers(suite, rows, scanner, { text: state.q, isWanted: (text) => text === state.q, onFound: (found) => { inside = found; draw(); } }) } }, "Search inside answers");
  const models = [["", "all models"], ...rows.models.map((name) => [name, name])];
  draw();
  return h("div", { class: "answers" },
    h("h1", { tabindex: "-1" }, "Answers"),
    h("div", { class: "tools" },
      choice("Suite", report.suites.map((one) => [one.name, one.name]), suite.name, (name) => { location.hash = hashFor(["answers"], { suite: name, show: state.show, model: state.model }); }),
      choice("Model", models, state.model, change("model")),
      choice("Show", SHOW, state.show, change("show")),
      searchBox("Find case, tag, model, kind or reason", state.q, (value) => { state.q = value; inside = null; scanner.replaceChildren(); soon(); }),
      scan, scanner, count),
    list.node,
    h("p", { class: "fine" }, "j and k move, Enter opens. Right means 1 on the primary metric, ", h("code", null, suite.primary), "."));
}

// Reads every shard of the suite, one after the other; what was found so far is shown at once.
async function scanAnswers(suite, rows, status, { text, isWanted, onFound }) {
  const needle = text.toLowerCase().trim();
  if (!needle) {
    status.replaceChildren(h("span", { class: "fine" }, "Write what to look for first."));
    return;
  }
  let isStopped = false;
  const found = new Set();
  const words = h("span", { role: "status" });
  status.replaceChildren(words, h("button", { type: "button", on: { click: () => { isStopped = true; } } }, "Stop"));
  for (let index = 0; index < rows.starts.length && !isStopped && status.isConnected && isWanted(text); index += 1) {
    words.textContent = `read ${index + 1} of ${rows.starts.length} parts, ${found.size} cases `;
    const cases = await shard(`${report.details[suite.name].slug}.cases-${index}`);
    if (!isWanted(text)) return;
    cases.forEach((one, offset) => {
      if (one.answers.some((answer) => (answer.text || "").toLowerCase().includes(needle))) found.add(rows.starts[index] + offset);
    });
    onFound(found);
    await new Promise((resume) => setTimeout(resume));
  }
  status.replaceChildren(h("span", { class: "fine" }, `${plural(found.size, "case")} with an answer that holds “${text}”`));
}

const ROW_HEADS = [["case", "Case"], ["model", "Model"], ["kind", "Outcome"], ["score", "Score"], ["", "Why"], ["ms", "Latency"], ["usd", "Cost"], ["", "Since last run"]];

function virtualRows(rows, suite) {
  let found = [], chosen = 0;
  const spacer = [h("td", { colspan: "8" }), h("td", { colspan: "8" })];
  const spacers = spacer.map((one) => h("tr", { "aria-hidden": "true", class: "spacer" }, one));
  const body = h("tbody");
  const heads = ROW_HEADS.map(([name, text]) => h("th", { scope: "col", class: ["score", "ms", "usd"].includes(name) ? "number" : null },
    name ? h("button", { type: "button", class: "sort", on: { click: () => api.onSort(name) } }, text, h("span", { class: "arrow", "aria-hidden": "true" })) : text));
  const box = h("div", { class: "rows", tabindex: "0", role: "group", "aria-label": "Answers" },
    h("table", { class: "rows-table" }, h("caption", { class: "unseen" }, `Answers of ${suite.name}`), h("thead", null, h("tr", null, heads)), body));
  const note = h("div");
  const draw = () => {
    const first = Math.max(0, Math.floor(box.scrollTop / ROW_HEIGHT) - 6);
    const last = Math.min(found.length, first + Math.ceil((box.clientHeight || 600) / ROW_HEIGHT) + 12);
    spacer[0].style.height = `${first * ROW_HEIGHT}px`;
    spacer[1].style.height = `${(found.length - last) * ROW_HEIGHT}px`;
    body.replaceChildren(spacers[0], ...found.slice(first, last).map((row, offset) => answerRow(rows, suite, row, { index: first + offset, isChosen: first + offset === chosen })), spacers[1]);
  };
  let isWaiting = false;
  box.addEventListener("scroll", () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; draw(); });
  });
  box.addEventListener("keydown", (event) => {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (event.key === "Enter" && event.target === box && found[chosen] !== undefined) location.hash = caseLink(suite.name, rows.cases[rows.case[found[chosen]]], { model: rows.models[rows.model[found[chosen]]] });
    if (!step) return;
    event.preventDefault();
    chosen = Math.min(found.length - 1, Math.max(0, chosen + step));
    const top = chosen * ROW_HEIGHT;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + 2 * ROW_HEIGHT > box.scrollTop + box.clientHeight) box.scrollTop = top + 2 * ROW_HEIGHT - box.clientHeight;
    draw();
  });
  const api = {
    node: h("div", null, box, note),
    onSort: () => {},
    show(matches, state) {
      found = matches;
      chosen = 0;
      box.scrollTop = 0;
      box.querySelector("table").setAttribute("aria-rowcount", String(found.length + 1));
      ROW_HEADS.forEach(([name], index) => {
        const isSorted = name && name === state.sort;
        heads[index].setAttribute("aria-sort", isSorted ? (state.down ? "descending" : "ascending") : "none");
        const arrow = heads[index].querySelector(".arrow");
        if (arrow) arrow.textContent = isSorted ? (state.down ? " ▾" : " ▴") : "";
      });
      note.replaceChildren(found.length ? "" : empty("No answer matches."));
      box.hidden = !found.length;
      draw();
    },
  };
  requestAnimationFrame(draw);
  return api;
}

function answerRow(rows, suite, row, { index, isChosen }) {
  const kind = rows.kinds[rows.kind[row]], flags = rows.flags[row], score = rows.score[row];
  const caseId = rows.cases[rows.case[row]], model = rows.models[rows.model[row]];
  const mark = flags & BIT.missing ? "missing" : score === 10000 || (score < 0 && !(flags & BIT.failing)) ? "right" : "wrong";
  const turned = flags & BIT.broke ? chip("wrong", "broke") : flags & BIT.mended ? chip("right", "mended") : flags & BIT.differs ? h("span", { class: "muted" }, "other words") : "";
  return h("tr", { class: isChosen ? "chosen" : null, "aria-rowindex": String(index + 2) },
    rowHead(link(caseLink(suite.name, caseId, { model }), caseId), flags & BIT.critical ? h("span", { class: "badge" }, "critical") : "", rows.trial[row] ? h("span", { class: "fine" }, ` trial ${rows.trial[row] + 1}`) : ""),
    cell("", model), cell("", h("span", { class: `kind ${kindGroup(kind)}` }, words(kind))),
    cell("number", h("span", { class: `mark ${mark}`, "aria-hidden": "true" }, SIGNS[mark]), score < 0 ? "none" : formatShare(score / 10000)),
    cell("why", rows.whys[rows.why[row]]),
    cell("number", rows.ms[row] < 0 ? UNKNOWN : formatSeconds(rows.ms[row] / 1000)),
    cell("number", rows.usd[row] < 0 ? UNKNOWN : formatUsd(rows.usd[row])), cell("", turned));
}

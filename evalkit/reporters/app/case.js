// One case: what was asked, what was expected, and what every model said, side by side.
const VERSUS = [["", "as it is"], ["expected", "against expected"], ["before", "against the last run"], ["incumbent", "against the incumbent"]];

async function caseView(route) {
  const [suiteName, caseId] = route.rest;
  const suite = suiteBy(suiteName);
  const found = suite && await caseOf(suiteName, caseId);
  if (!found) return missingView(`There is no case ${caseId || ""} of ${suiteName || ""} in this report.`);
  const incumbent = rulesOf(suite.task)?.incumbent;
  const state = { model: route.query.model || "", only: route.query.only || "", versus: route.query.versus || "" };
  const grid = h("div", { class: "cards" });
  const draw = () => {
    remember(["case", suiteName, caseId], state);
    const answers = [...found.answers]
      .sort((a, b) => (a.model === state.model ? -1 : b.model === state.model ? 1 : 0) || report.model_ids.indexOf(a.model) - report.model_ids.indexOf(b.model) || a.trial - b.trial)
      .filter((answer) => !state.only || !isRight(answer));
    const other = (answer) => versusOf(answer, found, { versus: state.versus, incumbent });
    grid.replaceChildren(...answers.map((answer) => answerCard(answer, suite, { other: other(answer), isChosen: answer.model === state.model })));
    if (!answers.length) grid.replaceChildren(empty("Every model got this case right."));
  };
  const options = VERSUS.filter(([name]) => (name === "before" ? report.previous : name === "incumbent" ? incumbent : true))
    .map(([name, text]) => [name, name === "incumbent" ? `against ${incumbent}` : text]);
  draw();
  return h("article", { class: "case" },
    caseHead(suite, found),
    h("div", { class: "asked" },
      h("section", { "aria-label": "Prompt" }, h("h2", null, "Prompt"),
        found.prompt.length ? found.prompt.map(([role, content]) => h("div", { class: "message" }, h("h3", null, role), textBlock(content, `${role} message`)))
          : empty(suite.payloads === "full" ? "No request was kept." : `Not kept: payloads are ${suite.payloads}.`)),
      h("section", { "aria-label": "Expected" }, h("h2", null, "Expected"), jsonBlock(found.expected, new Map(), "expected answer"))),
    h("h2", null, "Answers"),
    h("div", { class: "tools" },
      choice("Show answers", options, state.versus, (value) => { state.versus = value; draw(); }),
      choice("Models", [["", "all"], ["1", "only those that lost points"]], state.only, (value) => { state.only = value; draw(); })),
    grid);
}

function caseHead(suite, found) {
  const { rows, number } = found;
  const failing = new Set(rows.case.filter((_, row) => rows.flags[row] & BIT.failing));
  const step = (from, by) => {
    for (let at = from + by; at >= 0 && at < rows.cases.length; at += by) if (failing.has(at)) return rows.cases[at];
    return null;
  };
  const [back, next] = [step(number, -1), step(number, 1)];
  const way = (caseId, text, key) => (caseId ? h("a", { class: "button", href: caseLink(suite.name, caseId), "data-key": key }, text) : h("span", { class: "button off" }, text));
  return h("header", { class: "case-head" },
    h("p", { class: "crumbs" }, link(taskLink(suite.task), suite.task), " / ", link(hashFor(["answers"], { suite: suite.name }), suite.name), " /"),
    h("h1", { tabindex: "-1" }, found.case),
    h("p", { class: "facts" }, [found.critical && "critical", found.cluster && found.cluster !== found.case && `cluster ${found.cluster}`, ...found.tags.map((tag) => `#${tag}`)].filter(Boolean).join(" · ")),
    h("p", { class: "ways" }, way(back, "← previous failing", "p"), way(next, "next failing →", "n")));
}

const isRight = (answer) => (answer.scores || []).length > 0 && answer.scores.every(([, value]) => value === 1);

// What an answer is held against: {text, name}, or a few words why there is nothing.
function versusOf(answer, found, { versus, incumbent }) {
  if (versus === "expected") return { text: found.expected, name: "expected" };
  if (versus === "before") {
    if (!answer.before) return { none: "The last run did not ask this." };
    return { text: answer.before.is_same ? answer.text || "" : answer.before.text || "", name: "last run" };
  }
  if (versus === "incumbent") {
    if (answer.model === incumbent) return null;
    const theirs = found.answers.find((one) => one.model === incumbent && one.trial === answer.trial) || found.answers.find((one) => one.model === incumbent);
    return theirs ? { text: theirs.text || "", name: incumbent } : { none: `${incumbent} was not asked this.` };
  }
  return null;
}

// Decisions of people: every waiver with its reason and end, and the exact entry for one more. Nothing is decided here:
// the text goes into waivers.yaml, where it is reviewed like any other change.
const ACTIONS = [["deny", "deny: take it out"], ["hold", "hold: keep the last status"], ["allow", "allow: admit on fresh undecided evidence"]];
const MOST_DAYS = 14;

function waiversTable() {
  if (!report.waivers.length) return empty("No waiver: every verdict rests on evidence alone.");
  const rows = [...report.waivers].sort((a, b) => waiverEnd(a) - waiverEnd(b)).map((one) => {
    const state = waiverState(one);
    return h("tr", { class: `waiver ${state.kind}` }, rowHead(one.model), cell("", link(taskLink(one.task), one.task)), cell("", h("strong", null, one.action)),
      cell("", one.reason), cell("", one.by), cell("", h("time", { datetime: one.until }, one.until)),
      cell("", h("span", { class: `badge ${state.kind}` }, state.kind === "soon" ? "⚠ " : "", state.words)));
  });
  return table("Waivers", ["Model", "Task", "Action", "Why", "Who", "Until", "State"], rows);
}

// A YAML double-quoted string; JSON's escapes are among YAML's.
function quotedYaml(text) {
  return JSON.stringify(text).replace(/[\x7f-\u{10ffff}]/gu, (letter) => {
    const code = letter.codePointAt(0);
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

function waiverEntry(form) {
  const plain = (text) => (/^[A-Za-z][\w.-]*$/.test(text) && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(text) ? text : quotedYaml(text));
  return [`  - task: ${plain(form.task)}`, `    model: ${plain(form.model)}`, `    action: ${form.action}`,
    `    reason: ${quotedYaml(form.reason)}`, `    by: ${quotedYaml(form.by)}`, `    until: ${form.until}`].join("\n");
}

// What makes evalkit refuse or ignore the entry.
function waiverProblems(form) {
  const verdict = verdictOf(form.task, form.model);
  const end = Date.parse(`${form.until}T24:00:00Z`), days = (end - Date.now()) / 86_400_000;
  return [
    form.reason.trim().length < 3 && "Write the reason: it stands beside the verdict.",
    !form.by.trim() && "Write who decides.",
    !(days > 0) && "The end lies in the past.",
    days > MOST_DAYS + 1 && `A waiver lasts at most ${MOST_DAYS} days.`,
    form.action === "allow" && rulesOf(form.task)?.critical && "The task is critical: no waiver may admit to it.",
    form.action === "allow" && verdict && verdict.status !== "undecided" && `allow admits only on undecided evidence; the verdict is ${verdict.status}.`,
    form.action === "hold" && rulesOf(form.task)?.critical && "The task is critical: hold can keep a model out, and not admit it.",
  ].filter(Boolean);
}

function inDays(days) {
  return new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
}

function waiverForm(route) {
  const undecided = report.verdicts.find((one) => one.status === "undecided") || report.verdicts[0];
  const form = { task: route.query.task || undecided?.task || report.task_names[0], model: route.query.model || undecided?.model_id || report.model_ids[0],
    action: route.query.action || "hold", reason: route.query.reason || "", by: route.query.by || "", until: route.query.until || inDays(7) };
  const output = h("pre", { class: "text yaml", tabindex: "0", role: "group", "aria-label": "entry for waivers.yaml" });
  const problems = h("ul", { class: "plain problems" });
  const standingNow = h("p", { class: "fine" });
  const said = h("span", { class: "count", role: "status" });
  const draw = () => {
    remember(["review"], form);
    output.textContent = visible(`version: 1\nwaivers:\n${waiverEntry(form)}`);
    problems.replaceChildren(...waiverProblems(form).map((text) => h("li", null, "⚠ ", text)));
    const verdict = verdictOf(form.task, form.model);
    standingNow.replaceChildren(...(verdict ? [h("span", null, "Now: ", chip(verdict.status), ` ${whyWords(verdict)}`)] : [h("span", null, "Not considered for this task.")]));
    said.textContent = "";
  };
  const field = (name, label, type = "text", limits = {}) => {
    const id = freshId("waiver");
    return h("span", { class: "field" }, h("label", { for: id }, label),
      h("input", { id, type, value: form[name], autocomplete: "off", ...limits, on: { input: (event) => { form[name] = event.target.value; draw(); } } }));
  };
  const pick = (name, label, options) => choice(label, options, form[name], (value) => { form[name] = value; draw(); });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(output.textContent);
      said.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(output);
      said.textContent = "selected: copy it with the keyboard";
    }
  };
  draw();
  return h("div", { class: "waiver-form" },
    h("div", { class: "tools" }, pick("task", "Task", report.task_names.map((one) => [one, one])), pick("model", "Model", report.model_ids.map((one) => [one, one])),
      pick("action", "Action", ACTIONS), field("until", "Until (UTC, its end)", "date", { min: inDays(0), max: inDays(MOST_DAYS) }), field("by", "Who"), field("reason", "Why")),
    standingNow, h("div", { role: "status" }, problems), output,
    h("p", null, h("button", { type: "button", on: { click: copy } }, "Copy"), " ", said),
    h("p", { class: "fine" }, "Add the entry below ", h("code", null, "waivers:"), " in ", h("code", null, "waivers.yaml"), ", review it like any change, then run ", h("code", null, "evalkit decide"), ". Nothing is changed from here."));
}

function reviewView(route) {
  const touched = report.verdicts.filter((one) => one.reasons.some((reason) => reason.code.startsWith("waiver_")));
  return h("div", null, h("h1", { tabindex: "-1" }, "Review"),
    section("Waivers", "Human decisions over evidence: who, why, and until when. What ends within three days is marked.", waiversTable()),
    touched.length > 0 && section("What they change", "", table("Verdicts under a waiver", ["Task", "Model", "Verdict", "Decision"], touched.map((one) => h("tr", null,
      rowHead(one.task), cell("", one.model_id), cell("", chip(one.status)), cell("", one.reasons.filter((reason) => reason.code.startsWith("waiver_")).map((reason) => `${words(reason.code)}: ${reason.detail}`).join("; ")))))),
    section("Take a decision", "The entry to add, exactly as evalkit reads it.", waiverForm(route)));
}

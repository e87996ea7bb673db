// Models against tasks: each verdict with its tightest gate. Filtered and sorted by the address.
const RANK = { eligible: 0, undecided: 1, ineligible: 2 };

function sortedModels(sort) {
  const models = [...report.model_ids];
  const summary = (model) => report.models.find((one) => one.model_id === model) || {};
  const last = (value) => (isKnown(value) ? value : Infinity);
  if (sort === "name") return models.sort((a, b) => (a < b ? -1 : 1));
  if (sort === "cost") return models.sort((a, b) => last(summary(a).cost_per_success_usd) - last(summary(b).cost_per_success_usd));
  if (sort === "quality") return models.sort((a, b) => (summary(b).mean_quality ?? -1) - (summary(a).mean_quality ?? -1));
  if (sort.startsWith("task:")) {
    const task = sort.slice(5), order = offered(task);
    const place = (model) => (order.includes(model) ? order.indexOf(model) : 1e6);
    return models.sort((a, b) => RANK[verdictOf(task, a)?.status] - RANK[verdictOf(task, b)?.status] || place(a) - place(b));
  }
  return models;
}

function matrixSection(route) {
  const state = { q: route.query.q || "", show: route.query.show || "", sort: route.query.sort || "" };
  const box = h("div");
  const count = h("span", { class: "count", role: "status" });
  const draw = () => {
    remember([], state);
    const needles = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const tasks = report.task_names;
    const models = sortedModels(state.sort).filter((model) => {
      const verdicts = tasks.map((task) => verdictOf(task, model)).filter(Boolean);
      const text = [model, ...verdicts.flatMap((one) => [one.status, ...one.reasons.map(reasonName)])].join(" ").toLowerCase();
      if (!needles.every((needle) => text.includes(needle))) return false;
      return !state.show || verdicts.some((one) => (state.show === "changed"
        ? (previousVerdict(one.task, one.model_id)?.status ?? one.status) !== one.status : one.status === state.show));
    });
    count.textContent = `${models.length} of ${report.model_ids.length}`;
    box.replaceChildren(models.length ? matrixTable(tasks, models) : empty("No model matches. ",
      h("button", { type: "button", on: { click: () => { location.hash = "#/"; } } }, "Show all")));
  };
  const sorts = [["", "roster order"], ["name", "name"], ["cost", "USD per success"], ["quality", "quality"],
    ...report.task_names.map((task) => [`task:${task}`, `standing on ${task}`])];
  const node = section("Verdicts", "A bound decides, never a mean: dots are estimates, whiskers their interval, shaded what the gate allows.",
    h("div", { class: "tools" },
      searchBox("Find", state.q, debounced((value) => { state.q = value; draw(); })),
      choice("Show", [["", "all"], ["eligible", "may serve something"], ["ineligible", "ineligible somewhere"],
        ["undecided", "undecided somewhere"], ["changed", "changed since last time"]], state.show,
      (value) => { state.show = value; draw(); }),
      choice("Sort", sorts, state.sort, (value) => { state.sort = value; draw(); }), count),
    box);
  draw();
  return node;
}

function matrixTable(tasks, models) {
  const rows = models.map((model) => h("tr", null, rowHead(model),
    tasks.map((task) => {
      const verdict = verdictOf(task, model);
      return h("td", { class: `cell ${verdict?.status || ""}` }, verdictCell(verdict));
    })));
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Verdicts: models against tasks" },
    h("table", { class: "matrix", id: "matrix" },
      h("caption", { class: "unseen" }, "Verdicts: models against tasks"),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Model"),
        tasks.map((task) => h("th", { scope: "col" }, link(taskLink(task), task))))),
      h("tbody", null, rows)));
}

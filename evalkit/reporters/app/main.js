// Boots: reads the summary, draws what the address says, and listens to keys.
const VIEWS = [
  ["overview", "Overview", "o", overviewView], ["task", "Tasks", "t", taskView], ["answers", "Answers", "a", answersView],
  ["changes", "Changes", "c", changesView], ["trends", "Trends", "r", trendsView], ["review", "Review", "w", reviewView],
];
const HIDDEN_VIEWS = { case: caseView };
const KEYS = [["/", "find"], ["g then o t a c r w", "overview, tasks, answers, changes, trends, review"], ["n, p", "next, previous failing case"],
  ["j, k", "down and up in the list of answers"], ["d", "dark or light"], ["?", "this help"]];

const page = document.getElementById("view");
let drawing = 0;

function missingView(text) {
  return h("div", null, h("h1", { tabindex: "-1" }, "Not here"), empty(text, " ", link("#/", "Back to the overview")));
}

async function draw() {
  const turn = (drawing += 1);
  const route = routeIn(location.hash);
  const found = VIEWS.find(([name]) => name === route.view);
  const make = found ? found[3] : HIDDEN_VIEWS[route.view];
  page.setAttribute("aria-busy", "true");
  let node;
  try {
    node = await (make ? make(route) : missingView("There is nothing at this address."));
  } catch (error) {
    console.error(error);
    node = missingView(`This part cannot be shown: ${error.message}.`);
  }
  if (turn !== drawing) return;
  page.replaceChildren(node);
  page.removeAttribute("aria-busy");
  const title = node.querySelector("h1");
  document.title = visible(`${report.simulated ? "[SIMULATED] " : ""}${title?.textContent || ""} · ${report.title}`);
  for (const one of document.querySelectorAll("#views a")) {
    one.toggleAttribute("aria-current", false);
    if (one.dataset.view === route.view || (route.view === "case" && one.dataset.view === "answers")) one.setAttribute("aria-current", "page");
  }
  if (isMoved) title?.focus({ preventScroll: true });
  if (isMoved) scrollTo(0, 0);
}

let isMoved = false;

function head() {
  const run = report.run;
  return h("div", { class: "top" },
    h("div", { class: "name" }, h("a", { href: "#/", class: "title" }, report.title),
      h("span", { class: "fine" }, `${report.environment} · run ${run.run_id} · ${formatTime(run.started_at)}${run.gateway_kind ? ` · ${run.gateway_kind}` : ""}${run.vantage ? ` from ${run.vantage}` : ""}`)),
    h("nav", { id: "views", "aria-label": "Views" }, VIEWS.map(([name, text]) => h("a", { href: name === "overview" ? "#/" : hashFor([name]), "data-view": name }, text))),
    h("div", { class: "switches" },
      h("button", { type: "button", "aria-label": "Dark or light", title: "Dark or light (d)", on: { click: switchTheme } }, "◐"),
      h("button", { type: "button", "aria-label": "Keyboard help", title: "Keyboard (?)", on: { click: showHelp } }, "?")));
}

function stored(name, value) {
  // A page on a disk may have no storage; then the choice lasts as long as the page.
  try {
    if (value !== undefined) localStorage.setItem(name, value);
    return localStorage.getItem(name);
  } catch {
    return value ?? null;
  }
}

function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  stored("evalkit-theme", root.dataset.theme);
}

const help = h("dialog", { "aria-label": "Keyboard" });

function showHelp() {
  help.replaceChildren(h("h2", null, "Keyboard"), h("dl", { class: "keys" }, KEYS.map(([keys, what]) => h("div", null, h("dt", null, h("kbd", null, keys)), h("dd", null, what)))),
    h("button", { type: "button", on: { click: () => help.close() } }, "Close"));
  help.showModal();
}

let isGoing = false;

function pressed(event) {
  const isWriting = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting || help.open) return;
  if (isGoing) {
    isGoing = false;
    const found = VIEWS.find(([, , key]) => key === event.key);
    if (found) location.hash = hashFor([found[0] === "overview" ? "" : found[0]]);
    return;
  }
  const beside = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  const actions = { "/": () => document.querySelector("[data-search]")?.focus(), g: () => { isGoing = true; }, d: switchTheme, "?": showHelp,
    j: () => document.querySelector(".rows")?.focus(), k: () => document.querySelector(".rows")?.focus() };
  if (beside) location.hash = beside.getAttribute("href");
  else if (actions[event.key]) actions[event.key]();
  else return;
  event.preventDefault();
}

async function boot() {
  const theme = stored("evalkit-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  try {
    if (!window.DecompressionStream) throw new Error("this browser is too old to unpack the report's data; any of the last three years can");
    report = await shard("summary");
  } catch (error) {
    page.replaceChildren(h("p", { class: "notice", role: "alert" }, h("strong", null, "The report cannot be opened: "), `${error.message}.`));
    return;
  }
  document.getElementById("head").replaceChildren(
    report.simulated ? h("p", { class: "simulated" }, h("strong", null, "SIMULATED"), " No real model answered; these numbers admit nobody.") : "", head());
  document.body.append(help);
  addEventListener("hashchange", () => {
    if (location.hash && !location.hash.startsWith("#/")) return;
    isMoved = true;
    draw();
  });
  document.addEventListener("keydown", pressed);
  await draw();
  document.documentElement.dataset.ready = "true";
  performance.mark("evalkit-ready");
}

boot();

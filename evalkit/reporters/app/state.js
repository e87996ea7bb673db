// Where the reader is: all of it stands in the address, so that a link shows what was seen.
let report = null;

function hashFor(path, query = {}) {
  const parts = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const tail = parts.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
  return `#/${path.map(encodeURIComponent).join("/")}${tail ? `?${tail}` : ""}`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function routeIn(hash) {
  // `#view` and the like are places on the page, not views.
  const [path, tail = ""] = hash.startsWith("#/") ? hash.slice(2).split("?") : [""];
  const query = {};
  for (const pair of tail.split("&").filter(Boolean)) {
    const [name, value = ""] = pair.split("=");
    query[decoded(name)] = decoded(value);
  }
  const [view = "", ...rest] = path.split("/").map(decoded);
  return { view: view || "overview", rest, query };
}

// Changes what is looked at without a step in the history: filters, sorting.
function remember(path, query) {
  history.replaceState(null, "", hashFor(path, query));
}

function debounced(run, ms = 120) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...values), ms);
  };
}

// --- what the summary says, by name

const suiteBy = (name) => report.suites.find((suite) => suite.name === name);
const suitesOf = (task) => report.suites.filter((suite) => suite.task === task);
const verdictOf = (task, model) => report.verdicts.find((one) => one.task === task && one.model_id === model);
const previousVerdict = (task, model) =>
  report.previous?.verdicts.find((one) => one.task === task && one.model_id === model);
const rulesOf = (task) => report.tasks.find((one) => one.task === task);
const offered = (task) => report.offers.find(([name]) => name === task)?.[1] || [];
const detailsOf = (suite, model) => report.details[suite]?.models[model];
const kindGroup = (kind) => report.kind_groups[kind] || "missing";
const taskLink = (task) => hashFor(["task", task]);
const caseLink = (suite, caseId, query = {}) => hashFor(["case", suite, caseId], query);

function verdictChanges() {
  if (!report.previous) return [];
  return report.verdicts
    .map((now) => ({ now, before: previousVerdict(now.task, now.model_id) }))
    .filter(({ now, before }) => before && before.status !== now.status);
}

// Lines that are on one side only, by the longest common subsequence; what is too long to compare is said to be.
const MOST_CELLS = 2_000_000;

function diffLines(before, after) {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  const most = Math.min(before.length, after.length) - head;
  while (tail < most && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const middle = common(before.slice(head, before.length - tail), after.slice(head, after.length - tail));
  if (!middle) return null;
  return [
    ...before.slice(0, head).map((line) => [" ", line]),
    ...middle,
    ...before.slice(before.length - tail).map((line) => [" ", line]),
  ];
}

function common(before, after) {
  const wide = after.length + 1;
  if ((before.length + 1) * wide > MOST_CELLS) return null;
  const longest = new Uint32Array((before.length + 1) * wide);
  for (let i = before.length - 1; i >= 0; i -= 1) {
    for (let j = after.length - 1; j >= 0; j -= 1) {
      longest[i * wide + j] = before[i] === after[j]
        ? longest[(i + 1) * wide + j + 1] + 1
        : Math.max(longest[(i + 1) * wide + j], longest[i * wide + j + 1]);
    }
  }
  const rows = [];
  let i = 0, j = 0;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) rows.push([" ", before[i]]), i += 1, j += 1;
    else if (j >= after.length || (i < before.length && longest[(i + 1) * wide + j] >= longest[i * wide + j + 1])) {
      rows.push(["-", before[i]]), i += 1;
    } else rows.push(["+", after[j]]), j += 1;
  }
  return rows;
}

// JSON is compared as it is laid out, so that spaces are no difference; prose by lines, one long line by words.
function comparable(text) {
  const found = laidOut(text);
  if (found) return found.map(plainLine);
  const lines = text.split("\n");
  return lines.length > 1 || text.length < 100 ? lines : text.split(/(?<=[.;!?]\s)/);
}

function diffView(before, after, { from, to }) {
  const rows = diffLines(comparable(before), comparable(after));
  if (!rows) return empty("Too long to compare line by line.");
  if (rows.every(([sign]) => sign === " ")) return h("p", { class: "same" }, "No difference.");
  const names = { "-": `only in ${from}: `, "+": `only in ${to}: ` };
  return h("pre", { class: "text diff", dir: "ltr", tabindex: "0", "aria-label": `difference between ${from} and ${to}` },
    rows.map(([sign, line]) => h("span", { class: `line ${sign === "-" ? "gone" : sign === "+" ? "new" : ""}` },
      h("span", { class: "gutter", "aria-hidden": "true" }, sign),
      sign !== " " && h("span", { class: "unseen" }, names[sign]), `${line}\n`)));
}

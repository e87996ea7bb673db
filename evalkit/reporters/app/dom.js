// Nodes are made one by one and text is set as text: no function here takes markup. What cannot be seen is written out.
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]/gu;
const UNSEEN =
  /[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const MOST_LINE_CHARS = 4000;

const codeOf = (letter) => letter.codePointAt(0).toString(16);

const PLAIN = /^[\x20-\x7e\n]*$/;

function visible(value) {
  const text = String(value);
  // Nearly all text: nothing to write out.
  if (text.length <= MOST_LINE_CHARS && PLAIN.test(text)) return text;
  return text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => (line.length > MOST_LINE_CHARS
      ? `${line.slice(0, MOST_LINE_CHARS)} … [line cut: ${formatCount(line.length)} characters]` : line))
    .join("\n")
    .replace(CONTROL, (letter) => (codeOf(letter).length < 3
      ? `\\x${codeOf(letter).padStart(2, "0")}` : `\\u${codeOf(letter).padStart(4, "0")}`))
    .replace(UNSEEN, (letter) => `⟦U+${codeOf(letter).toUpperCase().padStart(4, "0")}⟧`);
}

const ATTRIBUTES = new Set([
  "class", "id", "href", "type", "value", "for", "name", "role", "scope", "tabindex", "title", "placeholder", "open",
  "selected", "disabled", "colspan", "hidden", "dir", "max", "min", "datetime", "rows", "readonly", "autocomplete",
  "spellcheck",
]);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "href" && !String(value).startsWith("#")) throw new TypeError("links stay inside this page");
    else if (ATTRIBUTES.has(name) || name.startsWith("aria-") || name.startsWith("data-") || node.namespaceURI === SVG) {
      node.setAttribute(name, value === true ? "" : visible(value));
    } else throw new TypeError(`the attribute ${name} is not used here`);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    node.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
const h = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

const SIGNS = {
  eligible: "✓", ineligible: "✕", undecided: "?", pass: "✓", fail: "✕", ok: "✓", zero: "✕", missing: "?",
  confirmed: "▼", suspect: "▽", screened: "▽", untested: "?", cleared: "✓", none: "·", right: "✓", wrong: "✕",
};

function chip(kind, label = kind, title = null) {
  return h("span", { class: `chip ${kind}`, title },
    h("span", { class: "icon", "aria-hidden": "true" }, SIGNS[kind] || "·"), words(label));
}

const link = (where, ...children) => h("a", { href: where }, ...children);

// A table with its caption read aloud and not shown, in a box of its own that scrolls.
function table(caption, heads, rows, { className = "", footer = null } = {}) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h("table", { class: className },
      h("caption", { class: "unseen" }, caption),
      h("thead", null, h("tr", null, heads.map((head) => {
        const [text, kind, title] = Array.isArray(head) ? head : [head, ""];
        return h("th", { scope: "col", class: kind, title }, text);
      }))),
      h("tbody", null, rows), footer));
}

const cell = (kind, ...children) => h("td", { class: kind || null }, ...children);
const rowHead = (...children) => h("th", { scope: "row" }, ...children);

let lastId = 0;
const freshId = (what) => `${what}-${(lastId += 1)}`;

function section(title, intro, ...children) {
  const id = freshId("section");
  return h("section", { "aria-labelledby": id },
    h("div", { class: "section-head" }, h("h2", { id }, title), intro && h("p", { class: "intro" }, intro)), ...children);
}

const empty = (...children) => h("p", { class: "empty" }, ...children);

function choice(label, options, chosen, onChange) {
  const id = freshId("choice");
  return h("span", { class: "field" }, h("label", { for: id }, label),
    h("select", { id, on: { change: (event) => onChange(event.target.value) } },
      options.map(([value, text]) => h("option", { value, selected: value === chosen }, text))));
}

function searchBox(label, value, onInput) {
  const id = freshId("search");
  return h("span", { class: "field grow" }, h("label", { for: id }, label),
    h("input", { id, type: "search", value, "data-search": "", autocomplete: "off", spellcheck: "false",
      on: { input: (event) => onInput(event.target.value) } }));
}

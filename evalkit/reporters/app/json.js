// JSON as it was sent, laid out in lines: numbers keep their digits, keys their order and their doubles. Each line knows
// its pointer, so that what a scorer said of a place can stand at that place.
const TOKEN = /\s*(?:([{}[\],:])|("(?:[^"\\\u0000-\u001f]|\\.)*")|(-?\d[\d.eE+-]*)|(true|false|null))/y;
const MOST_LAID_OUT = 60000;

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.next();
  }

  next() {
    TOKEN.lastIndex = this.at;
    const found = TOKEN.exec(this.text);
    this.token = found && { sign: found[1], text: found[1] || found[2] || found[3] || found[4],
      kind: found[2] ? "string" : found[3] ? "number" : "word" };
    if (found) this.at = TOKEN.lastIndex;
  }

  take(sign) {
    if (this.token?.sign !== sign) throw new SyntaxError(`no ${sign}`);
    this.next();
  }
}

const escaped = (key) => key.replaceAll("~", "~0").replaceAll("/", "~1");

function laidOut(text) {
  if (text.length > MOST_LAID_OUT) return null;
  try {
    const reader = new Reader(text);
    const lines = [];
    layValue(reader, lines, { pointer: "", depth: 0, head: [] });
    return reader.token || reader.text.slice(reader.at).trim() ? null : lines;
  } catch {
    return null;
  }
}

function layValue(reader, lines, { pointer, depth, head }) {
  if (depth > 60) throw new SyntaxError("nested too deeply");
  const sign = reader.token?.sign;
  if (sign === "{" || sign === "[") return layContainer(reader, lines, { pointer, depth, head, sign });
  if (!reader.token || sign) throw new SyntaxError("no value");
  lines.push({ pointer, depth, parts: [...head, [reader.token.kind, reader.token.text]] });
  reader.next();
  return undefined;
}

function layContainer(reader, lines, { pointer, depth, head, sign }) {
  const close = sign === "{" ? "}" : "]";
  reader.take(sign);
  lines.push({ pointer, depth, parts: [...head, ["", sign]] });
  for (let index = 0; reader.token?.sign !== close; index += 1) {
    if (index) {
      reader.take(",");
      lines.at(-1).parts.push(["", ","]);
    }
    let key = String(index);
    let inner = [];
    if (sign === "{") {
      if (reader.token?.kind !== "string") throw new SyntaxError("no key");
      key = JSON.parse(reader.token.text);
      inner = [["key", reader.token.text], ["", ": "]];
      reader.next();
      reader.take(":");
    }
    layValue(reader, lines, { pointer: `${pointer}/${escaped(key)}`, depth: depth + 1, head: inner });
  }
  reader.next();
  if (lines.at(-1).parts.at(-1)[1] === sign && lines.at(-1).pointer === pointer) lines.at(-1).parts.push(["", close]);
  else lines.push({ pointer, depth, parts: [["", close]], isEnd: true });
}

// The JSON inside an answer, with what was written around it.
function jsonIn(text) {
  const whole = laidOut(text);
  if (whole) return { before: "", lines: whole, after: "" };
  const fence = /```[a-z]*\s*\n([\s\S]*?)\n?\s*```/i.exec(text);
  const starts = [text.indexOf("{"), text.indexOf("[")].filter((at) => at >= 0);
  const start = starts.length ? Math.min(...starts) : -1;
  const end = Math.max(text.lastIndexOf("}"), text.lastIndexOf("]"));
  const tries = [];
  if (fence) tries.push([text.slice(0, fence.index), fence[1], text.slice(fence.index + fence[0].length), "fence"]);
  if (start >= 0 && end > start) tries.push([text.slice(0, start), text.slice(start, end + 1), text.slice(end + 1), ""]);
  for (const [before, body, after, kind] of tries) {
    const lines = laidOut(body);
    if (lines && lines.length > 1) return { before: before.trim(), lines, after: after.trim(), isFenced: kind === "fence" };
  }
  return null;
}

const plainLine = (line) => "  ".repeat(line.depth) + line.parts.map((part) => part[1]).join("");

// "/total: message; /lines/0: message; and 2 more" to [pointer, message] pairs.
function marksIn(scores) {
  const marks = new Map();
  for (const [metric, value, rationale] of scores) {
    if (value === 1 || !rationale) continue;
    for (const piece of rationale.split(/; (?=\/|and \d+ more|and more)/)) {
      const found = /^(\/[^:]*): ([\s\S]+)$/.exec(piece);
      if (!found) continue;
      const pointer = found[1] === "/" ? "" : found[1];
      const said = marks.get(pointer) || new Map();
      if (![...said.keys()].includes(found[2])) said.set(found[2], metric);
      marks.set(pointer, said);
    }
  }
  return marks;
}

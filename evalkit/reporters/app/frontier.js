// Cost against quality: whoever has no better and cheaper model beside it stands on the frontier.
const PLOT = { width: 720, height: 330, left: 54, right: 24, top: 16, bottom: 44 };

// Cheapest first, each strictly better than all before it.
function frontierOf(points) {
  let best = -Infinity;
  return [...points].sort((a, b) => a.usd - b.usd || b.quality - a.quality).filter((point) => {
    const isBetter = point.quality > best;
    best = Math.max(best, point.quality);
    return isBetter;
  });
}

function overlaps(one, other) {
  return one.x < other.x + other.w && other.x < one.x + one.w && one.y < other.y + other.h && other.y < one.y + one.h;
}

// The first place beside a dot where its label covers neither a label nor a dot.
function labelPlace(name, x, y, taken) {
  const w = name.length * 6.6 + 4;
  for (const dy of [0, -15, 15, -28, 28, -42, 42]) {
    for (const [left, anchor, at] of [[x + 9, "start", x + 9], [x - 9 - w, "end", x - 9]]) {
      const box = { x: left, y: y + dy - 8, w, h: 15 };
      const isInside = left > PLOT.left && left + w < PLOT.width && box.y > 0 && box.y + 15 < PLOT.height - PLOT.bottom;
      if (isInside && !taken.some((other) => overlaps(box, other))) return { box, anchor, at, y: y + dy + 4 };
    }
  }
  return { box: { x: x + 9, y: y - 8, w, h: 15 }, anchor: "start", at: x + 9, y: y + 4 };
}

// points: [{name, usd, quality, lower, upper, status}] with cost and quality known.
function frontierSvg(points, { costLabel, qualityLabel }) {
  const right = PLOT.width - PLOT.right, bottom = PLOT.height - PLOT.bottom;
  const costs = points.map((point) => point.usd);
  const isLog = costs.every((usd) => usd > 0) && Math.max(...costs) / Math.min(...costs) >= 8;
  const xs = isLog ? logAxis(costs, right - PLOT.left) : axisFor(costs, right - PLOT.left, { isShare: false });
  const ys = axisFor(points.flatMap((p) => [p.quality, p.lower, p.upper]), bottom - PLOT.top);
  const x = (usd) => PLOT.left + xs.at(usd), y = (value) => bottom - ys.at(value);
  const best = frontierOf(points);
  const path = best.map((p, index) => `${index ? `H${x(p.usd)} V${y(p.quality)}` : `M${x(p.usd)},${y(p.quality)}`}`).join(" ");
  const taken = points.map((p) => ({ x: x(p.usd) - 6, y: y(p.quality) - 6, w: 12, h: 12 }));
  const sorted = [...points].sort((a, b) => b.quality - a.quality);
  return svg("svg", { class: "scatter", viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img",
    "aria-label": `Cost against quality. On the frontier, cheapest first: ${best.map((p) => p.name).join(", ")}` },
  ys.ticks.map((tick) => [
    svg("line", { class: "grid", x1: PLOT.left, x2: right, y1: bottom - tick.at, y2: bottom - tick.at }),
    svg("text", { x: PLOT.left - 7, y: bottom - tick.at + 4, "text-anchor": "end" }, brief(tick.value)),
  ]),
  xs.ticks.map((tick) => [
    svg("line", { class: "grid", x1: PLOT.left + tick.at, x2: PLOT.left + tick.at, y1: PLOT.top, y2: bottom }),
    svg("text", { x: PLOT.left + tick.at, y: bottom + 16, "text-anchor": "middle" }, formatUsd(tick.value)),
  ]),
  svg("text", { class: "title", x: (PLOT.left + right) / 2, y: PLOT.height - 6, "text-anchor": "middle" },
    `${costLabel}${isLog ? " (log scale)" : ""}`),
  svg("text", { class: "title", x: 12, y: (PLOT.top + bottom) / 2, "text-anchor": "middle",
    transform: `rotate(-90 12 ${(PLOT.top + bottom) / 2})` }, qualityLabel),
  best.length > 1 && svg("path", { class: "frontier", d: path }),
  sorted.map((p) => {
    const label = labelPlace(p.name, x(p.usd), y(p.quality), taken);
    taken.push(label.box);
    return svg("g", { class: `point ${p.status}${best.includes(p) ? " best" : ""}` },
      svg("title", null, `${p.name}: ${formatShare(p.quality)}, ${formatUsd(p.usd)}`),
      svg("line", { class: "whisker", x1: x(p.usd), x2: x(p.usd), y1: y(p.lower), y2: y(p.upper) }),
      p.status === "ineligible"
        ? svg("path", { class: "dot", d: `M${x(p.usd) - 4},${y(p.quality) - 4} l8,8 m0,-8 l-8,8` })
        : svg("circle", { class: "dot", cx: x(p.usd), cy: y(p.quality), r: 5 }),
      svg("text", { x: label.at, y: label.y, "text-anchor": label.anchor }, p.name));
  }));
}

function frontier(points, leftOut, labels) {
  if (!points.length) return empty("No model has both a known cost and a quality.");
  return h("figure", { class: "plot" }, frontierSvg(points, labels),
    h("figcaption", null,
      h("span", { class: "key" }, h("span", { class: "swatch line" }), "frontier: nothing cheaper is better"),
      points.some((p) => p.status) && h("span", { class: "key" }, "● may serve  ○ undecided  ✕ may not"),
      h("span", { class: "key" }, "whiskers: 95% interval"),
      leftOut.length > 0 && h("span", { class: "key" }, `without a known cost or quality: ${leftOut.join(", ")}`)));
}

// Numbers as evalkit's other reports write them (`reporters/_format.py`): a browser test holds the two together.
const UNKNOWN = "unknown";

const isKnown = (value) => value !== null && value !== undefined;
const grouped = (text) => text.replace(/^(-?\d+)/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

function formatCount(count) {
  return isKnown(count) ? grouped(String(count)) : UNKNOWN;
}

function formatShare(share) {
  if (!isKnown(share)) return UNKNOWN;
  let digits = 3;
  if (Math.abs(share - Math.round(share)) > 1e-9) {
    while (digits < 6 && [0, 1].includes(Math.abs(Number(share.toFixed(digits))))) digits += 1;
  }
  const text = share.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
}

function formatUsd(usd) {
  if (!isKnown(usd)) return UNKNOWN;
  const size = Math.abs(usd);
  let text = "0.00";
  if (size >= 1) text = grouped(size.toFixed(2));
  else if (size > 0) text = size.toFixed(Math.max(2, 1 - Math.floor(Math.log10(size))));
  return `${usd < 0 ? "-" : ""}$${text}`;
}

function formatSeconds(seconds) {
  if (!isKnown(seconds)) return UNKNOWN;
  return Math.abs(seconds) < 1 ? `${seconds.toFixed(3)} s` : `${grouped(seconds.toFixed(2))} s`;
}

function formatTime(unixS) {
  if (!isKnown(unixS)) return UNKNOWN;
  return `${new Date(Math.floor(unixS / 60) * 60000).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

const unitOf = (metric) => report.units[metric.split("/").pop()] || "share";

function formatValue(metric, value) {
  const unit = unitOf(metric);
  if (unit === "USD") return formatUsd(value);
  if (unit === "s") return formatSeconds(value);
  if (unit === "tokens") return isKnown(value) ? grouped(value.toFixed(0)) : UNKNOWN;
  return formatShare(value);
}

const signed = (metric, value) =>
  isKnown(value) && value > 0 ? `+${formatValue(metric, value)}` : formatValue(metric, value);

const plural = (n, one, many = `${one}s`) => `${formatCount(n)} ${n === 1 ? one : many}`;

const words = (code) => code.replaceAll("_", " ");

// Shards: scripts beside the page that hand over one deflated JSON value each. A page on a disk may load these and
// nothing else. A name is checked before it becomes an address, here and nowhere else.
const SHARD_NAME = /^[A-Za-z0-9._-]{1,120}$/;
const MOST_SHARDS_HELD = 24;
const awaited = new Map();
const held = new Map();

function shardUrl(name) {
  if (!SHARD_NAME.test(name)) throw new TypeError(`no shard is called ${name}`);
  return `shards/${name}.js`;
}

const shardPolicy = window.trustedTypes
  ? window.trustedTypes.createPolicy("evalkit-shards", { createScriptURL: shardUrl })
  : { createScriptURL: shardUrl };

Object.defineProperty(window, "evalkitShard", {
  value: (name, packed) => awaited.get(name)?.resolve(packed),
});

async function inflated(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

function requested(name) {
  return new Promise((resolve, reject) => {
    awaited.set(name, { resolve });
    const script = document.createElement("script");
    script.src = shardPolicy.createScriptURL(name);
    script.onerror = () => reject(new Error(`the file shards/${name}.js is not beside this page`));
    script.onload = () => script.remove();
    document.head.append(script);
  }).finally(() => awaited.delete(name));
}

// One value a name, however often it is asked for at once; the longest unused goes when many are held.
function shard(name) {
  let found = held.get(name);
  if (found) held.delete(name);
  else {
    found = requested(name).then(inflated);
    found.catch(() => held.delete(name));
  }
  held.set(name, found);
  if (held.size > MOST_SHARDS_HELD) held.delete(held.keys().next().value);
  return found;
}

// The rows of a suite as columns, with the shard each case lies in.
async function rowsOf(suite) {
  const rows = await shard(`${report.details[suite].slug}.rows`);
  rows.shardOf = (number) => {
    let low = 0, high = rows.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (rows.starts[middle] <= number) low = middle; else high = middle - 1;
    }
    return low;
  };
  return rows;
}

// A case with all its answers; one that was asked in several places of the schedule is put together.
async function caseOf(suite, caseId) {
  const rows = await rowsOf(suite);
  const numbers = rows.cases.flatMap((one, number) => (one === caseId ? [number] : []));
  if (!numbers.length) return null;
  const parts = [];
  for (const number of numbers) {
    const index = rows.shardOf(number);
    const cases = await shard(`${report.details[suite].slug}.cases-${index}`);
    parts.push(cases[number - rows.starts[index]]);
  }
  return { ...parts[0], answers: parts.flatMap((part) => part.answers), number: numbers[0], rows };
}

// The conformance vectors against two servers:  node differential.mjs OURS THEIRS LIST DIFFERENCES TABLE
// LIST is what `vectors_test --list` prints. Each vector is sent to both as it stands, on a connection of
// its own, with a request of ours behind it (but where its input ends too early); then our side is
// closed, and what comes is read to its end. So no clock says whether the connection persisted: the last
// request was answered, or it was not.
//
// DIFFERENCES has those that are known, under a reason each ("because: ..."): "  NAME  their answers".
// Writes all that there are to TABLE, and fails when one is not known.
import fs from "node:fs";
import net from "node:net";

const [ours, theirs, listPath, differencesPath, tablePath] = process.argv.slice(2);
const PROBE = "GET /probe.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const UNEXPLAINED = "NOT EXPLAINED";
const PROBE_BODY = "this is the probe\n";
const AT_ONCE = 24, PATIENCE_MS = 20000;

function talk(host, bytes) {
  return new Promise((resolve) => {
    const got = [];
    const socket = net.connect({ port: 80, host, allowHalfOpen: true }, () => socket.end(bytes));
    const timer = setTimeout(() => { got.push(Buffer.from("\0late")); socket.destroy(); }, PATIENCE_MS);
    socket.on("data", (data) => got.push(data));
    socket.on("error", () => {}); // a reset: what has come counts
    socket.on("close", () => { clearTimeout(timer); resolve(Buffer.concat(got)); });
  });
}

// Where a body in chunks ends, or -1.
function chunksEnd(text, at) {
  for (;;) {
    const line = text.indexOf("\r\n", at);
    const size = line < 0 ? NaN : parseInt(text.slice(at, line), 16);
    if (Number.isNaN(size)) return -1;
    at = line + 2 + size + 2;
    if (size === 0) return at;
  }
}

// The statuses of all answers, and whether the probe was one of them.
function answers(bytes, methods) {
  let text = bytes.toString("latin1"), at = 0, persisted = false;
  const statuses = [], late = text.endsWith("\0late");
  if (late) text = text.slice(0, -5);
  for (let n = 0; at < text.length;) {
    const head = text.indexOf("\r\n\r\n", at);
    const status = /^HTTP\/1\.[01] (\d\d\d)/.exec(text.slice(at, at + 12))?.[1];
    if (!status || head < 0) { statuses.push("no-head"); break; }
    const fields = text.slice(at, head + 2);
    at = head + 4;
    if (status === "100") continue;
    const length = /\r\ncontent-length: *(\d+)/i.exec(fields)?.[1];
    const bare = status === "204" || status === "304" || methods[n] === "HEAD";
    const begin = at;
    if (/\r\ntransfer-encoding: *chunked/i.test(fields) && !bare) at = chunksEnd(text, at);
    else if (!bare) at = length === undefined ? text.length : at + Number(length);
    if (at < 0 || at > text.length) { statuses.push(`${status}-cut`); break; }
    if (text.slice(begin, at) === PROBE_BODY) persisted = true;
    else statuses.push(status);
    n++;
  }
  if (late) statuses.push("late");
  return { statuses, persisted };
}

// Entity tags are each server's own: in what goes to theirs, ours are replaced.
async function tagOf(host, path) {
  const text = (await talk(host, `HEAD ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`)).toString("latin1");
  return /\r\netag: *(?:W\/)?(".*")/i.exec(text)?.[1] ?? '"none"';
}

function known() {
  const all = new Map();
  let because = "";
  for (const line of fs.readFileSync(differencesPath, "utf8").split("\n")) {
    const [, reason] = /^because: (.*)/.exec(line) ?? [];
    if (reason) because = reason;
    const [, name, outcome] = /^\s+(\S+)\s+(.*)/.exec(line) ?? [];
    if (name && !line.startsWith("#")) all.set(name, { outcome, because });
  }
  return all;
}

async function ask(host, vector, bytes) {
  const cut = vector.persists === 2;
  const { statuses, persisted } = answers(await talk(host, cut ? bytes : Buffer.concat([bytes, Buffer.from(PROBE)])),
    vector.methods);
  return `${statuses.join(" ") || "nothing"}${cut ? "" : persisted ? ", goes on" : ", ends"}`;
}

const vectors = fs.readFileSync(listPath, "utf8").trim().split("\n").map((line) => {
  const [name, persists, methods, hex] = line.split(" ");
  return { name, persists: Number(persists), methods: methods.split(","), bytes: Buffer.from(hex, "hex") };
});
const tags = await Promise.all(["/site.css", "/big.txt"].map(async (path) => [await tagOf(ours, path), await tagOf(theirs, path)]));
const translated = (bytes) => Buffer.from(tags.reduce((text, [a, b]) => text.replaceAll(a, b), bytes.toString("latin1")), "latin1");

let next = 0;
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  while (next < vectors.length) {
    const v = vectors[next++];
    [v.ours, v.theirs] = await Promise.all([ask(ours, v, v.bytes), ask(theirs, v, translated(v.bytes))]);
  }
}));

const differences = known();
let unexplained = 0, same = 0;
const rows = [];
for (const v of vectors) {
  const entry = differences.get(v.name);
  differences.delete(v.name);
  if (v.ours === v.theirs) {
    same++;
    if (entry) console.log(`# ${v.name} is listed in ${differencesPath}, and does not differ any more`);
    continue;
  }
  const explained = entry?.outcome === v.theirs;
  if (!explained) unexplained++;
  rows.push([v.name, v.ours, v.theirs, explained ? entry.because : UNEXPLAINED]);
}
const width = (i) => Math.max(...rows.map((row) => row[i].length), 6);
const widths = [0, 1, 2].map(width);
const line = (row) => row.map((text, i) => text.padEnd(widths[i] ?? 0)).join("  ").trimEnd();
fs.writeFileSync(tablePath, [["vector", "ours", "nginx", "why"], ...rows].map((row) => `${line(row)}\n`).join(""));
for (const row of rows.filter((r) => r[3] === UNEXPLAINED)) console.log(`# ${line(row)}`);
for (const name of differences.keys()) console.log(`# ${name} is listed in ${differencesPath}, and there is none`);
console.log(`# ${vectors.length} vectors: ${same} the same, ${rows.length} differ (${tablePath}), ${unexplained} of these unexplained`);
process.exit(unexplained || differences.size || vectors.length < 100 ? 1 : 0);

// The clients of e2e/mixed.sh.
//	node mixed.mjs load URL LIST CLIENTS REQUESTS SEED   readers and writers at once; 0 requests: until SIGTERM
//	node mixed.mjs sweep URL                             all that there is, verified by the guest
//	node mixed.mjs ask URL LIST PATH TOKEN               one change; prints its status
//	node mixed.mjs fill URL                              until the volume is full
//	node mixed.mjs empty URL                             what has filled it is deleted
// Each line of LIST is the token of a change whose success has been answered. The last line says in figures what was
// done. Status 3: an answer was wrong. 4: the connections broke, as they do when the power is cut.
import http from "node:http";
import fs from "node:fs";

const [what, url, ...words] = process.argv.slice(2);
const PURCHASES = 8200, ACCOUNTS = 20000, HISTORY = 100000;
const figures = { requests: 0, acknowledged: 0, refused: 0, full: 0, bytes: 0 };
const life = `${Date.now().toString(36)}${process.pid.toString(36)}`;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let list = null, agent = null, number = 0, stopping = false, broken = false;

function end(status) {
	console.log(Object.entries(figures).map(([name, n]) => `${name} ${n}`).join(", "));
	process.exit(status);
}

function wrong(path, answer) {
	console.error(`${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
	end(3);
}

function once(method, path) {
	return new Promise((resolve, reject) => {
		const r = http.request(url + path, { method, agent, timeout: 300000 }, (response) => {
			let text = "";
			response.setEncoding("latin1");
			response.on("data", (piece) => (text += piece));
			response.on("end", () => resolve({ status: response.statusCode, text }));
			response.on("error", reject);
			response.on("aborted", () => reject(new Error("aborted")));
		});
		r.on("error", reject);
		r.on("timeout", () => r.destroy(new Error("no answer in 300 s")));
		r.end();
	});
}

// Until it is no longer too busy: how often that is depends on the machine, that it ends does not.
async function ask(method, path) {
	for (let tries = 0; ; tries++) {
		const answer = await once(method, path);
		figures.requests++;
		figures.bytes += answer.text.length;
		if (answer.status !== 503 || tries === 200) return answer;
		figures.refused++;
		await sleep(100);
	}
}

async function read(path) {
	const answer = await ask("GET", path);
	if (answer.status !== 200) wrong(path, answer);
}

// A change: 200 is success, 507 a full volume, 409 what the application has refused.
async function write(path, kind) {
	const token = `${kind}-${life}-${++number}`;
	const answer = await ask("POST", `${path}${path.includes("?") ? "&" : "?"}token=${token}`);
	const regretted = kind === "regret";
	if (answer.status === 507) figures.full++;
	else if (answer.status === 200 && !regretted) {
		fs.writeSync(list, token + "\n");
		figures.acknowledged++;
	} else if (answer.status !== 409) wrong(path, answer);
	return answer;
}

// The same numbers for the same seed.
function dice(seed) {
	let a = seed >>> 0;
	return (below) => {
		a = (a + 0x6d2b79f5) >>> 0;
		let t = Math.imul(a ^ (a >>> 15), a | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) % below;
	};
}

const reads = [
	(d) => `/papers?from=${d(PURCHASES)}&count=${d(100)}`,
	(d) => `/purchases?from=${d(PURCHASES)}&count=${d(300)}`,
	(d) => `/accounts?from=${d(ACCOUNTS)}&count=${d(500)}`,
	(d) => `/search?tag=${d(97)}`,
	(d) => `/history?from=${d(50000)}&count=${d(1000)}`,
	(d) => `/paper?from=${d(8000)}`,
	() => "/balances",
];
const changes = [
	["transfer", (d) => `/transfer?from=${1 + d(ACCOUNTS)}&to=${1 + d(ACCOUNTS)}&amount=${d(300)}`],
	// (Among few, so that they meet.)
	["transfer", (d) => `/transfer?from=${1 + d(5)}&to=${1 + d(5)}&amount=${d(300)}`],
	["purchase", (d) => `/purchase?account=${1 + d(ACCOUNTS)}&seed=${d(1000000)}`],
	["amend", (d) => `/amend?from=${d(PURCHASES)}&seed=${d(1000000)}`],
	["cancel", (d) => `/cancel?from=${d(PURCHASES)}`],
	["regret", (d) => `/regret?from=${d(PURCHASES)}&account=1&seed=${d(1000000)}`],
];

async function load(clients, requests, seed) {
	let left = requests || Infinity;
	const client = async (i) => {
		const d = dice(seed * 1000 + i);
		while (!stopping && left-- > 0) {
			const [kind, path] = changes[d(changes.length)];
			if (i % 2) await read(reads[d(reads.length)](d));
			else await write(path(d), kind);
		}
	};
	const ends = await Promise.allSettled(Array.from({ length: clients }, (_, i) => client(i)));
	broken = ends.some((e) => e.status === "rejected");
	const why = ends.find((e) => e.status === "rejected")?.reason;
	if (broken) console.error(String(why));
}

async function sweep() {
	const paths = ["/balances", "/history/count"];
	for (let i = 0; i < 97; i += 8) paths.push(`/search?tag=${i}`);
	for (let i = 0; i < ACCOUNTS; i += 2000) paths.push(`/accounts?from=${i}&count=1999`);
	for (let i = 0; i < 9000; i += 1000) paths.push(`/purchases?from=${i}&count=999`, `/papers?from=${i}&count=999`);
	for (let i = 0; i < HISTORY; i += 5000) paths.push(`/history?from=${i}&count=4999`);
	await Promise.all(Array.from({ length: 3 }, async () => {
		while (paths.length) await read(paths.pop());
	}));
}

// In large pieces, then in small ones.
async function fill() {
	for (const size of [100000, 3000])
		for (;;) {
			const answer = await ask("POST", `/grow?size=${size}`);
			if (answer.status === 507) break;
			if (answer.status !== 200) wrong("/grow", answer);
		}
	figures.full++;
}

// What was deleted goes back to the volume.
async function empty() {
	const gone = await ask("POST", "/shrink");
	if (gone.status !== 200) wrong("/shrink", gone);
	for (let left = 1; left > 0; ) {
		const answer = await ask("POST", "/trim");
		if (answer.status !== 200) wrong("/trim", answer);
		left = Number(answer.text.slice(5));
	}
}

process.on("SIGTERM", () => (stopping = true));
agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
try {
	if (what === "load") {
		list = fs.openSync(words[0], "a");
		await load(Number(words[1]), Number(words[2]), Number(words[3]));
	} else if (what === "sweep") {
		await sweep();
	} else if (what === "fill") {
		await fill();
	} else if (what === "empty") {
		await empty();
	} else if (what === "ask") {
		const answer = await once("POST", `${words[1]}?token=${words[2]}`);
		if (answer.status === 200) fs.appendFileSync(words[0], words[2] + "\n");
		console.log(answer.status);
		process.exit(0);
	}
} catch (error) {
	console.error(String(error));
	broken = true;
}
end(broken ? 4 : 0);

// Sends a file in many POSTs on one kept-alive connection; each answer has to be the hash of its body.
//
//	node e2e/post.mjs URL FILE BYTES
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { Agent, request } from "node:http";

const [url, path, bytes] = process.argv.slice(2);
const PIECE = 65536; // the largest body that is taken
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function post(body) {
	return new Promise((resolve, reject) => {
		const q = request(url, { method: "POST", agent, headers: { "Content-Length": body.length } }, (answer) => {
			let text = "";
			answer.on("data", (piece) => (text += piece));
			answer.on("end", () => resolve([answer.statusCode, text]));
			answer.on("error", reject);
		});
		q.on("error", reject);
		q.on("socket", (socket) => sockets.add(socket));
		q.end(body);
	});
}

const sockets = new Set();
const file = openSync(path, "r");
for (let at = 0; at < Number(bytes); at += PIECE) {
	const body = Buffer.alloc(Math.min(PIECE, Number(bytes) - at));
	readSync(file, body, 0, body.length, at);
	const [status, hash] = await post(body);
	const expected = createHash("sha256").update(body).digest("hex");
	if (status !== 200 || hash !== expected) {
		console.log(`the body at ${at}: status ${status}, ${hash} instead of ${expected}`);
		process.exit(1);
	}
}
closeSync(file);
agent.destroy();
if (sockets.size !== 1) {
	console.log(`${sockets.size} connections instead of one`);
	process.exit(1);
}
console.log("all hashes are right");

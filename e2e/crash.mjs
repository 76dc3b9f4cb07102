// Signs the guestbook from many clients at once until it is told to stop, and writes down what was
// acknowledged:  node crash.mjs URL LIST CLIENTS
// Each line of LIST is the name of an entry whose answer (303) has arrived.
import http from "node:http";
import fs from "node:fs";

const [url, list, clients] = process.argv.slice(2);
const acknowledged = fs.openSync(list, "a");
const agent = new http.Agent({ keepAlive: true, maxSockets: Number(clients) });
const life = `${Date.now().toString(36)}${process.pid.toString(36)}`;
let number = 0, stopping = false;

function request(method, path, headers, body) {
  return new Promise((resolve, reject) => {
    const r = http.request(url + path, { method, headers, agent, timeout: 20000 }, (response) => {
      let text = "";
      response.on("data", (piece) => (text += piece));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
      response.on("error", reject);
    });
    r.on("error", reject);
    r.on("timeout", () => r.destroy(new Error("timeout")));
    r.end(body);
  });
}

async function client() {
  const page = await request("GET", "/", {});
  const cookie = page.headers["set-cookie"][0].split(";")[0];
  const token = /name="csrf" value="([0-9a-f]+)"/.exec(page.text)[1];
  while (!stopping) {
    const name = `crash-${life}-${++number}`;
    const body = new URLSearchParams({ csrf: token, name, message: `entry ${name}` }).toString();
    const answer = await request("POST", "/sign", {
      Cookie: cookie, "Content-Type": "application/x-www-form-urlencoded", "Content-Length": Buffer.byteLength(body),
    }, body);
    if (answer.status !== 303) {
      console.error(`the answer was ${answer.status}`);
      process.exit(3);
    }
    fs.writeSync(acknowledged, name + "\n");
  }
}

process.on("SIGTERM", () => (stopping = true));
// The power goes: connections break, which is what this is about.
await Promise.allSettled(Array.from({ length: Number(clients) }, client));
process.exit(0);

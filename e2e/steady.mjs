// A client that asks for one thing after the other while others do harm: half of its requests on a connection that it
// keeps, half on new ones.  node steady.mjs FROM HOST PATH SECONDS LIMIT_MS: "200 answers, 0 failed, ... p99 12 ms"
import http from "node:http";

const [from, host, path, seconds, limitMs] = process.argv.slice(2);
const kept = new http.Agent({ keepAlive: true, maxSockets: 1, localAddress: from });
const took = [];
let failed = 0;

const ask = (agent) =>
  new Promise((done) => {
    const began = process.hrtime.bigint();
    const over = (ok) => {
      const ms = Number(process.hrtime.bigint() - began) / 1e6;
      if (!ok || ms > Number(limitMs)) failed++;
      took.push(ms);
      done();
    };
    const request = http.get({ host, path, agent, localAddress: from, timeout: Number(limitMs) }, (answer) => {
      answer.resume();
      answer.on("end", () => over(answer.statusCode === 200));
      answer.on("error", () => over(false));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", (error) => {
      // What was kept may have been closed at the moment of asking (RFC 9112, 9.3.1): once more, then.
      if (agent && error.code === "ECONNRESET" && request.reusedSocket) ask(false).then(done);
      else over(false);
    });
  });

const end = Date.now() + Number(seconds) * 1000;
while (Date.now() < end) {
  await ask(kept);
  await ask(false);
  await new Promise((done) => setTimeout(done, 5));
}
took.sort((a, b) => a - b);
const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))].toFixed(0);
console.log(`${took.length} answers, ${failed} failed, median ${at(0.5)} ms, p99 ${at(0.99)} ms, at most ${at(1)} ms`);
process.exit(failed === 0 ? 0 : 1);

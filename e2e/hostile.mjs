// Sends what no browser would, one connection for each case, and checks the answer:
//
//	node hostile.mjs HOST          prints "ok - ..." and "not ok - ..." lines
//
// A case is [what, bytes, statuses, {closes, answers}]: the first answer's status is among `statuses`,
// `closes` says whether the connection must end after it (or must live on), and no more than `answers`
// (1) answers arrive: a request that hides behind an ambiguous one must never be carried out.
import net from "node:net";

const host = process.argv[2];
const PATIENCE_MS = 20000;
let failed = false;

// Sends the pieces one after the other; resolves with all that came back and how it ended.
function exchange(pieces, patience = PATIENCE_MS) {
  return new Promise((resolve) => {
    const socket = net.connect(80, host);
    const began = Date.now();
    let text = "", ended = null;
    const done = (how) => {
      if (ended) return;
      ended = how;
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, ended, ms: Date.now() - began });
    };
    const timer = setTimeout(() => done("silence"), patience);
    socket.setNoDelay(true);
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      // A connection that lives on shows it by answering the last request, which says "close".
    });
    socket.on("end", () => done("closed"));
    socket.on("error", (error) => done(error.code === "ECONNRESET" || error.code === "EPIPE" ? "reset" : error.code));
    socket.on("connect", async () => {
      for (const piece of [].concat(pieces)) {
        if (ended) return;
        socket.write(Buffer.from(piece, "latin1"));
        if (Array.isArray(pieces)) await new Promise((r) => setTimeout(r, 20));
      }
    });
  });
}

const statuses = (text) => [...text.matchAll(/(?:^|\n|.)HTTP\/1\.1 (\d{3}) /g)].map((m) => Number(m[1]));
const H = "Host: guest\r\n";
const GET = `GET / HTTP/1.1\r\n${H}`;
const HIDDEN = `GET /hidden HTTP/1.1\r\n${H}Connection: close\r\n\r\n`;
const post = (fields, body) => `POST /sign HTTP/1.1\r\n${H}Content-Type: application/x-www-form-urlencoded\r\n${fields}\r\n${body}`;
const refused = (what, bytes, status = [400]) => [what, bytes, status, { closes: true }];
// Answered with an error, and the connection lives on: the good request behind it is answered too.
const survives = (what, head, status) => [what, head + HIDDEN, status, { closes: true, answers: 2, exactly: true }];

const cases = [
  // Lines and fields.
  refused("a request line that is noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "x".repeat(40) + "\r\n\r\n"),
  refused("a line of HTTP/0.9", "GET /\r\n\r\n"),
  refused("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 501, 505]),
  refused("a version that does not exist", `GET / HTTP/3.1\r\n${H}\r\n`, [505]),
  refused("two blanks in the request line", `GET  / HTTP/1.1\r\n${H}\r\n`),
  refused("a blank before the method", ` GET / HTTP/1.1\r\n${H}\r\n`),
  refused("a request line that ends in a bare line feed", `GET / HTTP/1.1\n${H}\r\n`),
  refused("a field that ends in a bare line feed", `${GET}X: y\n\r\n` + HIDDEN),
  refused("a head that ends in bare line feeds", `GET / HTTP/1.1\nHost: guest\n\n` + HIDDEN),
  refused("a bare carriage return in a value", `${GET}X: a\rb\r\n\r\n`),
  refused("a NUL in a value", `${GET}X: a\0b\r\n\r\n`),
  refused("a control character in a name", `${GET}X\x01: b\r\n\r\n`),
  refused("a blank before the colon", `${GET}Content-Length : 5\r\n\r\nhello`),
  refused("a field without a name", `${GET}: b\r\n\r\n`),
  refused("a line without a colon", `${GET}nothing\r\n\r\n`),
  refused("a folded line", `${GET}X: a\r\n b\r\n\r\n`),
  refused("a folded first line", `GET / HTTP/1.1\r\n ${H}\r\n`),
  refused("no Host", "GET / HTTP/1.1\r\n\r\n"),
  refused("two Hosts", `${GET}Host: other\r\n\r\n`),
  refused("a Host with a path", "GET / HTTP/1.1\r\nHost: guest/../\r\n\r\n"),
  refused("an expectation nobody knows", `${GET}Expect: tea\r\n\r\n`, [417]),
  // Sizes.
  refused("a head over 8 KiB in one field", `${GET}X: ${"a".repeat(9000)}\r\n\r\n`, [431]),
  refused("a head over 8 KiB in many fields", `${GET}${"X: y\r\n".repeat(2000)}\r\n`, [431]),
  refused("a head without an end", `${GET}X: ${"a".repeat(100000)}`, [431]),
  refused("65 fields and more", `${GET}${"X: y\r\n".repeat(70)}\r\n`, [431]),
  refused("a target without an end", "GET /" + "a".repeat(20000), [414]),
  refused("a method without an end", "G".repeat(20000), [400, 414, 501]),
  refused("a body that is announced as too large", post("Content-Length: 70000\r\n", ""), [413]),
  refused("a body announced with 2^63 bytes", post("Content-Length: 9223372036854775808\r\n", ""), [400, 413]),
  refused("a body announced with 30 digits", post("Content-Length: 100000000000000000000000000000\r\n", ""), [400, 413]),
  refused("a chunked body that becomes too large", post("Transfer-Encoding: chunked\r\n", "4000\r\n" + ("x".repeat(0x4000) + "\r\n4000\r\n").repeat(5)), [413]),
  refused("a chunk of 2^64 bytes", post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\nx"), [400, 413]),
  // Methods.
  refused("a method nobody knows", `BREW /pot HTTP/1.1\r\n${H}\r\n`, [501]),
  refused("a method in small letters", `get / HTTP/1.1\r\n${H}\r\n`, [501]),
  refused("CONNECT", "CONNECT guest:80 HTTP/1.1\r\nHost: guest:80\r\n\r\n", [400, 405, 501]),
  survives("a method that the page does not have", `PUT / HTTP/1.1\r\n${H}Content-Length: 5\r\n\r\nhello`, [405]),
  survives("TRACE", `TRACE / HTTP/1.1\r\n${H}\r\n`, [405, 501]),
  // Targets.
  refused("a percent sign alone", `GET /% HTTP/1.1\r\n${H}\r\n`),
  refused("a cut escape", `GET /%4 HTTP/1.1\r\n${H}\r\n`),
  refused("an escape that is no number", `GET /%zz HTTP/1.1\r\n${H}\r\n`),
  refused("an escaped NUL", `GET /guestbook.css%00.png HTTP/1.1\r\n${H}\r\n`),
  refused("an escaped slash", `GET /..%2f..%2fetc/passwd HTTP/1.1\r\n${H}\r\n`),
  refused("a path above the root", `GET /../../etc/passwd HTTP/1.1\r\n${H}\r\n`),
  refused("a path above the root, escaped", `GET /%2e%2e/%2E%2E/etc/passwd HTTP/1.1\r\n${H}\r\n`),
  refused("a path above the root by a detour", `GET /a/../../etc/passwd HTTP/1.1\r\n${H}\r\n`),
  refused("a backslash", `GET /..\\..\\etc\\passwd HTTP/1.1\r\n${H}\r\n`),
  refused("a target without a slash", `GET etc/passwd HTTP/1.1\r\n${H}\r\n`),
  refused("a byte over 0x7f in the target", `GET /\xff\xfe HTTP/1.1\r\n${H}\r\n`, [400, 404]),
  survives("a double-escaped path above the root", `GET /%252e%252e/etc/passwd HTTP/1.1\r\n${H}\r\n`, [404]),
  survives("a path that is a file of other machines", `GET /etc/passwd HTTP/1.1\r\n${H}\r\n`, [404]),
  survives("a query of noise", `GET /?before=${"%".repeat(50)}&&==&;=%00 HTTP/1.1\r\n${H}\r\n`, [200, 400]),
  survives("a number that is none", `GET /?before=-99999999999999999999 HTTP/1.1\r\n${H}\r\n`, [200, 400]),
  // Framing that two servers could read differently.
  refused("length and chunks", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + HIDDEN)),
  refused("chunks and length", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n" + HIDDEN)),
  refused("two lengths", post("Content-Length: 0\r\nContent-Length: 5\r\n", HIDDEN)),
  refused("the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello" + HIDDEN)),
  refused("a list of lengths", post("Content-Length: 5, 5\r\n", "hello" + HIDDEN)),
  refused("a length with a sign", post("Content-Length: +5\r\n", "hello" + HIDDEN)),
  refused("a negative length", post("Content-Length: -5\r\n", HIDDEN)),
  refused("a length in hexadecimal", post("Content-Length: 0x5\r\n", "hello" + HIDDEN)),
  refused("an empty length", post("Content-Length:\r\n", HIDDEN)),
  refused("a coding nobody knows", post("Transfer-Encoding: gzip\r\n", HIDDEN), [400, 501]),
  refused("chunked, but not last", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n" + HIDDEN), [400, 501]),
  refused("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n" + HIDDEN), [400]),
  refused("two fields of codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" + HIDDEN), [400, 501]),
  refused("a coding hidden by a vertical tab", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n" + HIDDEN), [400, 501]),
  refused("a coding in quotes", post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n" + HIDDEN), [400, 501]),
  refused("chunks in HTTP/1.0", `POST /sign HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n` + HIDDEN),
  refused("a chunk with a bare line feed", post("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n" + HIDDEN)),
  refused("a chunk longer than it says", post("Transfer-Encoding: chunked\r\n", "3\r\nhello\r\n0\r\n\r\n" + HIDDEN)),
  refused("a chunk size with a sign", post("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n" + HIDDEN)),
  refused("a chunk size in C's hexadecimal", post("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n" + HIDDEN)),
  refused("an empty chunk size", post("Transfer-Encoding: chunked\r\n", "\r\nhello\r\n0\r\n\r\n" + HIDDEN)),
  refused("a chunk extension without an end", post("Transfer-Encoding: chunked\r\n", "5;" + "a".repeat(5000)), [400, 413]),
  refused("a bare line feed in a chunk extension", post("Transfer-Encoding: chunked\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n" + HIDDEN)),
  refused("trailers without an end", post("Transfer-Encoding: chunked\r\n", "0\r\n" + "X: y\r\n".repeat(2000)), [400, 413, 431]),
  survives("a GET with a body", `GET /nowhere HTTP/1.1\r\n${H}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`, [404]),
  // Forms.
  survives("a form of noise", post("Content-Length: 32\r\n", "%".repeat(16) + "&=&=\0\xff+;&a=b%"), [400, 403, 422]),
  survives("a form with a thousand fields", post("Content-Length: 4000\r\n", "a=b&".repeat(1000)), [400, 403, 413, 422]),
  ["a body that never comes whole is not answered as if it had", post("Content-Length: 100\r\n", "name=a"), [], { silent: true }],
  // In pieces.
  ["a request in pieces of one byte", [...`${GET}Connection: close\r\n\r\n`], [200], { closes: true }],
  ["forty requests in one packet", `GET /quill.svg HTTP/1.1\r\n${H}\r\n`.repeat(39) + `GET /quill.svg HTTP/1.1\r\n${H}Connection: close\r\n\r\n`, [200], { closes: true, answers: 40, exactly: true }],
  ["forty pages in one packet", `${GET}\r\n`.repeat(39) + `${GET}Connection: close\r\n\r\n`, [200], { closes: true, answers: 40, exactly: true, patience: 60000 }],
];

function problem([, , wanted, rule], { text, ended }) {
  const got = statuses(text), answers = rule.answers ?? 1;
  if (rule.silent) return got.length ? `answered ${got}` : null;
  if (!got.length) return `no answer (${ended})`;
  if (!wanted.includes(got[0])) return `${got[0]} instead of ${wanted.join(" or ")}`;
  if (got.length > answers || (rule.exactly && got.length !== answers)) return `${got.length} answers (${got}) instead of ${answers} (${ended})`;
  if (rule.closes && ended !== "closed" && ended !== "reset") return `not closed (${ended})`;
  if (text.includes("root:")) return "something that was never served";
  return null;
}

for (const one of cases) {
  const wrong = problem(one, await exchange(one[1], one[3].silent ? 700 : one[3].patience));
  if (wrong) failed = true;
  console.log(wrong ? `not ok - ${one[0]}: ${wrong}` : `ok - ${one[0]}: ${one[2].length ? one[2].join(" or ") : "no answer"}`);
}

// Each prefix of a request, and then the end of the connection.
const whole = post("Content-Length: 11\r\n", "name=a&b=c&");
const cut = await Promise.all(Array.from({ length: whole.length - 1 }, (_, n) => new Promise((resolve) => {
  const socket = net.connect(80, host);
  let text = "";
  socket.on("data", (bytes) => (text += bytes));
  socket.on("connect", () => socket.end(whole.slice(0, n + 1)));
  socket.on("close", () => resolve(text));
  socket.on("error", () => {});
  setTimeout(() => socket.destroy(), 60000);
})));
const odd = cut.filter((text) => text && !/^HTTP\/1\.1 4\d\d /.test(text));
console.log(`${odd.length ? "not ok" : "ok"} - each prefix of a request, then the end: no answer but 4xx`);
process.exit(failed || odd.length ? 1 : 0);

// What a client finds in examples/library:
//
//	node library.mjs URL BOOKS
//
// Prints "ok - ..." and "not ok - ..." lines. BOOKS is how many its catalogue has.
import http from "node:http";

const [url, books] = process.argv.slice(2);
let failed = false;
function check(name, good, otherwise) {
  if (!good) failed = true;
  console.log(good ? `ok - ${name}` : `not ok - ${name}: ${typeof otherwise === "string" ? otherwise : JSON.stringify(otherwise)}`);
}

// (fetch would mend what is odd in a path.)
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
function get(path, headers = {}, method = "GET") {
  return new Promise((resolve, reject) => {
    const request = http.request(url + path, { agent, headers, method, timeout: 60000 }, (answer) => {
      const pieces = [];
      answer.on("data", (piece) => pieces.push(piece));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(pieces).toString() }));
      answer.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer to ${path}`)));
    request.on("error", reject);
    request.end();
  });
}
const all = (text, pattern) => [...text.matchAll(pattern)].map((m) => m[1]);

const search = (words) => get("/search?q=" + encodeURIComponent(words));
const found = async (words) => all((await search(words)).text, /<h2><a href="\/book\/([^"]*)">/g);

// --- Pages ---
const seen = [];
let pages = 0;
for (let path = "/"; path && pages < 200; pages++) {
  const { status, text } = await get(path);
  if (status !== 200) break;
  seen.push(...all(text, /<h2><a href="\/book\/([^"]*)">/g));
  path = all(text, /rel="next" href="([^"]*)"/g)[0]?.replaceAll("&amp;", "&");
}
check("paging to the end finds every book once", seen.length === Number(books) && new Set(seen).size === seen.length && pages === Math.ceil(books / 20),
  `${seen.length} of ${books}, ${new Set(seen).size} different, on ${pages} pages`);
const moby = (await get("/book/moby-dick")).text;
check("a book has a page", moby.includes("<h1>Moby-Dick; or, The Whale</h1>") && moby.includes("<title>Moby-Dick; or, The Whale – The Library</title>") &&
  moby.includes("Call me Ishmael.") && moby.includes('href="/author/melville"'), moby);
const dickens = (await get("/author/dickens")).text;
check("an author has one, with the books", dickens.includes("1812–1870") && all(dickens, /href="\/book\/([^"]*)"/g).includes("bleak-house"), dickens);
check("what is not there is 404, in the same clothes", (await get("/book/nothing")).status === 404 && (await get("/author/nobody")).status === 404 &&
  (await get("/nowhere")).status === 404 && (await get("/book/nothing")).text.includes('action="/search"') && (await get("/nowhere")).text.includes('action="/search"'), "");
check("a place beyond the end is an empty page", (await get("/?year=9000")).text.includes("From the beginning"), "");

// --- Search ---
check("a word of a title counts most", (await found("whale"))[0] === "moby-dick", await found("whale"));
check("an accent need not be typed, and may be", (await found("bronte")).length >= 5 && String(await found("bronte")) === String(await found("BRONTË")), await found("bronte"));
check("umlauts are found", (await found("unruhigen Träumen"))[0] === "metamorphosis", await found("unruhigen Träumen"));
check("other scripts are found", (await found("Преступление"))[0] === "crime-and-punishment" && (await found("吾輩は猫である"))[0] === "i-am-a-cat", "");
check("all words have to be there", (await found("best of times worst")).join() === "tale-of-two-cities" && (await found("whale pride")).length === 0, "");
const marked = (await search("ishmael")).text;
check("what was found is marked", marked.includes("Call me <mark>Ishmael</mark>."), all(marked, /<p class="passage">(.*)<\/p>/g));
const hostile = '"><script>alert(1)</script>\u0002\u0003';
const escaped = (await search(hostile)).text;
check("what was typed is shown, escaped", !escaped.includes("<script>") && escaped.includes('value="&quot;&gt;&lt;script&gt;'), all(escaped, /<h1>(.*)<\/h1>/g));
const odd = ['"', '""', "'", "*", "* *", "-", "--", "-whale", "NEAR(", "NEAR(a b, 3)", "AND", "OR", "NOT", "a OR", "NOT a", "(", ")", "()", "{title}:a", "title:", "title:whale",
  "^a", "a + b", "a^b", "%", "_", "\\", ";", "a;DROP TABLE book", "\0", "a\0b", "\u0001\u0002\u0003", "\ufeff", "\ud83d\ude00", "ß", "İ", "a".repeat(7000), "a ".repeat(1900),
  '"'.repeat(2000), "ä".repeat(1100), " ", "\t\n", "1", "…", "“", "a*b*", "…*", "\u0301", "\u200b"];
const statuses = [];
for (const words of odd)
  for (const path of ["/search?q=", "/api/search?q="]) {
    const { status, text } = await get(path + encodeURIComponent(words));
    if (status !== 200) statuses.push(`${status} for ${JSON.stringify(words.slice(0, 20))}`);
    if (path.startsWith("/api") && status === 200) JSON.parse(text);
  }
check("whatever is typed, there is an answer", statuses.length === 0, statuses);
const wrong = [];
for (const path of ["/search", "/search?", "/search?q", "/search?q=%ff%fe", "/search?q=%c3", "/search?q=%", "/search?q=a&q=b", "/?year=x", "/?year=99999999999999999999", "/?year=1800&id=-1",
  "/api/books?count=0", "/api/books?count=-5&year=9999", "/book/%00", "/book/%ff", "/author/..%2f", "/api/books/%22", "/search?q=" + "x".repeat(10240), "/search?" + "q=1&".repeat(500)]) {
  const { status } = await get(path);
  if (status >= 500 && status !== 505) wrong.push(`${status} for ${path.slice(0, 40)}`);
}
check("nor does anything else make it fail", wrong.length === 0, wrong);

// --- JSON ---
const listed = [];
let linked = true;
for (let path = "/api/books?count=100"; path;) {
  const { text, headers } = await get(path);
  const answer = JSON.parse(text);
  listed.push(...answer.books);
  linked &&= (headers.link ?? "") === (answer.next ? `<${answer.next}>; rel="next"` : "");
  path = answer.next;
}
check("the list in JSON is the catalogue", String(listed.map((b) => b.slug)) === String(seen), `${listed.length} books`);
check("it says where it goes on, in a Link field as well", linked, "");
const whole = await get("/api/books?count=1000");
check("a long list comes in chunks, and is the same", whole.headers["transfer-encoding"] === "chunked" && JSON.stringify(JSON.parse(whole.text).books) === JSON.stringify(listed), whole.headers);
const faust = await get("/api/books/faust"), book = JSON.parse(faust.text);
check("a book in JSON has its types", faust.headers["content-type"] === "application/json" && book.year === 1808 && book.original === "Faust. Eine Tragödie" && book.opening.startsWith("Ihr naht euch wieder"), book);
check("what is not known is null", JSON.parse((await get("/api/books/emma")).text).original === null, "");
check("the bytes are those of JSON.stringify", faust.text === JSON.stringify(book), faust.text);
const none = await get("/api/books/nothing");
check("an unknown book is 404 with a reason", none.status === 404 && JSON.parse(none.text).error.length > 0, none);
const hits = JSON.parse((await get("/api/search?q=whale")).text);
check("search in JSON", hits.books[0].title === "Moby-Dick; or, The Whale" && hits.found >= 1, hits);

// --- ETags ---
for (const path of ["/api/books?count=10", "/api/books/faust", "/api/search?q=whale", "/feed.atom"]) {
  const first = await get(path), { etag } = first.headers;
  const again = await get(path, { "If-None-Match": etag }), other = await get(path, { "If-None-Match": '"0123456789abcdef"' });
  const head = await get(path, {}, "HEAD"), match = await get(path, { "If-Match": '"0123456789abcdef"' });
  check(`${path} has a strong ETag, and is sent once`, /^"[^"]+"$/.test(etag) && again.status === 304 && again.text === "" && again.headers.etag === etag && other.status === 200 &&
    other.text === first.text && head.headers.etag === etag && match.status === 412, [etag, again.status, other.status, head.headers.etag, match.status]);
}
check("another book has another", (await get("/api/books/faust")).headers.etag !== (await get("/api/books/emma")).headers.etag, "");
agent.destroy();
process.exit(failed ? 1 : 0);

// Drives a headless Chromium over the DevTools protocol, spoken on a pipe (messages end with a NUL):
//
//	node browser.mjs CHROMIUM URL FOLDER [guestbook|library]
//
// Prints "ok - ..." and "not ok - ..." lines; pictures go to FOLDER.
import { spawn } from "node:child_process";
import fs from "node:fs";

const [program, url, folder, site = "guestbook"] = process.argv.slice(2);
const PATIENCE_MS = 60000;
let failed = false;
function check(name, good, otherwise) {
  if (!good) failed = true;
  console.log(good ? `ok - ${name}` : `not ok - ${name}: ${otherwise}`);
}

const browser = spawn(program, [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
  "--remote-debugging-pipe", `--user-data-dir=${folder}/profile`, "about:blank",
], { stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"] });
browser.stderr.pipe(fs.createWriteStream(`${folder}/chromium.log`));
const [, , , toBrowser, fromBrowser] = browser.stdio;

// --- The protocol: commands are answered by number, and what happens comes by itself ---
let number = 0, unread = "";
const waiting = new Map(), listeners = [];
fromBrowser.on("data", (bytes) => {
  const messages = (unread + bytes).split("\0");
  unread = messages.pop();
  for (const text of messages) {
    const message = JSON.parse(text);
    if (message.id) {
      const { resolve, reject } = waiting.get(message.id);
      waiting.delete(message.id);
      message.error ? reject(new Error(message.error.message)) : resolve(message.result);
    } else {
      for (const listen of [...listeners]) listen(message);
    }
  }
});
let session;
function command(method, params = {}) {
  return new Promise((resolve, reject) => {
    waiting.set(++number, { resolve, reject });
    toBrowser.write(JSON.stringify({ id: number, method, params, sessionId: session }) + "\0");
  });
}
function event(method, matches = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${method} within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    listeners.push(function listen(message) {
      if (message.method !== method || !matches(message.params)) return;
      clearTimeout(timer);
      listeners.splice(listeners.indexOf(listen), 1);
      resolve(message.params);
    });
  });
}

// --- What a person does ---
// Evaluates in the page; the value must be plain.
async function ask(expression) {
  const { result, exceptionDetails } = await command("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}
async function loaded(action) {
  const load = event("Page.loadEventFired");
  await action();
  await load;
}
const visit = (path) => loaded(() => command("Page.navigate", { url: url + path }));
async function click(selector) {
  const at = await ask(`(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView({block: "center", behavior: "instant"});
    const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`);
  for (const type of ["mousePressed", "mouseReleased"])
    await command("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
}
async function type(selector, text) {
  await click(selector);
  await command("Input.insertText", { text });
}
async function picture(name, whole = true) {
  const { data } = await command("Page.captureScreenshot", { format: "png", captureBeyondViewport: whole });
  fs.writeFileSync(`${folder}/${name}.png`, Buffer.from(data, "base64"));
}

// Whatever the page complains about.
const complaints = [];
listeners.push(({ method, params }) => {
  if (method === "Runtime.exceptionThrown") complaints.push(params.exceptionDetails.text);
  if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type))
    complaints.push(params.args.map((a) => a.value ?? a.description).join(" "));
  if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) complaints.push(params.entry.text);
  if (method === "Network.loadingFailed" && !params.canceled) complaints.push(`loading failed: ${params.errorText}`);
});

async function library(device) {
  const path = () => ask("location.pathname + location.search");
  await visit("/");
  await picture(`${device}-1-catalogue`);
  check(`on a ${device} nothing sticks out to the side`, await ask("document.documentElement.scrollWidth <= innerWidth"),
    await ask("`${document.documentElement.scrollWidth} px of ${innerWidth}`"));
  const first = await ask("document.querySelector('.books a').href");
  await loaded(() => click("a[rel=next]"));
  check(`on a ${device} the next page has other books`, (await ask("document.querySelectorAll('.books li').length")) === 20 &&
    (await ask("document.querySelector('.books a').href")) !== first, await path());
  await type("input[type=search]", "träumen ungeziefer");
  await loaded(() => click("form button"));
  check(`on a ${device} searching finds the book`, (await ask("document.querySelector('.books h2').textContent")) === "The Metamorphosis", await path());
  check(`on a ${device} what was found is marked`, (await ask("[...document.querySelectorAll('mark')].map((e) => e.textContent).join()")) === "Träumen,Ungeziefer",
    await ask("document.querySelector('.books').innerHTML"));
  check(`on a ${device} the words are still there`, (await ask("document.querySelector('input').value")) === "träumen ungeziefer", "");
  await picture(`${device}-2-found`);
  await loaded(() => click(".books h2 a"));
  check(`on a ${device} the book opens`, (await path()) === "/book/metamorphosis" && (await ask("document.querySelector('h1').textContent")) === "The Metamorphosis" &&
    (await ask("document.querySelector('blockquote').textContent")).startsWith("Als Gregor Samsa"), await path());
  await picture(`${device}-3-book`);
  await loaded(() => click(".by a"));
  check(`on a ${device} its author has others`, (await ask("document.querySelectorAll('.books li').length")) === 3, await path());
  check(`on a ${device} the page has nothing to complain about`, complaints.length === 0, complaints.splice(0).join("; "));
  await type("input[type=search]", "<b>nothing</b>");
  await loaded(() => click("form button"));
  check(`on a ${device} what is typed stays text`, (await ask("document.querySelector('h1').textContent")) === "0 found for “<b>nothing</b>”", await ask("document.querySelector('h1').innerHTML"));
}

async function guestbook(device) {
  await visit("/");
  await picture(`${device}-1-open`);
  check(`on a ${device} nothing sticks out to the side`, await ask("document.documentElement.scrollWidth <= innerWidth"),
    await ask("`${document.documentElement.scrollWidth} px of ${innerWidth}`"));
  check(`on a ${device} the style is there`, await ask("document.styleSheets.length === 1 && document.styleSheets[0].cssRules.length > 5"), "no rules");
  check(`on a ${device} the picture is there`, await ask("document.querySelector('header img').naturalWidth > 0"), "not loaded");

  const name = `Ada <${device}> & Co.`, message = `Written on a ${device}: "quotes", <b>tags</b>, ümläuts, 漢字 and 🖋.`;
  await type("input[name=name]", name);
  await type("textarea[name=message]", message);
  const left = await ask("document.querySelector('#left').textContent");
  check(`on a ${device} the script counts what is left`, left.includes(String(1000 - message.length)), `it says "${left}"`);
  await picture(`${device}-2-filled`);
  await loaded(() => click("form button"));
  check(`on a ${device} signing leads back to the book`, (await ask("location.pathname + location.search")) === "/", await ask("location.href"));
  const first = await ask(`(() => { const e = document.querySelector("article"); return { name: e.querySelector("b").textContent, message: e.querySelector(".message").textContent }; })()`);
  check(`on a ${device} the entry is first, and just as it was written`, first.name === name && first.message === message, JSON.stringify(first));
  await picture(`${device}-3-signed`);

  const newest = await ask("document.querySelector('article').id");
  await loaded(() => click("nav .older"));
  const ids = await ask("[...document.querySelectorAll('article')].map((e) => e.id)");
  check(`on a ${device} the next page has older entries`, ids.length > 0 && !ids.includes(newest), ids.join());
  await picture(`${device}-4-older`);
  await loaded(() => click("nav a[href='/']"));
  check(`on a ${device} the way back leads to the newest`, (await ask("document.querySelector('article').id")) === newest, await ask("location.href"));
  check(`on a ${device} the page has nothing to complain about`, complaints.length === 0, complaints.splice(0).join("; "));

  // What the form refuses: a browser does not even send it, so the script is told to.
  await ask("document.querySelector('form').noValidate = true");
  await loaded(() => click("form button"));
  check(`on a ${device} an empty form is explained`, await ask("document.querySelector('[role=alert]').textContent.length > 10"), "no word");
  await picture(`${device}-5-problem`);
  complaints.length = 0; // the 422 is one
}

const giveUp = setTimeout(() => { console.log("not ok - the browser is done in time"); browser.kill("SIGKILL"); process.exit(1); }, 280000);
try {
  const { targetInfos } = await command("Target.getTargets");
  const page = targetInfos.find((t) => t.type === "page");
  ({ sessionId: session } = await command("Target.attachToTarget", { targetId: page.targetId, flatten: true }));
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await command(`${domain}.enable`);
  for (const [device, width, height, mobile] of [["phone", 390, 844, true], ["desktop", 1200, 900, false]]) {
    await command("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: mobile ? 2 : 1, mobile });
    await { guestbook, library }[site](device);
  }
  session = undefined;
  command("Browser.close").catch(() => {});
  await Promise.race([new Promise((r) => browser.on("exit", r)), new Promise((r) => setTimeout(r, 3000))]);
} catch (error) {
  check("the browser does what it is told", false, error.message);
}
clearTimeout(giveUp);
browser.kill("SIGKILL");
process.exit(failed ? 1 : 0);

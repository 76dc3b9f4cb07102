// Prints the names of all entries of a guestbook, page after page:  node entries.mjs URL
const base = process.argv[2];
for (let path = "/"; path; ) {
  const text = await (await fetch(base + path)).text();
  for (const [, name] of text.matchAll(/<b>([^<]*)<\/b> <time/g)) console.log(name);
  path = /href="(\/\?before=\d+)"/.exec(text)?.[1];
}

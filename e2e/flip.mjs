// Copies a volume and flips one byte of it:  node flip.mjs VOLUME COPY INDEX COUNT
// The byte lies in one of COUNT places that are spread over the blocks that are in use. Prints where.
import fs from "node:fs";

const [volume, copy, index, count] = process.argv.slice(2);
const BLOCK = 4096, zero = Buffer.alloc(BLOCK);
fs.copyFileSync(volume, copy, fs.constants.COPYFILE_FICLONE);
const file = fs.openSync(copy, "r+"), block = Buffer.alloc(BLOCK), used = [];
const size = fs.fstatSync(file).size, end = Math.min(size, 64 << 20);
for (let at = 0; at < end; at += BLOCK) {
  fs.readSync(file, block, 0, BLOCK, at);
  if (!block.equals(zero)) used.push(at);
}
// Of each block a byte that is not zero, for what is zero may be nothing.
const at = used[Math.floor((Number(index) * used.length) / Number(count))];
fs.readSync(file, block, 0, BLOCK, at);
const bytes = [...block.keys()].filter((i) => block[i]);
const byte = bytes[Math.floor((bytes.length * ((Number(index) * 7 + 3) % 11)) / 11)];
fs.writeSync(file, Buffer.from([block[byte] ^ 0x10]), 0, 1, at + byte);
console.log(at + byte);

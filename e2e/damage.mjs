// What a disk can do to a running guest: rot, fill up, fail, take its time. For e2e/damage.sh:
//	node e2e/damage.mjs IMAGE DIRECTORY PORT
import { spawn } from "node:child_process";
import { request } from "node:http";
import { createWriteStream } from "node:fs";
import { Disk } from "./disk.mjs";

const [image, work, port_base] = process.argv.slice(2);
const MIB = 1 << 20, BLOCK = 4096;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let failed = 0, boots = 0, qemu = null;

function check(name, good, seen) {
	if (!good) failed = 1;
	if (!good && seen !== undefined) console.log(`# seen: ${JSON.stringify(seen)}`.slice(0, 400));
	console.log(`${good ? "ok" : "not ok"} - ${name}`);
}

class Guest {
	// Boots on the disk; null when it does not come up.
	static async boot(disk, words = "") {
		const guest = new Guest();
		const number = ++boots, socket = `${work}/disk.${number}.sock`;
		guest.port = Number(port_base) + 2 * number;
		guest.logPath = `${work}/guest.${number}.log`;
		await disk.listen(socket);
		guest.disk = disk;
		const forward = `hostfwd=tcp:127.0.0.1:${guest.port}-:80,hostfwd=tcp:127.0.0.1:${guest.port + 1}-:9000`;
		qemu = guest.qemu = spawn("qemu-system-x86_64", [
			..."-nodefaults -no-user-config -display none -no-reboot -accel tcg -cpu max -m 32M -smp 1".split(" "),
			..."-M microvm,acpi=on,rtc=on,pit=off,pic=off,isa-serial=on -global virtio-mmio.force-legacy=false".split(" "),
			"-kernel", image, "-append", `diagnose=9000${words}`,
			"-netdev", `user,id=net0,${forward}`, "-device", "virtio-net-device,netdev=net0",
			"-blockdev", `driver=nbd,node-name=data,server.type=unix,server.path=${socket}`,
			"-device", "virtio-blk-device,drive=data", "-device", "virtio-rng-device",
			"-device", "virtio-serial-device", "-chardev", "stdio,id=log,signal=off",
			"-device", "virtconsole,chardev=log", "-device", "isa-debug-exit,iobase=0x501,iosize=2",
		], { stdio: ["ignore", "pipe", "pipe"] });
		const log = createWriteStream(guest.logPath);
		guest.log = "";
		for (const stream of [guest.qemu.stdout, guest.qemu.stderr])
			stream.on("data", (piece) => { guest.log += piece; log.write(piece); });
		guest.ended = new Promise((resolve) => guest.qemu.on("exit", resolve));
		let over = false;
		guest.ended.then(() => (over = true));
		for (let i = 0; i < 1200 && !over; i++) {
			if (guest.log.includes("listening on")) return guest;
			await sleep(50);
		}
		guest.over = over;
		return guest.over ? guest : (await guest.cut(), null);
	}

	get isUp() { return this.log.includes("listening on"); }

	async cut() {
		this.qemu.kill("SIGKILL");
		await this.ended;
		this.disk.close();
		qemu = null;
	}

	ask(method, path, port = this.port) {
		return new Promise((resolve) => {
			const q = request({ host: "127.0.0.1", port, method, path, agent: false, timeout: 90000 }, (answer) => {
				let body = "";
				answer.on("data", (piece) => (body += piece));
				answer.on("end", () => {
					this.disk.note({ what: "answer", method, path, status: answer.statusCode });
					resolve({ status: answer.statusCode, body });
				});
				answer.on("error", () => resolve({ status: 0, cut: body }));
			});
			q.on("timeout", () => q.destroy());
			q.on("error", () => resolve({ status: 0 }));
			q.end();
		});
	}
	get(path) { return this.ask("GET", path); }
	post(path) { return this.ask("POST", path); }
	async counter(name) {
		const all = (await this.ask("GET", "/counters", this.port + 1)).body ?? "";
		return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(all)?.[1] ?? NaN);
	}
	// Waits until the log has it: what the guest says takes another way than its answers.
	async says(pattern) {
		for (let i = 0; i < 200 && !pattern.test(this.log); i++) await sleep(50);
		return pattern.test(this.log);
	}
	lines(pattern) { return this.log.split("\n").filter((line) => pattern.test(line)).length; }
}

const name = (i) => `entry-${String(i).padStart(4, "0")}-` + "x".repeat(200);

async function rot() {
	const disk = new Disk(8 * MIB);
	let guest = await Guest.boot(disk);
	check("a guest boots on a disk of its own", guest?.isUp, guest?.log);
	for (let i = 0; i < 150; i++) await guest.post(`/add?name=${name(i)}`);
	const pieces = 150; // 600,000 bytes
	check("a large value is written in pieces", (await guest.post(`/file?pieces=${pieces}`)).status === 200);
	const file = await guest.get("/file");
	check("and sent in pieces, whole", file.body?.length === pieces * 4000 && file.body.includes("piece 000149"), file.status);
	await sleep(2500); // the seal: what is there now is known to be durable
	const seals = await guest.counter("store_seals");
	check("an idle store has sealed its journal", seals >= 1, seals);
	await guest.cut();
	const whole = Buffer.from(disk.data);
	// The newest block with the name in it is the page that counts.
	const blocks = [];
	for (let at = 0; at < whole.length; at += BLOCK)
		if (whole[at] === 10 && whole.subarray(at, at + BLOCK).includes(name(7))) blocks.push(at); // (10: of an index)
	for (const at of blocks) disk.data[at + 2000] ^= 0x10;
	for (let at = 0; at < whole.length; at += BLOCK)
		if (whole.subarray(at, at + BLOCK).includes("piece 000100")) disk.data[at + 3000] ^= 0x10;
	guest = await Guest.boot(disk);
	check("it boots with a page that has rotted", guest?.isUp, guest?.log);
	const start = Date.now();
	const bad = await Promise.all(Array.from({ length: 12 }, () => guest.get("/read")));
	check("a query that needs the page gets a 500", bad.every((a) => a.status === 500), bad.map((a) => a.status));
	check("nothing of the page is shown", bad.every((a) => !a.body?.includes("entry-")), bad[0]);
	check("the log names object and page", await guest.says(/object "main" page \d+ .*does not match its checksum/), guest.log);
	check("and so does the query's error", await guest.says(/page \d+ of the database has rotted/), guest.log);
	const lines = [guest.lines(/does not match/), guest.lines(/has rotted/)];
	check("that many of them do not fill the log", Math.max(...lines) <= 4 * (2 + (Date.now() - start) / 1000), lines);
	check("it is counted", (await guest.counter("store_corrupt_pages")) >= 1);
	const torn = await guest.get("/file");
	check("what is sent in pieces is cut off before the piece that has rotted", torn.status === 0 && torn.cut?.includes("piece 000010")
		&& !torn.cut.includes("piece 000101"), [torn.status, torn.cut?.length]);
	check("the rest of the site lives", (await guest.get("/alive")).status === 200);
	check("and so does writing", (await guest.post(`/add?name=zzz`)).status === 200);
	check("the store is not read-only for it", (await guest.counter("store_read_only")) === 0);
	await guest.cut();
	// The header of a durable record: the end of the journal, as it looks.
	whole.copy(disk.data);
	const records = [];
	for (let at = 16 * BLOCK; at < whole.length; at += BLOCK)
		if (whole.readBigUInt64LE(at) === 0x4452434552544f4en)
			records.push({ at, number: whole.readBigUInt64LE(at + 32) });
	records.sort((a, b) => (a.number < b.number ? -1 : 1));
	disk.data[records.at(-4).at + 100] ^= 1;
	guest = await Guest.boot(disk);
	check("a record that has rotted is refused, by name", await guest.says(
		new RegExp(`record ${records.at(-4).number} in block ${records.at(-4).at / BLOCK} has rotted`)), guest.log);
	check("and what to do", await guest.says(/ingot db repair/), guest.log);
	check("such a guest does not serve", !guest.isUp);
	await guest.cut();
}

async function full() {
	const disk = new Disk(2 * MIB);
	const guest = await Guest.boot(disk);
	let added = 0, answer;
	while ((answer = await guest.post(`/add?name=x&size=60000`)).status === 200 && added < 100) added++;
	check("a full volume is a 507", answer.status === 507, answer);
	check("and had taken some", added >= 5, added);
	check("reads go on", (await guest.get("/count")).body === String(added));
	check("it is counted", (await guest.counter("store_no_space")) >= 1);
	answer = await guest.post("/clear");
	check("deleting works", answer.status === 200, answer);
	for (let i = 0; i < added; i++) answer = answer.status === 200 ? await guest.post(`/add?name=x&size=60000`) : answer;
	check("and makes room", answer.status === 200, answer);
	await guest.cut();
}

async function slowFlush() {
	const disk = new Disk(8 * MIB);
	const guest = await Guest.boot(disk);
	for (let i = 0; i < 5; i++) await guest.post(`/add?name=${i}`);
	await sleep(1500);
	disk.flushDelay = 1500;
	disk.events.length = 0;
	const before = disk.flushes;
	disk.note({ what: "asked" });
	const answers = Array.from({ length: 8 }, (_, i) => guest.post(`/add?name=slow${i}`));
	while (disk.flushes === before) await sleep(5);
	const alive = await guest.get("/alive"), count = await guest.get("/count");
	const statuses = (await Promise.all(answers)).map((a) => a.status);
	check("every write is answered with success", statuses.every((s) => s === 200), statuses);
	// Each acknowledgement stands behind the end of a flush that had begun after the request was sent.
	const order = disk.events.map((e) => (e.what === "answer" ? e.path : e.what));
	const firstEnd = order.indexOf("flush ends"), firstAdd = order.findIndex((o) => o.startsWith("/add"));
	check("no acknowledgement comes before its flush has ended", firstEnd >= 0 && firstEnd < firstAdd, order);
	const begun = disk.flushes - before;
	check("one flush serves many", begun <= 4, begun);
	// Of k answers before the second flush's end, none may belong to a row that the first flush did not cover.
	const at = order.indexOf("/alive");
	check("other requests are answered while it is under way", alive.status === 200 && at < firstEnd, order);
	const counted = order.indexOf("/count");
	check("so are reads: of what is durable", count.body === "5" && counted >= 0 && counted < firstEnd, [count, order]);
	disk.flushDelay = 0;
	check("and afterwards they see it", (await guest.get("/count")).body === "13");
	await guest.cut();
}

async function failingFlush() {
	const disk = new Disk(8 * MIB);
	const guest = await Guest.boot(disk);
	for (let i = 0; i < 5; i++) await guest.post(`/add?name=${i}`);
	disk.flushDelay = 300;
	disk.fails = (op) => op === "flush";
	const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => guest.post(`/add?name=lost${i}`)));
	check("a failed flush fails every write that waited for it", answers.every((a) => a.status === 500 || a.status === 503),
		answers.map((a) => a.status));
	disk.fails = () => false;
	disk.flushDelay = 0;
	const later = await guest.post("/add?name=late");
	check("no write is taken afterwards", later.status === 500 || later.status === 503, later);
	check("the log says why", await guest.says(/read-only from now on: .*a flush has failed/), guest.log);
	check("and so does the error of a refused write", await guest.says(/the volume is read-only: .*flush has failed/), guest.log);
	const count = await guest.get("/count");
	check("reads go on, and see what is durable", count.body === "5", count);
	check("operators see it", (await guest.counter("store_read_only")) === 1);
	await guest.cut();
	const again = await Guest.boot(disk);
	const kept = Number((await again.get("/count")).body);
	check("after a restart it writes again", kept >= 5 && (await again.post("/add?name=x")).status === 200, kept);
	await again.cut();
}

async function failingWrites() {
	const disk = new Disk(8 * MIB);
	const guest = await Guest.boot(disk);
	for (let i = 0; i < 5; i++) await guest.post(`/add?name=${i}`);
	let left = 2;
	disk.fails = (op) => op === "write" && left > 0 && left-- > 0;
	check("a write that fails twice succeeds", (await guest.post("/add?name=again")).status === 200);
	check("and is counted", (await guest.counter("store_io_retries")) === 2);
	disk.fails = (op) => op === "write";
	const lost = await guest.post("/add?name=lost");
	check("one that always fails is an error", lost.status === 500 || lost.status === 503, lost);
	check("the log names the blocks", await guest.says(/read-only from now on: .*a write of \d+ blocks from block \d+ on has failed/), guest.log);
	check("reads go on", (await guest.get("/count")).body === "6");
	await guest.cut();
}

process.on("exit", () => qemu?.kill("SIGKILL"));
try {
	await rot();
	await full();
	await slowFlush();
	await failingFlush();
	await failingWrites();
} catch (error) {
	check(`the script ends (${error.stack})`, false);
}
process.exit(failed);

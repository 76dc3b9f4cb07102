// A disk that QEMU reaches by NBD, in memory, that can fail and be slow. What it does is written into `events`.
//
//	const disk = new Disk(bytes);
//	await disk.listen(path);            // of a Unix socket
//	disk.flushDelay = 1500;             // ms
//	disk.fails = (op, offset, length) => op === "flush";
import { createServer } from "node:net";
import { rmSync } from "node:fs";

const IHAVEOPT = 0x49484156454f5054n, REPLY = 0x0003e889045565a9n;
const OPT = { EXPORT_NAME: 1, ABORT: 2, INFO: 6, GO: 7 };
const FLAGS = 1 | 4; // flags are there; flush is understood
const OPS = ["read", "write", "disconnect", "flush"];
const EIO = 5, EINVAL = 22;

export class Disk {
	constructor(bytes) {
		this.data = Buffer.alloc(bytes);
		this.flushDelay = 0;
		this.fails = () => false;
		this.events = [];
		this.note = (what) => this.events.push(what);
	}

	listen(path) {
		rmSync(path, { force: true });
		this.server = createServer((socket) => this.#serve(socket));
		return new Promise((resolve) => this.server.listen(path, resolve));
	}

	close() {
		this.server.close();
	}

	// Takes `length` bytes off the connection, as often as they are asked for.
	#serve(socket) {
		let have = Buffer.alloc(0), wanted = null;
		const look = () => {
			if (!wanted || have.length < wanted.length) return;
			const { length, resolve } = wanted;
			const bytes = have.subarray(0, length);
			have = have.subarray(length);
			wanted = null;
			resolve(bytes);
		};
		const take = (length) => new Promise((resolve) => { wanted = { length, resolve }; look(); });
		socket.on("data", (piece) => { have = have.length ? Buffer.concat([have, piece]) : piece; look(); });
		socket.on("error", () => {});
		this.#greet(socket, take).then((go) => go && this.#transfer(socket, take));
	}

	async #greet(socket, take) {
		const hello = Buffer.alloc(18);
		hello.write("NBDMAGIC");
		hello.writeBigUInt64BE(IHAVEOPT, 8);
		hello.writeUInt16BE(3, 16); // fixed newstyle, no zeroes
		socket.write(hello);
		await take(4);
		for (;;) {
			const head = await take(16);
			const option = head.readUInt32BE(8);
			await take(head.readUInt32BE(12));
			const answer = (type, data) => {
				const reply = Buffer.alloc(20);
				reply.writeBigUInt64BE(REPLY);
				reply.writeUInt32BE(option, 8);
				reply.writeUInt32BE(type, 12);
				reply.writeUInt32BE(data.length, 16);
				socket.write(Buffer.concat([reply, data]));
			};
			const size = Buffer.alloc(12);
			size.writeBigUInt64BE(BigInt(this.data.length), 2);
			size.writeUInt16BE(FLAGS, 10);
			if (option === OPT.EXPORT_NAME) {
				socket.write(size.subarray(2));
				return true;
			}
			if (option === OPT.ABORT) return false;
			if (option === OPT.GO || option === OPT.INFO) {
				answer(3, size);
				answer(1, Buffer.alloc(0));
				if (option === OPT.GO) return true;
			} else {
				answer(0x80000001, Buffer.alloc(0));
			}
		}
	}

	async #transfer(socket, take) {
		for (;;) {
			const head = await take(28);
			const op = OPS[head.readUInt16BE(6)];
			const cookie = head.subarray(8, 16);
			const offset = Number(head.readBigUInt64BE(16)), length = head.readUInt32BE(24);
			const data = op === "write" ? Buffer.from(await take(length)) : null;
			if (op === "disconnect") return socket.end();
			const reply = (error, bytes) => {
				const answer = Buffer.alloc(16);
				answer.writeUInt32BE(0x67446698);
				answer.writeUInt32BE(error, 4);
				cookie.copy(answer, 8);
				socket.write(bytes ? Buffer.concat([answer, bytes]) : answer);
			};
			if (!op || offset + length > this.data.length) reply(EINVAL);
			else this.#perform(op, offset, length, data, reply);
		}
	}

	#perform(op, offset, length, data, reply) {
		const fails = this.fails(op, offset, length);
		if (op === "flush") {
			const number = (this.flushes = (this.flushes ?? 0) + 1);
			this.note({ what: "flush begins", number });
			const end = () => {
				this.note({ what: fails ? "flush fails" : "flush ends", number });
				reply(fails ? EIO : 0);
			};
			if (this.flushDelay) setTimeout(end, this.flushDelay);
			else end();
			return;
		}
		if (fails) return reply(EIO);
		if (op === "write") {
			data.copy(this.data, offset);
			return reply(0);
		}
		reply(0, Buffer.from(this.data.subarray(offset, offset + length)));
	}
}

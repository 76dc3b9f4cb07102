// Clients that send a byte now and then:  node slow.mjs HOST CLIENTS SECONDS
// Some never finish a head, some a body; some never read. Fails when not nearly all can connect.
import net from "node:net";

const [host, clients, seconds] = process.argv.slice(2);
const heads = [
  `GET / HTTP/1.1\r\nHost: guest\r\nX: ${"a".repeat(1000)}`,
  `POST /sign HTTP/1.1\r\nHost: guest\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\n${"a".repeat(1000)}`,
  "GET / HTTP/1.1\r\nHost: guest\r\n\r\n".repeat(40),
  "",
];
let connected = 0;
const sockets = Array.from({ length: Number(clients) }, (_, n) => {
  const socket = net.connect(80, host, () => connected++);
  const text = heads[n % heads.length];
  let at = 0;
  socket.on("error", () => {});
  socket.setNoDelay(true);
  if (n % heads.length === 2) socket.pause();
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer);
    else if (at < text.length) socket.write(text.slice(at, (at += n % heads.length === 2 ? 400 : 1)));
  }, 100 + n);
  return socket;
});
setTimeout(() => {
  for (const socket of sockets) socket.destroy();
  console.log(`${connected} of ${clients} connected`);
  process.exit(connected >= Number(clients) * 0.9 ? 0 : 1);
}, Number(seconds) * 1000);

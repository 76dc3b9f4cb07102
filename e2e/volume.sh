#!/bin/sh
# The volume of a guest with 16 MiB grows while it runs, on a disk with sectors of 512 and of 4096 bytes, and is as large
# when it starts again; one that has been made smaller is refused, untouched.
cd "$(dirname "$0")/.." || exit 2
WORK=build/e2e/volume
PORT=${PORT:-18097}
mkdir -p "$WORK"
failed=0
ok() { echo "ok - $1"; }
bad() { failed=1; echo "not ok - $1"; tail -n 10 "$WORK/run.log" 2>/dev/null | sed 's/^/# /'; }

./ingot build examples/guestbook >"$WORK/build.log" 2>&1 || { bad "guestbook builds"; exit 1; }

boot() { # boot OPTIONS OF QEMU
	./ingot run examples/guestbook --port "$PORT" --data "$WORK/data.volume" --memory 16M \
		--qemu "-qmp unix:$WORK/qmp,server=on,wait=off $1" >"$WORK/run.log" 2>&1 &
	pid=$!
	for _ in $(seq 1 300); do
		curl -s -m 5 -o /dev/null "http://127.0.0.1:$PORT/" && return 0
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.2
	done
	return 1
}
stop() { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; }
said() { # said WORDS: within a while
	for _ in $(seq 1 100); do
		grep -q "$1" "$WORK/run.log" && return 0
		sleep 0.2
	done
	return 1
}
resize() { # resize BYTES
	python3 - "$WORK/qmp" "$1" <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
for name, arguments in ("qmp_capabilities", {}), ("block_resize", {"node-name": "data", "size": int(sys.argv[2])}):
    f.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
    f.flush()
    if "return" not in json.loads(f.readline()):
        sys.exit(1)
END
}

for sector in 512 4096; do
	rm -f "$WORK/data.volume"
	truncate -s 256M "$WORK/data.volume"
	options="-global virtio-blk-device.logical_block_size=$sector -global virtio-blk-device.physical_block_size=4096"
	boot "$options" || { bad "a guest of 16 MiB boots with sectors of $sector bytes"; stop; continue; }
	resize $((1 << 30)) && said "has grown: the volume has 1024 MiB now" &&
		ok "a volume grows while it is open, with sectors of $sector bytes" ||
		bad "a volume grows while it is open, with sectors of $sector bytes"
	stop
	boot "$options" && ok "it opens again" || bad "it opens again"
	stop
done
truncate -s 512M "$WORK/data.volume"
cp "$WORK/data.volume" "$WORK/before"
boot "$options" && stop
said "Give it its size back" && cmp -s "$WORK/data.volume" "$WORK/before" &&
	ok "a disk smaller than its volume is refused, untouched" ||
	bad "a disk smaller than its volume is refused, untouched"
stop
exit $failed

#!/bin/sh
# Boots small guests on each machine type and looks at how they end: those that do what is forbidden
# must be stopped with the right words, the others must power off by themselves.
#
#   e2e/machine.sh [BUILD]        BUILD: the build folder (default build)
# Environment: MACHINES (microvm q35 pc), TIMEOUT (seconds, 120), QEMU, CC, PARTS (objects instead of
# what make builds)
set -u
cd "$(dirname "$0")/.." || exit 2
BUILD=${1:-build}
CC=${CC:-gcc}
QEMU=${QEMU:-qemu-system-x86_64}
TIMEOUT=${TIMEOUT:-120}
MACHINES=${MACHINES:-microvm q35 pc}
OUT=$BUILD/e2e/machine
SUPPORT=machine/x86_64/support
failed=0 passed=0

make_say() { make -s CC="$CC" BUILD="$BUILD" "$@"; }

report() { # report STATUS NAME
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "ok - $2"
	else
		failed=$((failed + 1))
		echo "not ok - $2"
	fi
}

# --- Building ---
mkdir -p "$OUT"
if [ -z "${PARTS-}" ]; then
	PARTS="$BUILD/guest/base.o $BUILD/guest/machine.o"
	lib=$(make_say print-MUSL_LIB)
	make_say $PARTS $lib || exit 2
	PARTS="$PARTS $lib"
fi
FLAGS="$(make_say print-guest.flags) -Ibase/include -Iplatform/include -I$SUPPORT"
case "$PARTS" in
*libc.a*) ;;
*)
	$CC $FLAGS -fno-builtin -c $SUPPORT/bytes.c -o "$OUT/bytes.o" || exit 2
	PARTS="$PARTS $OUT/bytes.o"
	;;
esac

guest() { # guest NAME: compiles and links it
	$CC $FLAGS -c "$SUPPORT/$1.c" -o "$OUT/$1.o" &&
		CC=$CC machine/x86_64/link.sh "$OUT/$1.elf" "$OUT/$1.o" $PARTS
}

# --- Running ---
machine_options() {
	case $1 in
	microvm) echo "-M microvm,acpi=on,pit=off,pic=off,rtc=on,isa-serial=on" ;;
	*) echo "-M $1 -vga none" ;;
	esac
}

run() { # run MACHINE NAME [QEMU OPTIONS]: the serial output in $LOG, the exit status in $status
	LOG=$OUT/$2.$1.log
	type=$1 image=$OUT/$2.elf
	shift 2
	timeout -k 1 "$TIMEOUT" $QEMU $(machine_options "$type") -accel tcg -cpu "${CPU:-max}" -m "${MEMORY:-8M}" \
		-nodefaults -no-user-config -no-reboot -display none -serial file:"$LOG" \
		-kernel "$image" "$@" </dev/null 2>"$LOG.qemu"
	status=$?
}

says() { grep -q -e "$1" "$LOG"; }

show() {
	echo "# exit status $status; $LOG:"
	sed 's/^/#   /' "$LOG" "$LOG.qemu"
}

stopped() { # stopped NAME TEXT FUNCTION: NAME must be stopped on each machine, in FUNCTION
	guest "$1" || { report 1 "$1 is built"; return; }
	for type in $MACHINES; do
		run "$type" "$1" -device isa-debug-exit,iobase=0x501,iosize=2
		ok=0
		[ $status = 3 ] && says "ingot stopped: $2" && says "#[0-2] 0x[0-9a-f]* $3+0x" &&
			! says "FORBIDDEN" && ! says "another fault" && says "^build [0-9a-f]\{40\}" || ok=1
		[ $ok = 0 ] || show
		report $ok "$1 is stopped on $type"
	done
}

well() { # well NAME-OF-TEST MACHINE [QEMU OPTIONS]: hello ends by itself
	test=$1 type=$2
	shift 2
	run "$type" hello "$@"
	ok=0
	[ $status = 0 ] && says "all is well" && ! says "ingot stopped" && ! says "WRONG" || ok=1
	[ $ok = 0 ] || show
	report $ok "$test on $type"
}

await() { # await COUNT TEXT: until the log says so COUNT times, at most a minute
	i=0
	while [ "$(grep -c -e "$2" "$LOG" 2>/dev/null || true)" -lt "$1" ] && [ $i -lt 600 ]; do
		i=$((i + 1))
		sleep 0.1
	done
}

monitored() { # monitored MACHINE COMMANDS: hello with the monitor fed by the function COMMANDS
	LOG=$OUT/hello.$1.log status=0
	: >"$LOG"
	"$2" | timeout -k 1 "$TIMEOUT" $QEMU $(machine_options "$1") -accel tcg -m 64M -nodefaults \
		-no-user-config -display none -serial file:"$LOG" -monitor stdio \
		-kernel "$OUT/hello.elf" -append button >"$LOG.qemu" 2>&1
}

press() {
	await 1 "waiting for the button"
	sleep 0.2 # asleep, that is
	echo system_powerdown
	await 1 "all is well"
	echo quit
}

reset_and_press() {
	await 1 "waiting for the button"
	echo system_reset
	await 2 "waiting for the button"
	echo system_powerdown
	await 1 "all is well"
	echo quit
}

button() { # button MACHINE: hello sleeps until the button is pressed through the monitor
	monitored "$1" press
	says "button pressed" && says "all is well"
	ok=$?
	[ $ok = 0 ] || show
	report $ok "the power button is seen on $1"
}

again() { # again MACHINE: hello fills all memory, is reset, and finds zeroes
	monitored "$1" reset_and_press
	says "memory was in use before" && says "all is well" && ! says "WRONG"
	ok=$?
	[ $ok = 0 ] || show
	report $ok "memory is zero after a reset on $1"
}

guest hello || { report 1 "hello is built"; exit 1; }
for type in $MACHINES; do
	well "hello boots and powers off" "$type"
	CPU=qemu64 well "hello boots on a plain processor" "$type"
	MEMORY=64M well "hello boots with 64 MiB" "$type"
	MEMORY=4G well "hello boots with 4 GiB" "$type" -append nomemory
	button "$type"
	again "$type"
done
CPU=max,tcg-cpuid=off well "hello measures its clock by the ACPI timer" q35
CPU=max,tcg-cpuid=off well "hello measures its clock by the 8254" microvm -M pit=on
MEMORY=4M well "hello boots with 4 MiB" microvm

stopped write_text "write to read-only page.*code" platform_main
stopped write_rodata "write to read-only page.*constants" platform_main
stopped execute_data "execution of data.*image's data" platform_main
stopped execute_memory "execution of data" platform_main
stopped null_read "null pointer dereference" platform_main
stopped stack_overflow "stack overflow: guard page" deeper
stopped guard_page "stack overflow: guard page" platform_main
stopped assertion "assertion failed: p->memory_len == 1" platform_main
stopped smash_stack "a function overran its buffer" fill
stopped divide "division by zero" platform_main

echo "machine: $passed passed, $failed failed"
[ $failed = 0 ]

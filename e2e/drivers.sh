#!/bin/sh
# Boots a guest that uses disk, network, entropy and console through virtio on each machine type.
#
#   e2e/drivers.sh [BUILD]        BUILD: the build folder (default build)
# Environment: MACHINES (microvm q35 pc), TIMEOUT (seconds, 60), QEMU, CC
set -u
cd "$(dirname "$0")/.." || exit 2
self=e2e/drivers.sh
BUILD=${1:-build}
CC=${CC:-gcc}
QEMU=${QEMU:-qemu-system-x86_64}
TIMEOUT=${TIMEOUT:-60}
MACHINES=${MACHINES:-microvm q35 pc}
OUT=$BUILD/e2e/drivers
IMAGE=$OUT/drivers.elf
DISK=$OUT/disk.img
failed=0 passed=0

report() { # report STATUS NAME
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "ok - $2"
	else
		failed=$((failed + 1))
		echo "not ok - $2"
		sed 's/^/#   /' "$LOG" "$LOG.qemu"
	fi
}

build() {
	parts="$BUILD/guest/base.o $BUILD/guest/machine.o"
	lib=$(make -s CC="$CC" BUILD="$BUILD" print-MUSL_LIB)
	make -s CC="$CC" BUILD="$BUILD" $parts $lib &&
		$CC $(make -s CC="$CC" BUILD="$BUILD" print-guest.flags) -Ibase/include \
			-Iplatform/include -c machine/support/drivers/drivers.c -o "$OUT/drivers.o" &&
		CC="$CC" machine/x86_64/link.sh "$IMAGE" "$OUT/drivers.o" $parts $lib
}

machine_options() {
	case $1 in
	microvm) echo "-M microvm,acpi=on,pit=off,pic=off,rtc=on,isa-serial=on" \
		"-global virtio-mmio.force-legacy=false" ;;
	*) echo "-M $1 -vga none" ;;
	esac
}

# run TYPE COMMAND-LINE DISK-OPTIONS DEVICE-OPTIONS [QEMU OPTION]...: the output is in $LOG and
# $LOG.console, the exit status in $status
run() {
	type=$1 words=$2 drive=$3 extra=$4
	shift 4
	LOG=$OUT/$type.log
	case $type in microvm) bus=device ;; *) bus=pci ;; esac
	: >"$LOG.console"
	timeout -k 1 "$TIMEOUT" $QEMU $(machine_options "$type") -accel tcg -cpu max -m 64M \
		-nodefaults -no-user-config -no-reboot -display none -serial file:"$LOG" \
		-chardev file,id=log,path="$LOG.console" \
		-device virtio-serial-$bus -device virtconsole,chardev=log \
		-device virtio-rng-$bus \
		-drive "if=none,id=d0,format=raw,$drive" -device "virtio-blk-$bus,drive=d0$extra" \
		-netdev "${NETDEV:-user},id=n0" -device "virtio-net-$bus,netdev=n0$extra" \
		-kernel "$IMAGE" -append "$words" "$@" </dev/null >"$LOG.qemu" 2>&1
	status=$?
	tr -d '\r' <"$LOG" >"$LOG.lines" && mv "$LOG.lines" "$LOG"
}

says() { grep -q -e "$1" "$LOG"; }

# good NAME WORD...: the guest came to its end, nothing was wrong, and each WORD was found ok
good() {
	name=$1
	shift
	bad=0
	[ $status = 0 ] && says "^done" && ! says "^WRONG" || bad=1
	for word in "$@"; do
		says "^ok $word\$" || bad=1
	done
	report $bad "$name on $type"
}

disk_image() {
	rm -f "$DISK"
	truncate -s 16M "$DISK"
}

all() { # all MACHINE
	disk_image
	file="file=$DISK,cache=unsafe,discard=unmap"
	run "$1" "" "$file" ""
	good "disk, network and entropy work" disk-writes disk-many-in-flight disk-flush disk-reads \
		disk-content disk-end disk-overflow disk-discard net-arp net-ping net-one-kick net-sent \
		entropy
	[ "$(grep -c '^log line' "$LOG.console")" = 40 ]
	report $? "the log takes the console on $1"
	run "$1" verify "$file" ""
	good "what was written is there after a restart" disk-reads disk-content
	run "$1" "" "$file" ",event_idx=off"
	good "all works without event indices" disk-content net-ping
	run "$1" direct "$file" ",indirect_desc=off"
	good "all works without indirect descriptors" disk-reads net-arp
	run "$1" readonly "$file,readonly=on" ""
	good "a read-only disk refuses writes" disk-read-only disk-content
	run "$1" failing "file.driver=blkdebug,file.inject-error.0.event=read_aio,file.image.filename=$DISK" ""
	good "a failing disk fails requests, not the machine" disk-error net-ping
}

wide() { # wide MACHINE: sectors of 4096 bytes; on PCI, with everything behind a bridge
	disk_image
	file="file=$DISK,cache=unsafe,discard=unmap"
	run "$1" "" "$file" "" -global virtio-blk-device.logical_block_size=4096 \
		-global virtio-blk-device.physical_block_size=4096 \
		-global virtio-blk-pci.logical_block_size=4096 \
		-global virtio-blk-pci.physical_block_size=4096
	says "sectors of 4096 bytes" || echo "WRONG sector size" >>"$LOG"
	good "sectors of 4096 bytes work" disk-writes disk-content disk-end
	case $1 in
	microvm) return ;;
	q35) bridge="pcie-root-port,id=b0,slot=1 -device pcie-root-port,id=b1,slot=2" slot=0 ;;
	pc) bridge="pci-bridge,id=b0,chassis_nr=1 -device pci-bridge,id=b1,chassis_nr=2,bus=b0,addr=3" slot=4 ;;
	esac
	LOG=$OUT/$1.log
	timeout -k 1 "$TIMEOUT" $QEMU $(machine_options "$1") -accel tcg -cpu max -m 64M -nodefaults \
		-no-user-config -no-reboot -display none -serial file:"$LOG" -device $bridge \
		-drive "if=none,id=d0,format=raw,$file" \
		-device virtio-blk-pci,drive=d0,bus=b0,disable-legacy=on,addr=$slot \
		-netdev user,id=n0 -device virtio-net-pci,netdev=n0,bus=b1,addr=$slot \
		-kernel "$IMAGE" </dev/null >"$LOG.qemu" 2>&1
	status=$?
	tr -d '\r' <"$LOG" >"$LOG.lines" && mv "$LOG.lines" "$LOG"
	good "devices behind bridges are found" disk-writes disk-content net-arp net-ping
}

# The kernel's own stack as the other side, in a namespace of our own: it offloads what slirp does not.
offloads() {
	for type in $MACHINES; do
		disk_image
		NETDEV=tap,ifname=drivers0,script=no,downscript=no \
			run "$type" "" "file=$DISK,cache=unsafe" ""
		good "checksums and segmentation are left to the device" net-arp net-ping \
			net-one-kick net-tso
	done
	return $failed
}

if [ "${2-}" = offloads ]; then
	ip tuntap add drivers0 mode tap vnet_hdr && ip addr add 10.0.2.2/24 dev drivers0 &&
		ip link set drivers0 up || exit 2
	offloads
	exit
fi

mkdir -p "$OUT"
LOG=$OUT/build.log
build >"$LOG" 2>"$LOG.qemu" || { report 1 "the guest is built"; exit 1; }
for type in $MACHINES; do
	all "$type"
	wide "$type"
done
if [ -w /dev/net/tun ] && unshare -n true 2>/dev/null; then
	tap=$(unshare -n "$self" "$BUILD" offloads)
	status=$?
	echo "$tap"
	good_count=$(echo "$tap" | grep -c '^ok')
	passed=$((passed + good_count))
	[ $status = 0 ] || failed=$((failed + 1))
else
	echo "ok - checksums and segmentation # skip no TAP device or network namespace here"
fi
echo "drivers: $passed passed, $failed failed"
[ $failed = 0 ]

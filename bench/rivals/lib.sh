# The guests of a comparison: ours, and Linux with nginx. Source it after e2e/lib.sh and bench/lib.sh.
#
#	rivals_build NAME FILE...        # one site for both, of these files of $SITE
#	boot_side ours|rival MEMORY      # on $ns' tap0, pinned; sets $guest, $url, $log
#	cut
#
# Both get the same machine: QEMU's microvm under TCG, one vCPU, virtio-net over MMIO on a TAP interface
# without vhost, all offloads that QEMU and the guest agree on. SIDE_PLUGIN: words for QEMU's -plugin.
RIVALS=build/rivals
LINUX=$RIVALS/linux
SITE=$RIVALS/site
BUSYBOX=$RIVALS/packages/busybox-static/bin/busybox
COUNTERS_PORT=9000
RIVAL_SENDFILE=${RIVAL_SENDFILE:-on}

# What is left out of Linux, because a server on its own does without. A processor without PIT gives no
# reference for its clock: what the host knows of it is passed on, as a hypervisor's clock would.
RIVAL_TUNING='mitigations=off quiet audit=0 apparmor=0 init_on_alloc=0 hardened_usercopy=0
	randomize_kstack_offset=off nosmap nosmep nopku no5lvl no_timer_check tsc=reliable'
RIVAL_WMEM='4096 16384 4194304' # Debian's with 4 GiB: less memory would make it less

# site_file NAME BYTES: of noise, which no coding makes smaller; made once.
site_file() {
	mkdir -p "$SITE"
	[ "$(stat -c %s "$SITE/$1" 2>/dev/null)" = "$2" ] || head -c "$2" /dev/urandom >"$SITE/$1"
}

# rivals_build NAME FILE...
rivals_build() {
	app=$RIVALS/$1 site_archive=$RIVALS/$1.cpio
	shift
	rm -rf "$app.site"
	mkdir -p "$app/static" "$app.site"
	for rivals_file; do
		cp -l "$SITE/$rivals_file" "$app.site/"
		cmp -s "$SITE/$rivals_file" "$app/static/$rivals_file" || cp "$SITE/$rivals_file" "$app/static/"
	done
	cp examples/hello/app.c "$app/"
	cp -r examples/hello/pages "$app/"
	./ingot build "$app" >"$WORK/build.log" 2>&1 || { tail "$WORK/build.log"; return 1; }
	bench/rivals/build --files "$app.site" "$site_archive" >"$WORK/build.log" 2>&1 || { tail "$WORK/build.log"; return 1; }
}

# The guest's threads on the first processor, its clients (on_client) on the second one.
on_client='' on_guest=''
if [ "${PIN:-yes}" = yes ] && [ "$(nproc)" -ge 2 ] && command -v taskset >/dev/null 2>&1; then
	on_guest='taskset -c 0' on_client='taskset -c 1'
fi

boot_side() {
	url=http://$guest_address log=$WORK/$1.log
	# Linux may measure its timer wrongly on a busy machine, and then hangs or gives up (rivals/init): once more.
	for side_try in 1 2 3 4 5; do
		: >"$log"
		"boot_$1" "$2" >"$log" 2>&1 &
		guest=$!
		side_listens && break
		cut 2>/dev/null
	done
	[ -n "$guest" ] || {
		tail "$log" | sed 's/^/#   /'
		bad "$1 boots"
		exit 1
	}
	# On a busy machine the interface may not be up yet on the host's side.
	for side_try in 1 2 3 4 5 6 7 8; do
		inside curl -s -o "$WORK/first.out" --max-time 2 "$url/" && break
		sleep 0.2
	done
}
side_listens() {
	for side_i in $(seq 900); do
		grep -q 'http: listening on' "$log" && return 0
		kill -0 "$guest" 2>/dev/null || return 1
		sleep 0.05
	done
	return 1
}
# exec: the job is the program itself, which cut() wants to know.
boot_ours() {
	exec $on_guest ip netns exec "$ns" build/ingot run "$app" --accel tcg --net tap:tap0 --memory "$1" \
		--diagnose $COUNTERS_PORT --append "ip=$guest_address/24,10.77.0.1" ${SIDE_PLUGIN:+--qemu "-plugin $SIDE_PLUGIN"}
}
boot_rival() {
	cat "$LINUX/root.cpio" "$site_archive" >"$WORK/rival.initrd"
	exec $on_guest ip netns exec "$ns" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-M microvm,acpi=on,rtc=on,pit=off,pic=off,isa-serial=on -global virtio-mmio.force-legacy=false \
		-accel tcg -cpu max -m "$1" -smp 1 -kernel "$LINUX/vmlinux" -initrd "$WORK/rival.initrd" \
		-append "console=ttyS0 $RIVAL_TUNING tsc_early_khz=$("$BENCH/tsc_khz") rival.sendfile=$RIVAL_SENDFILE
			sysctl.net.ipv4.tcp_wmem=\"$RIVAL_WMEM\" rival.address=$guest_address/24 rival.gateway=10.77.0.1" \
		-netdev tap,id=net0,ifname=tap0,script=no,downscript=no -device virtio-net-device,netdev=net0 \
		-device virtio-rng-device -serial stdio ${SIDE_PLUGIN:+-plugin "$SIDE_PLUGIN"}
}

# What the side's TCP has counted: "NAME VALUE" lines, with each one's own names.
counters_of_ours() { inside curl -sS --max-time 5 "$url:$COUNTERS_PORT/counters"; }
counters_of_rival() {
	inside timeout 5 "$BUSYBOX" nc $guest_address $COUNTERS_PORT </dev/null | awk '
		$1 != last { last = $1; count = split($0, name); next }
		{ for (i = 2; i <= count; i++) print name[i], $i; last = "" }'
}
# Of these, one row: retransmitted segments, timeouts, probes, fast recoveries.
recovery_of() {
	case $1 in
	ours) names='tcp_retrans_segs tcp_timeouts tcp_tail_loss_probes tcp_fast_recoveries' ;;
	rival) names='RetransSegs TCPTimeouts TCPLossProbes TCPSackRecovery' ;;
	esac
	for recovery_name in $names; do
		sed -n "s/^$recovery_name //p" "$2"
	done | awk '{ v[NR] = $1 } END { printf "%d sent again, %d timeouts, %d probes, %d recoveries\n", v[1], v[2], v[3], v[4] }'
}

rivals_versions() {
	awk '{ sub(/-amd64$/, "", $1); printf "%s%s %s", (NR > 1 ? ", " : "# the rival: "), $1, $2 } NR == 3 { print ""; exit }' \
		"$LINUX/VERSIONS"
}

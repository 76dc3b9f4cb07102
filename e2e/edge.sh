#!/bin/sh
# Behind real proxies: haproxy with PROXY headers of both versions, nginx with Forwarded and X-Forwarded-For, and one
# behind the other. Then slowhttptest from one address, while somebody else keeps being answered.
#
#	e2e/edge.sh                     each pair of attacks for SECONDS_EACH (2)
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
SECONDS_EACH=${SECONDS_EACH:-2}
LIMIT_MS=${LIMIT_MS:-20000}

network || { skip "behind proxies" "$network_why"; exit 0; }

# Debian's packages, unpacked, with the libraries that are not on every machine.
packages=build/third_party/edge
[ -f $packages/VERSIONS ] || third_party/fetch-binary bookworm $packages haproxy liblua5.3-0 libopentracing-c-wrapper0 \
	libopentracing1 nginx slowhttptest libpcre2-8-0 libssl3 libcrypt1 zlib1g >"$WORK/fetch.log" 2>&1
libraries=$(find "$PWD/$packages" -name '*.so.*' -exec dirname {} \; 2>/dev/null | sort -u | tr '\n' ':')
tool() { # tool NAME WORD...: in the clients' namespace
	tool_at=$(find "$PWD/$packages/$1" -type f -path "*bin/$1" | head -n 1)
	shift
	inside env LD_LIBRARY_PATH="$libraries" "$tool_at" "$@"
}
for name in haproxy nginx slowhttptest; do
	option=-v
	[ $name = slowhttptest ] && option=-h
	tool $name $option >"$WORK/fetch.log" 2>&1 || [ $name = slowhttptest ] || {
		skip "behind proxies" "$name of Debian cannot be run here: $(tail -n 1 "$WORK/fetch.log")"
		exit 0
	}
done

proxies=''
proxies_end() {
	for pid in $proxies; do kill -KILL "$pid" && wait "$pid"; done 2>/dev/null
	proxies=''
}
teardown() { proxies_end; }

# app NAME LINE...: the application with these lines beside its routes.
app() {
	app=$WORK/$1
	shift
	rm -rf "$app"
	mkdir -p "$app/static"
	cp e2e/support/edge/app.c "$app"
	{ echo '#include <ingot.h>' && printf '%s\n' "$@"; } >"$app/proxy.c"
	head -c 300000 /dev/urandom >"$app/static/large.bin"
}
for address in 10.77.0.4 10.77.0.5; do ip -n "$ns" addr add $address/24 dev tap0; done

cat >"$WORK/haproxy.cfg" <<END
defaults
	mode tcp
	timeout connect 20s
	timeout client 60s
	timeout server 60s
listen v1
	bind 127.0.0.1:8001
	server guest $guest_address:80 send-proxy
listen v2
	bind 127.0.0.1:8002
	bind [::1]:8002
	option tcp-check
	server guest $guest_address:80 send-proxy-v2 check-send-proxy check inter 500ms
listen v2_further
	bind 127.0.0.1:8003
	server guest $guest_address:80 send-proxy-v2 proxy-v2-options crc32c,unique-id,authority
END
cat >"$WORK/nginx.conf" <<END
user root;
daemon off;
master_process off;
pid $PWD/$WORK/nginx.pid;
error_log $PWD/$WORK/nginx.log info;
events { }
http {
	access_log off;
	client_body_temp_path $PWD/$WORK/temp;
	proxy_temp_path $PWD/$WORK/temp;
	fastcgi_temp_path $PWD/$WORK/temp;
	uwsgi_temp_path $PWD/$WORK/temp;
	scgi_temp_path $PWD/$WORK/temp;
	map \$remote_addr \$node {
		~:      "\"[\$remote_addr]\"";
		default \$remote_addr;
	}
	map \$http_forwarded \$forwarded {
		""      "for=\$node;proto=\$scheme";
		default "\$http_forwarded, for=\$node;proto=\$scheme";
	}
	server {
		listen 127.0.0.1:8010;
		listen [::1]:8010;
		location / {
			proxy_pass http://127.0.0.1:8002;
			proxy_http_version 1.1;
			proxy_set_header Forwarded \$forwarded;
		}
	}
	server {
		listen 127.0.0.1:8011;
		location / {
			proxy_pass http://$guest_address;
			proxy_bind 10.77.0.4;
			proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto https;
		}
	}
}
END
start() { # start NAME PORT WORD...: a proxy
	start_name=$1 start_port=$2
	shift 2
	tool "$start_name" "$@" >"$WORK/$start_name.out" 2>&1 &
	proxies="$proxies $!"
	start_i=0
	until inside ss -Hltn "sport = :$start_port" | grep -q . || [ $start_i -gt 600 ]; do
		sleep 0.05
		start_i=$((start_i + 1))
	done
}
get() { inside curl -sS --max-time 60 "$@" 2>&1; }

# --- haproxy in front, nginx before it ---
app proxied 'APP_PROXY_PROTOCOL("10.77.0.1")' 'APP_BEHIND_PROXY(forwarded, "127.0.0.1", "::1")'
boot_tap "$app" --memory 16M || { tail -n 15 "$log"; bad "an application behind a proxy boots"; exit 1; }
start haproxy 8003 -f "$WORK/haproxy.cfg" -db
start nginx 8011 -p "$PWD/$WORK/" -c "$PWD/$WORK/nginx.conf"
expect "haproxy says who the client is, by version 1" "127.0.0.9 http" get --interface 127.0.0.9 http://127.0.0.1:8001/client
expect "... by version 2" "127.0.0.9 http" get --interface 127.0.0.9 http://127.0.0.1:8002/client
expect "... over IPv6" "::1 http" get "http://[::1]:8002/client"
expect "... and with further fields and a checksum" "127.0.0.9 http" get --interface 127.0.0.9 http://127.0.0.1:8003/client
expect "a client that is no proxy names nobody" "127.0.0.9 http" \
	get --interface 127.0.0.9 -H 'Forwarded: for=6.6.6.6;proto=https' http://127.0.0.1:8002/client
expect "of nginx before haproxy, the client is nginx's" "127.0.0.9 http" get --interface 127.0.0.9 http://127.0.0.1:8010/client
expect "... whatever it says of others" "127.0.0.9 http" \
	get --interface 127.0.0.9 -H 'Forwarded: for=6.6.6.6;proto=https' http://127.0.0.1:8010/client
expect "... a quote that it leaves open hides it, and shows nobody else" "127.0.0.1 http" \
	get --interface 127.0.0.9 -H 'Forwarded: for=6.6.6.6, for="' http://127.0.0.1:8010/client
get --interface 127.0.0.9 "http://127.0.0.1:8002/client?seen" >/dev/null
await 'client?seen' "$log"
says "the access log has the client" '^127.0.0.9 - - .*GET /client?seen HTTP/1.1" 200' "$log"
check "who comes past the proxy is not served" sh -c "! ip netns exec $ns curl -sS --max-time 60 --interface 10.77.0.5 $url/client"
check "... nor who says nothing" sh -c "! ip netns exec $ns curl -sS --max-time 60 $url/client"
get --interface 127.0.0.9 http://127.0.0.1:8002/metrics >"$WORK/metrics"
says "... and is counted" '^http_refused_proxy_total [2-9]' "$WORK/metrics"
stop
proxies_end

# --- nginx with the older fields; who is trusted says the boot ---
app plain 'APP_BEHIND_PROXY(x_forwarded)'
guest_words='proxies=10.77.0.4'
boot_tap "$app" --memory 8M || { tail -n 15 "$log"; bad "an application behind nginx boots"; exit 1; }
start nginx 8011 -p "$PWD/$WORK/" -c "$PWD/$WORK/nginx.conf"
expect "nginx says who the client is" "127.0.0.9 https" get --interface 127.0.0.9 -H 'X-Forwarded-For: 6.6.6.6' http://127.0.0.1:8011/client
expect "... and nobody else may" "10.77.0.5 http" \
	get --interface 10.77.0.5 -H 'X-Forwarded-For: 6.6.6.6' -H 'X-Forwarded-Proto: https' "$url/client"
proxies_end

# --- slowhttptest, of which most connections are over the limit of an address ---
# attack NAME MODE WORD... -- MODE WORD...: two at a time.
slow() {
	tool slowhttptest -c 400 -r 200 -i 1 -l "$SECONDS_EACH" -p 30 "$@" >>"$WORK/slow.out" 2>&1 &
	slows="$slows $!"
}
attacked() { # attacked NAME
	inside node e2e/steady.mjs 10.77.0.5 "$guest_address" /client "$SECONDS_EACH" "$LIMIT_MS" >"$WORK/steady" 2>&1
	steady=$?
	for pid in $slows; do kill -INT "$pid"; wait "$pid"; done 2>/dev/null
	slows=''
	if [ $steady = 0 ]; then ok "$1: others are served ($(tail -n 1 "$WORK/steady"))"; else
		sed 's/^/# /' "$WORK/steady" | tail -n 5
		bad "$1: others are served"
	fi
}
slows=''
: >"$WORK/slow.out"
slow -H -u "$url/client"
slow -B -u "$url/take"
attacked "slow heads and slow bodies"
slow -X -k 5 -w 1 -y 64 -n 1 -z 32 -u "$url/large.bin"
slow -R -t GET -a 1 -b 3000 -u "$url/large.bin"
attacked "slow readers and thousands of ranges"
# The guest has some 600 connections; idle ones, since others are cut off before they are so many.
inside node -e '
	const sockets = Array.from({ length: 400 }, () => require("net").connect(80, process.argv[1]));
	let reset = 0;
	for (const s of sockets) s.on("error", () => reset++).on("data", () => {});
	const look = (left) => reset >= 100 || !left ? console.log(`${reset} of 400 were refused`) || process.exit(reset < 100 ? 1 : 0)
		: setTimeout(look, 100, left - 1);
	look(200);' "$guest_address" >"$WORK/many" 2>&1
many=$?
check "an address has its share of the connections ($(tail -n 1 "$WORK/many"))" test $many = 0
get --interface 10.77.0.5 "$url/metrics" >"$WORK/metrics"
says "... which is counted" '^http_refused_address_total [1-9]' "$WORK/metrics"
check "nothing was wrong" sh -c "! grep -i 'assertion\|panic' $log"
stop
expect "the machine stops in order" 0 echo $status
exit $failed

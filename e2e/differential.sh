#!/bin/sh
# The bytes of http/vectors, sent to an application of ours and to nginx from Debian, which serve the same files in one
# network namespace: what differs must stand in http/vectors/nginx.differences, with its reason.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh

nginx=''
teardown() {
	[ -z "$nginx" ] || { kill -KILL "$nginx" && wait "$nginx"; } 2>/dev/null
}

# Debian's package, unpacked, with the libraries that it needs: another version would answer otherwise.
nginx_find() {
	packages=build/third_party/nginx
	[ -f $packages/VERSIONS ] || third_party/fetch-binary bookworm $packages nginx libpcre2-8-0 libssl3 libcrypt1 \
		zlib1g >"$WORK/fetch.log" 2>&1 || return 1
	program=$PWD/$packages/nginx/usr/sbin/nginx
	libraries=$(find "$PWD/$packages" -name '*.so.*' -exec dirname {} \; | sort -u | tr '\n' ':')
	LD_LIBRARY_PATH=$libraries "$program" -v 2>"$WORK/fetch.log"
}

site_make() {
	rm -rf "$WORK/vectors"
	mkdir -p "$WORK/vectors/static"
	cp e2e/support/differential/app.c "$WORK/vectors/"
	printf 'body { margin: 0 }\n' >"$WORK/vectors/static/site.css"
	printf '<!doctype html><title>Home</title>\n' >"$WORK/vectors/static/index.html"
	printf 'this is the probe\n' >"$WORK/vectors/static/probe.txt"
	: >"$WORK/vectors/static/empty.txt"
	node -e 'process.stdout.write(Buffer.from({ length: 200000 }).map((_, i) => i * 7 + (i >> 8)))' \
		>"$WORK/vectors/static/big.txt" # as app/support/site.c makes it
	cp "$WORK/vectors/static/big.txt" "$WORK/vectors/static/big.bin"
}

# The limits are ours; so are the methods that what is no file takes.
nginx_configure() {
	cat >"$WORK/nginx.conf" <<-END
		user root;
		daemon off;
		master_process off;
		pid $PWD/$WORK/nginx.pid;
		error_log $PWD/$WORK/nginx.log info;
		events { }
		http {
			access_log off;
			types { text/html html; text/css css; text/plain txt; }
			client_header_buffer_size 8k;
			large_client_header_buffers 4 8k;
			client_max_body_size 64k;
			lingering_close always;
			client_body_temp_path $PWD/$WORK/temp;
			proxy_temp_path $PWD/$WORK/temp;
			fastcgi_temp_path $PWD/$WORK/temp;
			uwsgi_temp_path $PWD/$WORK/temp;
			scgi_temp_path $PWD/$WORK/temp;
			server {
				listen 10.77.0.1:80;
				root $PWD/$WORK/vectors/static;
				location ~ ^/(text|page)\$ {
					default_type text/plain;
					if (\$request_method = OPTIONS) { return 204; }
					if (\$request_method !~ ^(GET|HEAD)\$) { return 405; }
					return 200 "plain & simple";
				}
				location = /echo {
					if (\$request_method = OPTIONS) { return 204; }
					if (\$request_method !~ ^(POST|PUT)\$) { return 405; }
					proxy_pass http://127.0.0.1:81;
					proxy_ignore_client_abort on; # we close our side early
				}
			}
			server {
				listen 127.0.0.1:81;
				return 200 "taken";
			}
		}
	END
}

nginx_start() {
	mkdir -p "$WORK/temp"
	nginx_configure
	ip netns exec "$ns" env LD_LIBRARY_PATH="$libraries" "$program" -p "$PWD/$WORK" -c "$PWD/$WORK/nginx.conf" \
		>"$WORK/nginx.out" 2>&1 &
	nginx=$!
	i=0
	until inside curl -s -o "$WORK/check.out" -m 5 http://10.77.0.1/probe.txt; do
		i=$((i + 1))
		kill -0 "$nginx" 2>/dev/null && [ $i -lt 600 ] || return 1
		sleep 0.05
	done
}

network || { skip "the vectors beside nginx" "$network_why"; exit 0; }
nginx_find || { skip "the vectors beside nginx" "nginx could not be had: $(tail -n 1 "$WORK/fetch.log")"; exit 0; }
site_make
make -s build/host/test/http/vectors_test >"$WORK/make.log" 2>&1 && build/host/test/http/vectors_test --list >"$WORK/list" ||
	{ tail -n 5 "$WORK/make.log"; bad "the vectors are listed"; exit 1; }
nginx_start || { tail -n 5 "$WORK/nginx.out" "$WORK/nginx.log"; bad "nginx starts"; exit 1; }
build_program "$WORK/vectors"
boot_program || exit 1
inside timeout 120 node e2e/differential.mjs 10.77.0.2 10.77.0.1 "$WORK/list" http/vectors/nginx.differences "$WORK/table" \
	>"$WORK/out" 2>&1 && ok "what differs from nginx is known" || bad "what differs from nginx is known"
tail -n 40 "$WORK/out"
stop
expect "the program ends in order" 0 echo $status
expect "... and gives the sanitizers nothing to say" "" complaints "$log"
exit $failed

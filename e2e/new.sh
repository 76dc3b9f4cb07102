#!/bin/sh
# A newcomer's first steps, in an empty folder outside of the repository.
cd "$(dirname "$0")/.." || exit 2
. e2e/lib.sh
home=$PWD
place=$(mktemp -d)
teardown() { rm -rf "$place"; }
mkdir "$place/bin"
ln -s "$home/ingot" "$place/bin/ingot"
PATH=$place/bin:$PATH
WORK=$home/$WORK

cd "$place" || exit 2
expect "without arguments it says what there is to do" "Ingot turns a web application into one bootable image with no operating system in it." \
	sh -c 'ingot | head -n 1'
check "each command has its help" sh -c 'for c in new build run db test; do ingot help $c >/dev/null || exit 1; done'
check "ingot new makes a folder" ingot new blog
check "a second one of that name is refused" sh -c '! ingot new blog'
cd blog || exit 2
check "ingot build prints the image and its parts" sh -c 'ingot build | grep -q "application: pages"'
check "the image is where it says" test -s .ingot/blog.elf

free_port
log=$WORK/new.log
ingot run --accel tcg --port "$port" >"$log" 2>&1 &
guest=$!
url=http://127.0.0.1:$port
if boot_wait; then ok "ingot run boots it"; else tail -n 10 "$log"; bad "ingot run boots it"; fi
says "it says where it listens" "^listening on http://localhost:$port\$" "$log"
check "its page answers" sh -c "curl -fsS $url/ | grep -q '<h1>Notes</h1>'"
stop
expect "Ctrl-C ends it with status 0" 0 echo $status

# What beginners leave out.
says_build() { # NAME PATTERN
	ingot build >"$WORK/build.log" 2>&1
	says "$1" "$2" "$WORK/build.log"
}
sed -i 's/form_protect(req, data);//; s/PAGE(home)/PAGE(hoem)/' app.c
says_build "the build warns of a token that nothing sets" '^pages/home.html:12:1: warning: nothing sets csrf'
says "a page that there is not is said where it is named" '/app.c:11:[0-9]*: error: .page_template_hoem. undeclared' "$WORK/build.log"
sed -i '/{{{csrf}}}/d' pages/home.html
says_build "... and of a form without it" '^pages/home.html:11:1: warning: a form that posts, without {{{csrf}}} in it'
rm -r migrations queries
echo 'void change(struct request *req); void change(struct request *req) { db_run(req, "DELETE FROM note"); }' >>app.c
says_build "SQL without a database is an error" '^app.c:25:70: error: there is no database: it takes a folder migrations/'

# Only static files: an application without a line of C.
mkdir -p "$place/plain/static"
echo 'just a page' >"$place/plain/static/index.html"
cd "$place" || exit 2
free_port
log=$WORK/plain.log
ingot run plain --accel tcg --port "$port" >"$log" 2>&1 &
guest=$!
boot_wait || { tail -n 10 "$log"; bad "a folder with static/ alone boots"; }
expect "index.html is served at /" "just a page" curl -fsS "http://127.0.0.1:$port/"
stop
exit $failed

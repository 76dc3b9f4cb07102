# A package list of our own, which the fetching scripts share: the mirror is the one that this machine's own
# package configuration names, whatever its format; that configuration is neither changed nor used for
# anything else. Source it; needs fail().
#
#	private_open ARCHIVES bookworm deb      # or deb-src; sets $private, whose content goes at the end
#	private_apt download nginx

# The base address of this machine's own Debian mirror: of its package lists, the first that is a plain
# suite (neither security nor updates) and has the component main.
mirror() {
	apt-get indextargets --format '$(IDENTIFIER) $(COMPONENT) $(RELEASE) $(REPO_URI)' 2>/dev/null |
		awk '$1 == "Packages" && $2 == "main" && $3 !~ /[-\/]/ { print $4; exit }'
}

# apt with a state of its own; $private is its root.
private_apt() {
	private_tool=apt-get
	[ "$1" != --cache ] || { private_tool=apt-cache; shift; }
	$private_tool -q -o Dir::Etc::SourceList="$private/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$private/lists" -o Dir::Cache="$private/cache" \
		-o Acquire::Retries=3 -o Acquire::Languages=none -o APT::Sandbox::User= "$@"
}

private_open() {
	command -v apt-get >/dev/null || fail "apt-get is needed to fetch packages"
	uri=$(mirror)
	[ -n "$uri" ] || fail "this machine's package configuration names no Debian mirror"
	private=$(mktemp -d "$1/.apt.XXXXXX")
	trap 'rm -rf "$private"' EXIT
	trap 'exit 1' INT TERM HUP
	mkdir -p "$private/lists/partial" "$private/cache/archives/partial" "$private/new"
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	option=
	[ -f "$keyring" ] && option="[signed-by=$keyring] "
	echo "$3 $option$uri $2 main" >"$private/sources.list"
	private_apt -o APT::Update::Error-Mode=any update >"$private/log" 2>&1 || private_failed
}

private_failed() {
	fail "the download failed; run again to retry ($(grep '^[EW]:' "$private/log" | head -n 1))"
}

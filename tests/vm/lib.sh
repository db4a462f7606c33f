# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the scripts of this folder share: the table of kernels, where the cache
# is, the exit statuses and how to complain. Sourced, never run.

VM_CACHE=${TCPSAGA_VM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tcpsaga/vm}

# Raise it when fetch puts something new into the cache: older caches are then
# fetched again instead of failing in odd ways.
VM_CACHE_FORMAT=1

# COMMAND's own status passes through run unchanged, so the harness speaks with
# numbers that commands rarely use: 77 is automake's "skip", 124 is timeout's.
# shellcheck disable=SC2034 # not every script uses all of them
readonly EX_FAILED=1 EX_USAGE=2 EX_NOT_ON_MIRROR=77 EX_NO_BOOT=122 \
	EX_KERNEL_FAULT=123 EX_TIMEOUT=124 EX_HARNESS=125

# Name, version (extended regular expression), suites to look in. A further
# kernel is one more line. Of all packages that match the highest version wins.
# "newest" is whatever the development suites have today.
kernel_table() {
	cat <<-'END'
		5.10    5\.10\.  bullseye bullseye-security
		6.1     6\.1\.   bookworm bookworm-security
		6.12    6\.12\.  trixie trixie-security bookworm-backports
		newest  [0-9]    sid forky
	END
}

kernel_names() {
	kernel_table | awk '{ print $1 }'
}

kernel_pattern() {
	kernel_table | awk -v name="$1" '$1 == name { print $2 }'
}

kernel_suites() {
	kernel_table | awk -v name="$1" \
		'$1 == name { for (i = 3; i <= NF; i++) print $i }'
}

kernel_dir() {
	printf '%s/%s\n' "$VM_CACHE" "$1"
}

# The release file is written last: where it is, all the rest is, too.
kernel_is_cached() {
	local dir
	dir=$(kernel_dir "$1")
	[ -s "$dir/release" ] &&
		[ "$(cat "$dir/format" 2>/dev/null)" = "$VM_CACHE_FORMAT" ]
}

say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Usage: die STATUS MESSAGE...
die() {
	local status=$1
	shift
	say "$*"
	exit "$status"
}

# The comment at the top of a script is its help text.
show_help() {
	sed -n '3,/^[^#]/ { s/^# \{0,1\}//p }' "$0"
}

check_kernel_name() {
	kernel_names | grep -qxF -- "$1" ||
		die $EX_USAGE "unknown kernel '$1'; known are: $(kernel_names | xargs)"
}

need_tools() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null ||
			die $EX_FAILED "needs $tool; README.md lists the Debian packages"
	done
}

# depends DEB: the packages that it asks for, without versions.
depends() {
	dpkg-deb -f "$1" Depends | tr ',' '\n' | sed 's/ *\([^ ]*\).*/\1/' | sort
}

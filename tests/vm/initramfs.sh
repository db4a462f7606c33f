# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2154 # here and work are run's
# Builds the guest's file system out of this machine's programs. It comes in
# parts that the kernel unpacks one over the other: a base (tools and libraries,
# cached, the same for every kernel), the kernel's modules (cached beside the
# kernel), and what belongs to one run only. Sourced by run; needs lib.sh.
#
# Nothing is compressed: to unpack is slow under emulation, to copy is not.

# Real tools where tests lean on more than busybox's version does. The second
# list is taken along when this machine has it.
BASE_TOOLS=(
	bash ip ss tc jq bats sysctl timeout mktemp env date stat sort sleep
	grep sed find unshare nsenter setpriv taskset flock ps pgrep pkill
	tput stdbuf realpath seq
)
OPTIONAL_TOOLS=(bpftool nft nstat socat capsh xxd script ncat hping3 iperf3)
BASE_DIRECTORIES=(/usr/lib/bats-core /usr/libexec/bats-core)
BASE_TERMINALS=(dumb linux vt100 xterm xterm-256color screen-256color tmux-256color)

# Usage: base_archive: prints the path of the base part, building it when this
# machine's tools or these scripts have changed since. Old ones go only after a
# day without use: another checkout may share the cache.
base_archive() {
	local archive
	archive=$VM_CACHE/base-$(base_key).cpio
	if [ ! -s "$archive" ]; then
		find "$VM_CACHE" -maxdepth 1 -name 'base-*' -mtime +0 -delete
		with_lock build_base "$archive"
	fi
	touch "$archive"
	echo "$archive"
}

# Two runs that start together would both build the same.
with_lock() {
	(
		flock 9
		"$@"
	) 9>"$VM_CACHE/.lock"
}

base_files() {
	local tool
	for tool in busybox "${BASE_TOOLS[@]}"; do
		command -v "$tool" ||
			die "$EX_HARNESS" "needs $tool; README.md lists the Debian packages"
	done
	for tool in "${OPTIONAL_TOOLS[@]}"; do
		command -v "$tool" || true
	done
}

base_key() {
	# Sizes and dates of the tools, and of the library that all of them share.
	{
		base_files | xargs stat -L -c '%n %s %Y'
		stat -L -c '%n %s %Y' /lib/x86_64-linux-gnu/libc.so.6 "${BASE_DIRECTORIES[@]}"
		cat "$here/initramfs.sh" "$here/guest-init"
	} | sha256sum | cut -c1-16
}

build_base() {
	local archive=$1 stage=$work/base file terminal
	local -a skeleton=(etc root proc sys dev run tmp mnt harness usr/bin usr/sbin
		usr/lib usr/lib64 var/tmp)
	[ ! -s "$archive" ] || return 0
	say "building the guest's base system"
	mkdir -p "$stage" && (cd "$stage" && mkdir -p "${skeleton[@]}")
	chmod 1777 "$stage/tmp" "$stage/var/tmp"
	for file in bin sbin lib lib64; do
		ln -s "usr/$file" "$stage/$file"
	done
	ln -s /run "$stage/var/run"
	for file in $(base_files); do
		add_file "$stage" "$file"
	done
	for file in "${BASE_DIRECTORIES[@]}"; do
		add_directory "$stage" "$file"
	done
	for terminal in "${BASE_TERMINALS[@]}"; do
		for file in /lib/terminfo /usr/share/terminfo; do
			file=$file/${terminal:0:1}/$terminal
			[ ! -e "$file" ] || add_file "$stage" "$file"
		done
	done
	add_libraries "$stage" ""
	add_busybox_applets "$stage"
	add_settings "$stage"
	cp "$here/guest-init" "$stage/init"
	chmod 755 "$stage/init"
	make_archive "$stage" "$archive"
	rm -rf "$stage"
}

# A busybox applet stands in for every tool that is not there for real.
add_busybox_applets() {
	local stage=$1 applet
	for applet in $(busybox --list); do
		[ -e "$stage/usr/bin/$applet" ] || [ -L "$stage/usr/bin/$applet" ] ||
			[ -e "$stage/usr/sbin/$applet" ] ||
			ln -s busybox "$stage/usr/bin/$applet"
	done
}

add_settings() {
	local etc=$1/etc
	printf '%s\n' 'root:x:0:0:root:/root:/bin/bash' \
		'user:x:1000:1000:user:/tmp:/bin/bash' \
		'nobody:x:65534:65534:nobody:/:/bin/sh' >"$etc/passwd"
	printf '%s\n' 'root:x:0:' 'user:x:1000:' 'nogroup:x:65534:' >"$etc/group"
	printf '%s\n' '127.0.0.1 localhost tcpsaga-vm' '::1 localhost' >"$etc/hosts"
	printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' \
		'services: files' 'protocols: files' >"$etc/nsswitch.conf"
	cp -L /etc/services /etc/protocols "$etc/" 2>/dev/null || true
}

modules_archive() {
	local dir
	dir=$(kernel_dir "$1")
	[ -s "$dir/modules.cpio" ] || with_lock build_modules "$dir"
	echo "$dir/modules.cpio"
}

build_modules() {
	local dir=$1 stage=$work/modules
	mkdir -p "$stage/harness"
	cp -r "$dir/modules" "$dir/modules.load" "$stage/harness/"
	make_archive "$stage" "$dir/modules.cpio"
	rm -rf "$stage"
}

# Under another name first: an interrupted run must not leave half an archive.
make_archive() {
	local from=$1 to=$2 new
	new=$(mktemp "$to.XXXXXX")
	(cd "$from" && find . -mindepth 1 -print0 | sort -z |
		cpio --null --create --format=newc --owner=0:0 --quiet) >"$new"
	mv "$new" "$to"
}

# ---- putting files in ------------------------------------------------------

# In the guest /bin, /lib and so on are links into /usr. A directory entry of the
# same name in a later part would replace the link and take the libraries away.
guest_path() {
	local path
	path=$(realpath -ms -- "$1")
	case $path in
	/bin/* | /sbin/* | /lib/* | /lib64/*) path=/usr$path ;;
	esac
	echo "$path"
}

# Usage: add_file STAGE HOSTFILE [GUESTPATH]. Links are followed.
add_file() {
	local target
	target=$1$(guest_path "${3:-$2}")
	mkdir -p "${target%/*}"
	cp -L --preserve=mode,timestamps -- "$2" "$target"
}

# Usage: add_directory STAGE HOSTDIR [GUESTPATH]. Without version control's
# files: they are many and no test wants them.
add_directory() {
	local target
	target=$1$(guest_path "${3:-$2}")
	mkdir -p "$target"
	tar -C "$2" --exclude-vcs -cf - . | tar -C "$target" --no-same-owner -xf -
}

# Usage: add_libraries STAGE BASELIST: the shared libraries of every program
# below STAGE, except those that the base has already.
add_libraries() {
	local stage=$1 list=$2 library
	local -a programs=()
	mapfile -d '' -t programs < <(elf_programs "$stage")
	[ ${#programs[@]} -gt 0 ] || return 0
	ldd "${programs[@]}" 2>/dev/null >"$work/ldd" || true
	awk '/not found/ { print $1 }' "$work/ldd" | sort -u | while read -r library; do
		say "warning: no $library on this machine, a program in the guest needs it"
	done
	# "name => /path (address)", and the loader as "/path (address)".
	sed -nE 's/^(.*=> )?[[:space:]]*(\/[^ ]+) \(0x.*/\2/p' "$work/ldd" | sort -u |
		while read -r library; do
			base_has "$list" "$library" || add_file "$stage" "$library"
		done
}

base_has() {
	[ -n "$1" ] && grep -qxF -- "$(guest_path "$2")" "$1"
}

elf_programs() {
	local file magic
	find "$1" -type f \( -perm /111 -o -name '*.so' -o -name '*.so.*' \) -print0 |
		while IFS= read -r -d '' file; do
			IFS= LC_ALL=C read -r -n 4 magic <"$file" || true
			[ "$magic" != $'\x7fELF' ] || printf '%s\0' "$file"
		done 2>/dev/null
}

# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Where packages come from: the Debian archive that this machine's apt is
# configured with. Sourced by fetch and debian.

# Usage: archive_of SUITE: the address of the archive that should hold it, as
# this machine's apt knows it; empty when apt is not configured with one.
archive_of() {
	local label=Debian codename suffix=
	case $1 in
	*-security) label=Debian-Security suffix=-security ;;
	esac
	apt_archives "Label: $label" && return
	# Label and origin come from downloaded lists, which container images throw
	# away. What the sources themselves tell is this machine's own suite.
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	apt_archives "Release: $codename$suffix" || true
}

apt_archives() {
	# shellcheck disable=SC2016 # the dollars are apt's
	apt-get indextargets --format '$(REPO_URI)' \
		'Created-By: Packages' 'Component: main' "$@" 2>/dev/null |
		sort -u | sed -n 1p | grep .
}

# The keyring of all Debian's keys where there is one: a source's own Signed-By
# may name only the keys of its own release.
signed_by() {
	local keyring
	for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
		if [ -r "$keyring" ]; then
			echo " signed-by=$keyring"
			return
		fi
	done
}

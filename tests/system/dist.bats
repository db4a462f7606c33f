#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What is packed beside the program: the unit, the configuration, alerts, the
# dashboard, the manual, the completion, the package.

bats_require_minimum_version 1.5.0
load lib.bash

DIST=$BATS_TEST_DIRNAME/../../user/dist

setup() {
    [ -x "$TCPSAGA" ] || fail "no program to test: $TCPSAGA"
    cd "$BATS_TEST_TMPDIR" || return
    AGENT_PID=''
}
teardown() { end_process "${AGENT_PID:-}"; }

wants() { command -v "$1" >/dev/null || skip "needs $1"; }

config() { printf '%s\n' "$@" >agent.conf; }

# refused MESSAGE: with status 2, in one line.
refused() {
    run -2 --separate-stderr "$TCPSAGA" agent --config agent.conf --check-config
    [ "$stderr" = "tcpsaga: $1" ] || fail "said: $stderr"
    [ -z "$output" ]
}

@test "dist: a wrong line of a configuration is told with its file, line and nearest key" {
    config "[agent]" "# a comment" "metrcs = off"
    refused 'agent.conf:3: unknown key "metrcs": did you mean metrics?'
    config "[agent]" "colour = blue"
    refused 'agent.conf:2: unknown key "colour"; see tcpsaga agent --help'
    config "[agent]" "read = x.saga"
    refused 'agent.conf:2: unknown key "read"; see tcpsaga agent --help'
    config "metrics = off"
    refused 'agent.conf:1: a key before the section [agent]'
    config "[trace]" "metrics = off"
    refused 'agent.conf:2: unknown section [trace]: there are [agent] and [sink NAME]'
    config "[agent]" "metrics"
    refused 'agent.conf:2: neither "key = value" nor "[section]"'
    config "[agent]" "" "rotate-size = 10x"
    refused 'agent.conf:3: rotate-size wants bytes, or bytes with K, M or G, not "10x"'
    config "[agent]" "set = connect-refused.cuont=5"
    refused "agent.conf:2: --set: connect-refused has no threshold 'cuont': did you mean 'count'?"
    config "[agent]" "$(printf 'filter = %05000d' 0)"
    refused 'agent.conf:2: a line is longer than 198 bytes, or has a NUL byte in it'
    config "[sink a]" "level = findings"
    refused 'agent.conf:2: [sink a] does not say where to: "to = FILE"'
    config "[sink a]" "to = x" "levle = findings"
    refused 'agent.conf:3: unknown key "levle": did you mean level?'
    config "[sink a]" "level = finding" "to = x"
    refused 'agent.conf:2: no level "finding": findings, connections or transitions'
    config "[sink a]" "to = x" "[sink b]" "to = file:x"
    refused 'agent.conf:4: another sink writes to file:x already'
    config "[agent]" "json = x" "[sink b]" "to = x"
    refused 'agent.conf:4: another sink writes to file:x already'
    config "[sink a]" "to = x" "queue-size = 1K"
    refused 'agent.conf:3: queue-size wants 64K to 64M, not "1K"'
    config "[sink a]" "to = x" "compress = gzip"
    refused 'agent.conf:3: compress wants zstd or off, not "gzip"'
    config "[sink a]" "to = x" "queue-size = 64M" "[sink b]" "to = y"
    refused 'agent.conf:5: the queues of 2 sinks come to 136 MiB, of 128 that there may be: give some a smaller queue-size'
    printf '[sink s%s]\nto = f\n' $(seq 65) >agent.conf
    refused 'agent.conf:130: more than 64 sinks'
    rm agent.conf
    refused 'cannot read agent.conf: No such file or directory'
}

@test "dist: a good configuration is used, and the command line wins" {
    config "[agent]" " metrics = 127.0.0.1:1 " "json = $PWD/a.json:findings" "; json = no" \
        "json=$PWD/b.json" "set = connect-refused.count=5" "filter = port 443"
    run -0 --separate-stderr "$TCPSAGA" agent --config agent.conf --check-config
    [ "$stderr" = "tcpsaga: agent: the configuration is in order (1 files)" ] || fail "$stderr"
    [ ! -e a.json ]
    echo 'birth id=1 CLOSE>SYN_SENT 10.0.0.1:40000 10.0.0.2:443 t=1
close id=1 SYN_SENT>CLOSE t=2
stop t=3' | "$MKREC" >some.saga
    run -0 --separate-stderr "$TCPSAGA" agent --config agent.conf --metrics off --control off -r some.saga
    [ "$(grep -c connection b.json)" = 1 ]
    [ "$(jq -r .type a.json | tr '\n' ' ')" = "start stop " ]
}

@test "dist: the configuration that is packed is in order" {
    run -0 "$TCPSAGA" agent --config "$DIST/agent.conf" --check-config
    # Each key in it, with its comment sign taken away, is one that is known.
    sed 's/^#\([a-z-]* = \|\[\)/\1/' "$DIST/agent.conf" >agent.conf
    [ "$(grep -c '^[a-z-]* = ' agent.conf)" -ge 20 ]
    # ... and each key that there is stands in it, and in the manual.
    for key in $("$TCPSAGA" agent --help | sed -n 's/^ .*--\([a-z-]*\)=.*/\1/p') to level filter queue-size; do
        [[ $key == config || $key == read ]] && continue
        grep -q "^$key = " agent.conf || fail "$key is not in agent.conf"
        grep -q "^\.It.* $key\( \|$\)" "$DIST/tcpsaga.8" || fail "$key is not in the manual"
    done
    run -0 "$TCPSAGA" agent --config agent.conf --check-config
}

@test "dist: the unit is hardened, to 2.0 at most" {
    wants systemd-analyze
    run -0 systemd-analyze security --offline=true --no-pager "$DIST/tcpsaga-agent.service"
    [[ ${lines[-1]} =~ level\ for\ tcpsaga-agent.service:\ ([0-9.]+) ]] || fail "${lines[-1]}"
    jq -en "${BASH_REMATCH[1]} <= 2.0" >/dev/null || fail "${lines[-1]}"
}

# The capabilities of the unit, and no others, on the restricted and the other kind of host.
@test "dist: the agent needs no root, only what its unit gives it" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    wants setpriv
    local caps drop line
    line=$(sed -n 's/^CapabilityBoundingSet=//p' "$DIST/tcpsaga-agent.service")
    caps=$(sed 's/CAP_/+/g; s/ /,/g; s/.*/\L&/' <<<"$line")
    drop="-all,$caps"
    set -m
    unshare -n setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps="$drop" --ambient-caps="$drop" \
        --bounding-set="$drop" --no-new-privs "$TCPSAGA" agent --metrics off --control off --state off --json -:transitions netns self \
        >out.json 2>err 3>&- &
    AGENT_PID=$!
    set +m
    until_true "its start" grep -q '"type":"start"' out.json
    grep -q 'Uid:.65534' "/proc/$AGENT_PID/status"
    nsenter --net="/proc/$AGENT_PID/ns/net" bash -c 'ip link set lo up; (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; true'
    until_true "a connection with its owner" grep -q '"type":"connection".*"comm":"bash"' out.json
    kill "$AGENT_PID"
    await_end "$AGENT_PID"
    AGENT_PID=''
    ! grep -q 'not known\|cannot be read' err || fail "$(cat err)"
}

@test "dist: systemd hands it the socket of its metrics" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    wants systemd-socket-activate
    run -2 "$TCPSAGA" agent --metrics systemd
    [[ $output == *"systemd: no socket was passed"* ]]
    cat >inside.sh <<'END'
ip link set lo up
systemd-socket-activate -l 127.0.0.1:9788 "$TCPSAGA" agent --metrics systemd --control off --state off netns self 2>err 3>&- &
agent=$!
for ((i = 0; i < 300; i++)); do
    ss -Hltn 'sport = :9788' | grep -q . && break
    sleep 0.1
done
exec 9<>/dev/tcp/127.0.0.1/9788
printf 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&9
timeout 20 cat <&9 >health
kill $agent
wait $agent
END
    TCPSAGA=$TCPSAGA timeout -k 5 60 unshare -n bash inside.sh || fail "$(cat err)"
    grep -q '"ring":{"status":"ok"' health || fail "$(cat health err)"
}

# What is asked for is what the agent has: each metric by its name.
metrics_named() { grep -o 'tcpsaga_[a-z0-9_]*' "$1" | sort -u; }

@test "dist: alerts and dashboard ask for metrics that there are" {
    local file name
    printf '%s\n' 'info hooks="state=tp_btf syn=fentry handshake=fentry accept=fentry timewait=fentry"' "stop t=1" |
        "$MKREC" >empty.saga
    "$TCPSAGA" agent --config /dev/null --metrics off --control off --json "$PWD/x.json" --textfile "$PWD/metrics" -r empty.saga
    for file in tcpsaga.rules.yml tcpsaga.dashboard.json; do
        for name in $(metrics_named "$DIST/$file"); do
            grep -q "^# TYPE $name " metrics || fail "$file: there is no $name"
        done
    done
    jq -e '.panels | length >= 8 and ([.[].id] | unique | length) == length' "$DIST/tcpsaga.dashboard.json" >/dev/null
    wants promtool
    run -0 promtool check rules "$DIST/tcpsaga.rules.yml"
    # promtool reads the panels' expressions as recording rules.
    jq '{groups: [{name: "panels", rules: [.panels[].targets[].expr | gsub("\\$instance"; ".*")
        | {record: "x:y", expr: .}] | to_entries | map(.value + {record: "x:y\(.key)"})}]}' \
        "$DIST/tcpsaga.dashboard.json" >panels.yml
    run -0 promtool check rules panels.yml
}

@test "dist: the manual has no fault, and each verb" {
    local verb
    for verb in $("$TCPSAGA" --help | sed -n '/^Examples/q; s/^  \([a-z]*\) .*/\1/p'); do
        grep -q "^\.It Cm $verb" "$DIST/tcpsaga.8" || fail "$verb is not in the manual"
    done
    wants mandoc
    run -0 mandoc -T lint -W warning "$DIST/tcpsaga.8"
}

@test "dist: the completion offers verbs, options and topics" {
    # shellcheck disable=SC2016 # the inner shell expands them
    run -0 bash -c '. "$1"; PATH=$(dirname "$2"):$PATH
        complete_at() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tcpsaga; echo "${COMPREPLY[*]}"; }
        complete_at tcpsaga tim; complete_at tcpsaga agent --rotate; complete_at tcpsaga trace -o ""' \
        bash "$DIST/tcpsaga.bash" "$TCPSAGA"
    [ "${lines[0]}" = timewait ]
    [ "${lines[1]}" = "--rotate-age --rotate-keep --rotate-size" ] || fail "$output"
    [ "${lines[2]}" = "table json" ]
}

@test "dist: the package holds what it should, and nothing of root's is writable" {
    wants dpkg-shlibdeps
    wants xz
    make -s -C "$DIST/../.." deb BUILD=build >/dev/null
    local deb
    deb=$(ls "$DIST"/../../build/tcpsaga_*.deb)
    dpkg-deb -c "$deb" >contents
    for path in usr/bin/tcpsaga usr/share/man/man8/tcpsaga.8.gz etc/tcpsaga/agent.conf \
        lib/systemd/system/tcpsaga-agent.service lib/systemd/system/tcpsaga-agent.socket \
        usr/share/bash-completion/completions/tcpsaga usr/share/doc/tcpsaga/copyright; do
        grep -q " \./$path\$" contents || fail "$path is not in it"
    done
    ! grep -v ' root/root ' contents
    ! grep '^.......[^-]*w' contents || fail "writable by others"
    dpkg-deb -x "$deb" root
    run -0 root/usr/bin/tcpsaga --version
    dpkg-deb -f "$deb" Depends | grep -q 'libbpf1.*libmicrohttpd'
    if command -v lintian >/dev/null; then
        run lintian --fail-on error "$deb"
        [ "$status" = 0 ] || fail "$output"
    fi
}

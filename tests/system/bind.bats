#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Refused bind() and listen(), seen at the system calls: on every kernel, also
# where functions cannot be hooked.

bats_require_minimum_version 1.5.0
load lib.bash

setup() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    [ -x "$TCPSAGA" ] || fail "no program to test: $TCPSAGA"
    command -v python3 >/dev/null || skip "needs python3"
    command -v jq >/dev/null || skip "needs jq"
    cd "$BATS_TEST_TMPDIR" || return
}

# watch COUNT <SCRIPT: out.json is what is told while the Python script runs, in a
# network namespace of its own, until COUNT refusals have been told.
watch() {
    cat >script.py
    cat >inside.sh <<'END'
ip link set lo up
"$TCPSAGA" trace --source live -e bind -o json --count "$1" --duration 30 netns self >out.json 2>err &
saga=$!
for ((i = 0; i < 300; i++)); do
    grep -q '"start"' out.json && break
    sleep 0.1
done
python3 script.py
wait $saga
END
    TCPSAGA=$TCPSAGA timeout -k 5 60 unshare -n bash inside.sh "$1" || fail "$(cat err)"
}

@test "each refusal is told with its call, error, address, options and process" {
    watch 5 <<'END'
import socket

def refused(call, *address):
    try:
        call(*address)
    except OSError:
        return
    raise SystemExit("not refused")

def tcp(family=socket.AF_INET, option=None):
    made = socket.socket(family)
    if option:
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    return made

listener = socket.create_server(("127.0.0.1", 8080))
refused(tcp().bind, ("0.0.0.0", 8080))
refused(tcp(socket.AF_INET6, socket.SO_REUSEPORT).bind, ("::", 8080))
refused(tcp().bind, ("10.9.9.9", 8081))
holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
holder.bind(("127.0.0.1", 5353))
refused(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind, ("127.0.0.1", 5353))
one, two = tcp(option=socket.SO_REUSEADDR), tcp(option=socket.SO_REUSEADDR)
one.bind(("127.0.0.1", 9090))
two.bind(("127.0.0.1", 9090))
one.listen()
refused(two.listen)
# What succeeds, and what fails for another reason, is not told.
tcp().bind(("127.0.0.1", 0))
refused(one.bind, ("127.0.0.1", 9091))
END
    run jq -r 'select(.type == "bind") | "\(.call) \(.proto) \(.local.addr) \(.local.port) \(.error)" +
        " \(.reuseaddr) \(.reuseport) \(.process.comm)"' out.json
    [ "$output" = "bind tcp 0.0.0.0 8080 EADDRINUSE false false python3
bind tcp :: 8080 EADDRINUSE false true python3
bind tcp 10.9.9.9 8081 EADDRNOTAVAIL false false python3
bind udp 127.0.0.1 5353 EADDRINUSE false false python3
listen tcp 127.0.0.1 9090 EADDRINUSE true false python3" ] || fail "$output"
}

@test "the books add up, also when records are dropped" {
    cat >inside.sh <<'END'
ip link set lo up
"$TCPSAGA" trace -e bind -o json --simulate-loss 50% netns self >out.json 2>err &
saga=$!
for ((i = 0; i < 300; i++)); do
    grep -q '"start"' out.json && break
    sleep 0.1
done
python3 - <<'PYTHON'
import socket
holder = socket.create_server(("127.0.0.1", 8080))
for _ in range(200):
    try:
        socket.socket().bind(("127.0.0.1", 8080))
    except OSError:
        pass
PYTHON
kill -INT $saga
wait $saga
END
    TCPSAGA=$TCPSAGA timeout -k 5 60 unshare -n bash inside.sh || fail "$(cat err)"
    run jq -c 'select(.type == "stop") | .ledger | .attempted >= 200 and .lost.simulated > 0 and
        .attempted == .delivered + ([.lost[]] | add)' out.json
    [ "$output" = true ] || fail "$(tail -n 1 out.json)"
}

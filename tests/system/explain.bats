#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# tcpsaga explain: every topic is told, by any of its names, with the numbers of
# this kernel; what is no topic gets one line. Needs no privilege.

bats_require_minimum_version 1.5.0
load lib.bash

setup() {
    [ -x "$TCPSAGA" ] || fail "no program to test: $TCPSAGA"
}

explain() { run --separate-stderr timeout -k 5 20 "$TCPSAGA" explain "$@"; }

# words: the text in one line, so that its line breaks do not matter
words() { tr '\n' ' ' <<<"$output"; }

@test "without a topic the topics are listed, and each of them is told whole" {
    explain
    [ "$status" = 0 ] || fail "status $status: $stderr"
    for topic in handshake queues teardown states LISTEN SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT1 \
        FIN_WAIT2 CLOSE_WAIT LAST_ACK CLOSING TIME_WAIT port-reuse tcp-udp-port; do
        grep -q "^$topic " <<<"$output" || fail "no $topic in: $output"
    done
    topics=$(cut -d' ' -f1 <<<"$output")
    for topic in $topics; do
        explain "$topic"
        [ "$status" = 0 ] || fail "$topic: status $status: $stderr"
        [[ ${lines[0]} == "$topic: "* ]] || fail "$topic begins with: ${lines[0]}"
        [[ $output != *[{}]* ]] || fail "$topic: a number is not filled in: $output"
        [ -z "$(awk 'length > 80' <<<"$output")" ] || fail "$topic: lines too long: $output"
    done
}

@test "a topic is found by its other names, in any case" {
    for name in time_wait Time-Wait 'time wait' TW tcp_tw_reuse; do
        explain "$name"
        [[ ${lines[0]} == "TIME_WAIT: "* ]] || fail "$name: $output$stderr"
    done
    explain Backlog
    [[ ${lines[0]} == "queues: "* ]] || fail "Backlog: $output$stderr"
}

@test "what is no topic gets one line and status 2" {
    explain TIME_WIAT
    [ "$status" = 2 ] || fail "status $status"
    [ "$stderr" = 'tcpsaga: explain: unknown topic "TIME_WIAT": did you mean TIME_WAIT?' ] || fail "$stderr"
    explain cheese
    [ "$status" = 2 ] || fail "status $status"
    [ "$stderr" = 'tcpsaga: explain: unknown topic "cheese": tcpsaga explain lists them' ] || fail "$stderr"
    explain LISTEN CLOSING
    [ "$status" = 2 ] || fail "status $status"
    [ -z "$output" ] || fail "$output"
}

@test "settings are those of this namespace" {
    explain queues
    [[ $(words) == *"net.core.somaxconn (here $(cat /proc/sys/net/core/somaxconn))"* ]] || fail "$output"
    explain FIN_WAIT2
    [[ $(words) == *"(here $(cat /proc/sys/net/ipv4/tcp_fin_timeout) s)"* ]] || fail "$output"
}

@test "sockets are counted" {
    command -v python3 >/dev/null || skip "needs python3"
    [ "$(id -u)" = 0 ] || skip "needs root"
    # In a namespace of its own: one listener, one connection of two ends.
    output=$(timeout -k 5 30 unshare -n bash -c '
        ip link set lo up
        "$1" - "$0" <<"END"
import socket, subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
sys.exit(subprocess.call([sys.argv[1], "explain", "states"]))
END' "$TCPSAGA" python3) || fail "$output"
    [[ $(words) == *"waits for connections. Now 1."* ]] || fail "$output"
    [[ $(words) == *"both may send. Now 2."* ]] || fail "$output"
}

@test "in JSON: topics and explanations are as the schema says, with the numbers that were filled in" {
    local topics topic
    "$TCPSAGA" explain -o json >"$BATS_TEST_TMPDIR/lines"
    topics=$(jq -r .topic "$BATS_TEST_TMPDIR/lines")
    [ "$topics" = "$("$TCPSAGA" explain | cut -d' ' -f1)" ]
    for topic in $topics; do
        "$TCPSAGA" explain -o json "$topic" >>"$BATS_TEST_TMPDIR/lines"
    done
    "$TCPSAGA" schema >"$BATS_TEST_TMPDIR/schema"
    /usr/bin/python3 "$HERE/../replay/validate.py" "$BATS_TEST_TMPDIR/schema" <"$BATS_TEST_TMPDIR/lines"
    explain -o json TIME_WAIT
    jq -e --argjson buckets "$(</proc/sys/net/ipv4/tcp_max_tw_buckets)" \
        '.numbers | .tcp_max_tw_buckets == $buckets and .TIME_WAIT >= 0 and .ports > 0' <<<"$output"
    explain -o yaml TIME_WAIT
    [ "$status" = 2 ] && [[ $stderr == *'table or json, not "yaml"'* ]]
}

#!/usr/bin/env bats
# flows: every connection of every scenario as one exact life.

load lib.bash

setup() { common_setup; }
teardown() { common_teardown; }

@test "flows: client closes first" { check flows client-first; }
@test "flows: server closes first" { check flows server-first; }
@test "flows: bound client" { check flows client-first --client-port 5555; }
@test "flows: no bytes at all" { check flows client-first --send 0 --reply 0; }
@test "flows: a megabyte each way" {
    check flows client-first --send 1048576 --reply 1048577
}
@test "flows: simultaneous close" { check flows simultaneous-close; }
@test "flows: simultaneous close over IPv6" {
    check flows simultaneous-close --via ipv6
}
@test "flows: half close" { check flows half-close; }
@test "flows: shutdown of both directions" { check flows shutdown-both; }

@test "flows: IPv6" { check flows ipv6; }
@test "flows: IPv4 client, dual-stack listener" { check flows v4-mapped; }
@test "flows: IPv6 socket to an IPv4 listener" { check flows v6socket-to-v4; }
@test "flows: IPv6 socket to IPv4 at a dual-stack listener" {
    check flows server-first --via v6socket-to-dual
}

@test "flows: self-connect" { check flows self-connect; }
@test "flows: simultaneous open" { check flows simultaneous-open; }
@test "flows: simultaneous open over IPv6" {
    check flows simultaneous-open --via ipv6
}

@test "flows: refused" { check flows refused; }
@test "flows: refused over IPv6" { check flows refused --via ipv6; }
@test "flows: connect timed out" {
    set_sysctl tcp_syn_retries 1
    check flows timeout
}
@test "flows: host unreachable" { check flows unreachable; }
@test "flows: pending connect cancelled" { check flows cancelled; }
@test "flows: no local port left" {
    set_sysctl ip_local_port_range "40000 40003"
    check flows no-port
}

@test "flows: reset by the client" { check flows reset --by client; }
@test "flows: reset by the server" { check flows reset --by server; }
@test "flows: reset by unread data" { check flows reset --by unread; }
@test "flows: reset over IPv6" { check flows reset --by client --via ipv6; }
@test "flows: reset after FIN" { check flows fin-then-reset; }
@test "flows: write to a closed peer" { check flows broken-pipe; }
@test "flows: listener closed over unaccepted children" {
    check flows listener-closed --count 5
}
@test "flows: AF_UNSPEC, then the socket's second life" { check flows unspec; }
@test "flows: second life on the same five-tuple" {
    check flows unspec --client-port 5555
}
@test "flows: ss -K" { check_killed flows; }

@test "flows: accepted and closed by a child process" {
    check flows accept-in-child
}
@test "flows: closed by the process that inherited it" { check flows handover; }
@test "flows: hostile process name" {
    NAME=$'\e[31m\n"\\\t'
    check flows named --name "$NAME"
}
@test "flows: process name that looks like JSON" {
    NAME='"},"v":2,"x":"'
    check flows named --name "$NAME"
}

@test "flows: lost data is counted once as bytes, and as retransmission" {
    check flows retransmit
    jq -e -n '[inputs | select(.role == "client" and .type == "connection")]
        | .[0].retransmits >= 1' "$WORK/saga.json"
}

# Nothing of a failed listen() or of another protocol is a connection. The
# connection that follows shows that tcpsaga was awake.
nothing_then_one() { # SCENARIO
    ROWS=$(expected_rows client-first)
    watch flows
    traffic_inside "$1"
    traffic_inside client-first
    finish_and_compare lives connection
}

@test "flows: a failed listen() is no connection" {
    nothing_then_one failed-listen
}
@test "flows: SCTP is no TCP connection" { nothing_then_one sctp; }
@test "flows: MPTCP" { check flows mptcp; }

@test "flows: another namespace is not told" {
    check_beside_another flows
}

#!/usr/bin/env bats
# trace: the exact sequence of transitions of every socket of every scenario.

load lib.bash

setup() { common_setup; }
teardown() { common_teardown; }

@test "trace: client closes first" { check trace client-first; }
@test "trace: server closes first" { check trace server-first; }
@test "trace: bound client" { check trace client-first --client-port 5555; }
@test "trace: simultaneous close" { check trace simultaneous-close; }
@test "trace: half close" { check trace half-close; }

# The kernel fires FIN_WAIT2>FIN_WAIT2 at close() after shutdown()
# (tcp_close_state()): no change of state, so no transition.
@test "trace: shutdown of both directions" { check trace shutdown-both; }

@test "trace: IPv6" { check trace ipv6; }
@test "trace: IPv4 client, dual-stack listener" { check trace v4-mapped; }
@test "trace: IPv6 socket to an IPv4 listener" { check trace v6socket-to-v4; }

@test "trace: self-connect" { check trace self-connect; }
@test "trace: simultaneous open" { check trace simultaneous-open; }

@test "trace: refused" { check trace refused; }
@test "trace: connect timed out" {
    set_sysctl tcp_syn_retries 1
    check trace timeout
}
@test "trace: host unreachable" { check trace unreachable; }
@test "trace: pending connect cancelled" { check trace cancelled; }
@test "trace: no local port left" {
    set_sysctl ip_local_port_range "40000 40003"
    check trace no-port
}

@test "trace: reset by the client" { check trace reset --by client; }
@test "trace: reset by the server" { check trace reset --by server; }
@test "trace: reset by unread data" { check trace reset --by unread; }
@test "trace: reset after FIN" { check trace fin-then-reset; }
@test "trace: write to a closed peer" { check trace broken-pipe; }
@test "trace: listener closed over unaccepted children" {
    check trace listener-closed --count 5
}

# An unbound socket still shows its old port when it connects again, and then
# gets another: at CLOSE>SYN_SENT its local port is not known.
@test "trace: AF_UNSPEC, then the socket's second life" { check trace unspec; }
@test "trace: second life on the same five-tuple" {
    check trace unspec --client-port 5555
}
@test "trace: ss -K" { check_killed trace; }
@test "trace: failed listen()" { check trace failed-listen; }

@test "trace: accepted and closed by a child process" {
    check trace accept-in-child
}
@test "trace: closed by the process that inherited it" { check trace handover; }
@test "trace: hostile process name" {
    NAME=$'\e[31m\n"\\\t'
    check trace named --name "$NAME"
}

# Only its TCP subflows are told: not the MPTCP sockets above them, nor that the
# kernel takes a subflow from FIN_WAIT1 to FIN_WAIT1, in a worker's context.
@test "trace: MPTCP" {
    check trace mptcp
    jq -e -n '[inputs | select(.type == "transition") | .mptcp] | unique == [true]' \
        "$WORK/saga.json"
}

# The same five-tuple in another namespace is another connection.
@test "trace: another namespace is not told" {
    check_beside_another trace
}

#!/usr/bin/env bats
# Every connection of every scenario as one exact life (flows), and the exact
# sequence of transitions of every socket (trace).

load lib.bash
load scenarios.bash

setup_file() { start_shared; }
teardown_file() { end_shared; }
setup() { scenario_setup; }
teardown() { scenario_teardown; }

@test "client closes first" { check client-first; }
@test "server closes first" { check server-first; }
@test "bound client" { check client-first --client-port 5555; }
@test "no bytes at all" { check client-first --send 0 --reply 0; }
@test "a megabyte each way" {
    check client-first --send 1048576 --reply 1048577
}
@test "simultaneous close" { check simultaneous-close; }
@test "simultaneous close over IPv6" { check simultaneous-close --via ipv6; }
@test "half close" { check half-close; }

# The kernel fires FIN_WAIT2>FIN_WAIT2 at close() after shutdown()
# (tcp_close_state()): no change of state, so no transition.
@test "shutdown of both directions" { check shutdown-both; }

@test "IPv6" { check ipv6; }
@test "IPv4 client, dual-stack listener" { check v4-mapped; }
@test "IPv6 socket to an IPv4 listener" { check v6socket-to-v4; }
@test "IPv6 socket to IPv4 at a dual-stack listener" {
    check server-first --via v6socket-to-dual
}

@test "self-connect" { check self-connect; }
@test "simultaneous open" { check simultaneous-open; }
@test "simultaneous open over IPv6" { check simultaneous-open --via ipv6; }

@test "refused" { check refused; }
@test "refused over IPv6" { check refused --via ipv6; }
@test "connect timed out" {
    set_sysctl tcp_syn_retries 1
    check timeout
}
@test "host unreachable" { check unreachable; }
@test "pending connect cancelled" { check cancelled; }
@test "no local port left" {
    set_sysctl ip_local_port_range "40000 40003"
    check no-port
}

@test "reset by the client" { check reset --by client; }
@test "reset by the server" { check reset --by server; }
@test "reset by unread data" { check reset --by unread; }
@test "reset over IPv6" { check reset --by client --via ipv6; }
@test "reset after FIN" { check fin-then-reset; }
@test "write to a closed peer" { check broken-pipe; }
@test "listener closed over unaccepted children" {
    check listener-closed --count 5
}

# An unbound socket still shows its old port when it connects again, and then
# gets another: at CLOSE>SYN_SENT its local port is not known.
@test "AF_UNSPEC, then the socket's second life" { check unspec; }
@test "second life on the same five-tuple" { check unspec --client-port 5555; }
@test "ss -K" { check_killed; }

@test "accepted and closed by a child process" { check accept-in-child; }
# Without accept() the first that is known of the connection is who closes it;
# where accept() is seen it belongs to the process that called it.
@test "closed by the process that inherited it" {
    check_handover
}
@test "hostile process name" {
    NAME=$'\e[31m\n"\\\t'
    check named --name "$NAME"
}
@test "process name that looks like JSON" {
    NAME='"},"v":2,"x":"'
    check named --name "$NAME"
}

@test "lost data is counted once as bytes, and as retransmission" {
    check retransmit
    jq -e -n '[inputs | select(.role == "client" and .type == "connection")]
        | .[0].retransmits >= 1' "$WORK/flows.json"
}

@test "failed listen()" { check_no_connection failed-listen; }
@test "SCTP is no TCP connection" { check_no_connection sctp; }

# Only its TCP subflows are told: not the MPTCP sockets above them, nor that the
# kernel takes a subflow from FIN_WAIT1 to FIN_WAIT1, in a worker's context.
@test "MPTCP" {
    check mptcp
    jq -e -n '[inputs | select(.type == "transition") | .mptcp] | unique == [true]' \
        "$WORK/trace.json"
}

# The same five-tuple in another namespace is another connection.
@test "another namespace is not told" { check_beside_another; }

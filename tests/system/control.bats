#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The control socket: every looking verb is served from one agent, whoever comes late
# sees what somebody sees who was there, and nobody who stalls, babbles or dies costs
# the others anything.

bats_require_minimum_version 1.5.0
load lib.bash
load agent.bash

GROUP=4242 # of no name

setup() {
    common_setup
    set_sysctl tcp_max_tw_buckets 100000
    COUNT=${TCPSAGA_VM:+200}
    COUNT=${COUNT:-5000}
    # Where somebody without privileges can go.
    DOOR=$(mktemp -d /tmp/saga-XXXXXX)
    chgrp "$GROUP" "$DOOR"
    chmod 750 "$DOOR"
    SOCKET=$DOOR/control.sock LOOKERS=()
}

teardown() {
    local pid
    for pid in "${LOOKERS[@]}"; do
        kill -CONT "$pid" 2>/dev/null || true
        end_process "$pid"
    done
    common_teardown
    rm -rf "$DOOR"
}

serve() { agent --control "$SOCKET" "$@"; }

# look FILE VERB [WORD...]: a client in the background, $LOOKER.
look() {
    launch "$WORK/$1" "$2" --source "agent:$SOCKET" "${@:3}"
    LOOKER=$LAUNCHED
    LOOKERS+=("$LOOKER")
    await_start "$LOOKER" "$WORK/$1"
}

# The start line comes before what is known.
end_look() { # PID
    kill -INT "$1"
    await_end "$1"
}

served() { # COUNT
    : >"$WORK/saga.err"
    kill -USR1 "$SAGA_PID"
    until_true "the counters" grep -q ' served now' "$WORK/saga.err"
    grep -q ": $1 served now" "$WORK/saga.err"
}

ask() { run --separate-stderr timeout -k 5 30 "$TCPSAGA" "$@" --source "agent:$SOCKET"; }

as_member() { setpriv --reuid 65534 --regid 65534 --groups "$GROUP" "$@"; }

# ---- who is served -----------------------------------------------------------

@test "control: every looking verb, for root and for an unprivileged member of the group" {
    local verb who
    serve
    traffic_inside load --connections 50 --rate 500 --close client --sources 4
    until_true "the connections" metric_is "$CLIENTS" 50
    for who in '' as_member; do
        for verb in 'flows --once' 'queues --once' 'timewait --once' 'trace --duration 0.3' \
            'diagnose --duration 1' 'record - --duration 0.3'; do
            # shellcheck disable=SC2086 # words
            run --separate-stderr $who timeout -k 5 30 "$TCPSAGA" $verb --source "agent:$SOCKET"
            [ "$status" = 0 ] || fail "$who $verb: status $status: $stderr"
            [[ ${stderr_lines[0]} = "tcpsaga: reading from the agent at $SOCKET, which watches kernel $KERNEL" ]]
            # diagnose says between them which rules want hooks.
            [[ $stderr = *$'\n'"tcpsaga: the agent watches only what its own filter lets pass"* ]]
        done
    done
    ask timewait --once -o json
    jq -es 'any(.[]; .type == "timewait_group" and .count == 50 and .process.comm == "traffic")' <<<"$output"
    jq -es '.[0].source == "agent" and .[-1].ledger.attempted == .[-1].ledger.delivered' <<<"$output"
    ask queues --once -o json
    jq -es 'any(.[]; .type == "queue" and .accepted == 50)' <<<"$output"
    end_agent
}

@test "control: for others it is closed, and says so in one line" {
    local stranger=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    serve
    run -3 --separate-stderr "${stranger[@]}" "$TCPSAGA" flows --once --source "agent:$SOCKET"
    [ "${#stderr_lines[@]}" = 1 ]
    [[ $stderr = *"is not for this user: it is for root and the group"* ]]
    # Not only the file system says no.
    chmod 755 "$DOOR"
    chmod 666 "$SOCKET"
    run -3 --separate-stderr "${stranger[@]}" "$TCPSAGA" flows --once --source "agent:$SOCKET"
    [ "${#stderr_lines[@]}" = 1 ]
    served 0
    end_agent
    run -1 --separate-stderr "$TCPSAGA" flows --once --source "agent:$SOCKET"
    [[ $stderr = "tcpsaga: no agent listens at $SOCKET: start one"* ]]
}

@test "control: one socket, one agent; what a dead one left is in nobody's way" {
    serve
    run -1 --separate-stderr "$TCPSAGA" agent --metrics off --state off --control "$SOCKET"
    [ "$stderr" = "tcpsaga: agent: --control: $SOCKET is served by another agent" ]
    kill -KILL "$SAGA_PID"
    until_true "its death" is_gone "$SAGA_PID"
    [ -S "$SOCKET" ]
    serve
    ask flows --once
    [ "$status" = 0 ]
    end_agent
}

@test "control: sixteen at once, the next is told why not" {
    local i
    serve
    for ((i = 0; i < 16; i++)); do
        look "looker$i" trace
    done
    served 16
    ask trace --duration 1
    [ "$status" = 1 ]
    [ "$stderr" = "tcpsaga: the agent at $SOCKET cannot be asked: it serves as many as it can (16) already" ]
    traffic_inside load --connections 20 --rate 500 --close client --sources 4
    until_true "the connections" metric_is "$CLIENTS" 20
    for ((i = 0; i < 16; i++)); do
        end_look "${LOOKERS[i]}"
        [ "$(grep -c '"new":"SYN_SENT"' "$WORK/looker$i.json")" = 20 ]
        balances "$WORK/looker$i.json"
    done
    served 0
    end_agent
}

# told FILE: who holds the port, without what is measured from the moment of the look; the
# start of a process is known to a hundredth, and each program has its own idea of where
# the clock of the boot stands on that of the wall.
told() {
    jq -cS 'select(.type == "port_holder") | del(.ts) | if .expires_in_s then del(.expires_in_s, .since) else . end
        | if .process then .process.started |= .[:21] else . end' "$1" | sort
}

@test "control: port tells the same holders as a look of its own, to an unprivileged member, too" {
    local holder=${HOLDER:-$TOP/build/tests/holder} kind
    serve
    for kind in listening children udp; do
        mkfifo "$WORK/$kind.in"
        ip netns exec "$NETNS" "$holder" hold "$kind" v4-address 1 <"$WORK/$kind.in" >"$WORK/$kind.port" 3>&- &
        LOOKERS+=($!)
        exec {door}>"$WORK/$kind.in"
        until_true "the holder" test -s "$WORK/$kind.port"
        "$TCPSAGA" port "$(<"$WORK/$kind.port")" -o json --source live >"$WORK/live.json"
        as_member "$TCPSAGA" port "$(<"$WORK/$kind.port")" -o json --source "agent:$SOCKET" >"$WORK/agent.json"
        told "$WORK/live.json" >"$WORK/live.told"
        told "$WORK/agent.json" >"$WORK/agent.told"
        [ -s "$WORK/live.told" ]
        diff "$WORK/live.told" "$WORK/agent.told"
        jq -es 'any(.[]; .type == "port_holder" and .process.comm == "holder")' "$WORK/agent.json"
        exec {door}>&-
    done
    # Version 2, no port; it is let go without a word.
    if [ -z "${TCPSAGA_VM:-}" ]; then
        run -0 /usr/bin/python3 -c '
import socket, struct, sys
for version, wants, netns, port, rest in ((2, 8, 0, 0, 0), (2, 8, 0, 80, 1), (1, 8, 0, 80, 0), (1, 1, 0, 80, 0), (2, 8, 0, 80, None)):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(sys.argv[1])
    s.send(b"\x89tsaga?\n" + struct.pack("<HHIIHB9x", version, 32, wants, netns, port, rest or 0))
    print(len(s.recv(256)))' "$SOCKET"
        [ "${lines[*]}" = "0 0 0 0 256" ] || fail "$output"
    fi
    run -1 --separate-stderr "$TCPSAGA" port 9 --source "agent:$DOOR/none"
    [[ $stderr = "tcpsaga: no agent listens at $DOOR/none: start one"* ]]
    end_agent
}

# ---- what they see -----------------------------------------------------------

# lives FILE: connections that ended, one a line, in an order of their own.
lives() { jq -cS 'select(.type == "connection" and .end != null)' "$1" | sort; }

# open_lives NAME: as they stand when the client ends; its own time is not theirs.
open_lives() {
    jq -cS 'select(.type == "connection" and .end == null) | del(.ts)' "$WORK/$1.json" | sort >"$WORK/$1.open"
}

@test "control: who comes late tells the same connections as who was there" {
    local early late
    serve --set timewait-storm-client.share=1000
    look early flows
    early=$LOOKER
    inside "$TRAFFIC" load --connections $((COUNT / 2)) --rate 1000 --close client --sources 4 \
        >"$WORK/traffic.json" 3>&- &
    TRAFFIC_PID=$!
    until_true "some of them" metric_least "$CLIENTS" $((COUNT / 4))
    look late flows
    late=$LOOKER
    wait "$TRAFFIC_PID"
    TRAFFIC_PID=''
    traffic_inside load --connections $((COUNT / 2)) --rate 1000 --close client --sources 4
    until_true "all of them" metric_is "$CLIENTS" "$COUNT"
    end_look "$early"
    end_look "$late"
    lives "$WORK/early.json" >"$WORK/early.lives"
    lives "$WORK/late.json" >"$WORK/late.lives"
    # The server of each that began when it was there; clients wait for their minute.
    [ "$(wc -l <"$WORK/late.lives")" -ge $((COUNT / 2)) ] || fail "the late one has told $(wc -l <"$WORK/late.lives")"
    # Whatever the late one told, the early one told in the same words.
    comm -13 "$WORK/early.lives" "$WORK/late.lives" >"$WORK/different"
    [ ! -s "$WORK/different" ] || fail "told otherwise:" "$(head -n 2 "$WORK/different")"
    [ "$(grep -c '"incomplete":true' "$WORK/late.lives")" = 0 ]
    # What is still there when both end is the same, too.
    open_lives early
    open_lives late
    diff "$WORK/early.open" "$WORK/late.open" >"$WORK/different" ||
        fail "$(wc -l <"$WORK/early.open") and $(wc -l <"$WORK/late.open") are there:" "$(head -n 4 "$WORK/different")"
    balances "$WORK/early.json"
    balances "$WORK/late.json"
    end_agent
}

@test "control: what was known before is no event: trace and diagnose say nothing of it" {
    serve
    inside bash -c 'for ((i = 0; i < 40; i++)); do (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; done; true'
    until_true "the finding" metric_is 'tcpsaga_findings{rule="connect-refused"}' 1
    until_true "its end" metric_is 'tcpsaga_findings{rule="connect-refused"}' 0
    ask trace -o json --duration 1
    [ "$(jq -r .type <<<"$output" | paste -sd' ')" = "start stop" ]
    ask diagnose -o json --duration 2
    [ "$status" = 0 ] || fail "status $status: $output"
    ask flows -o json --once
    [ "$(jq -r 'select(.type == "connection")' <<<"$output")" = "" ]
    end_agent
}

@test "control: a recording of what an agent tells is read like any other" {
    serve
    traffic_inside load --connections 30 --rate 500 --close client --sources 4
    until_true "the connections" metric_is "$CLIENTS" 30
    launch "$WORK/recorder" record "$WORK/kept.saga" --source "agent:$SOCKET" --print
    LOOKERS+=("$LAUNCHED")
    await_start "$LAUNCHED" "$WORK/recorder"
    until_true "that it is served" served 1
    traffic_inside load --connections 30 --rate 500 --close client --sources 4
    until_true "more connections" metric_is "$CLIENTS" 60
    end_look "$LAUNCHED"
    run -0 --separate-stderr "$TCPSAGA" trace -r "$WORK/kept.saga" -o json
    [ "$(grep -c '"new":"SYN_SENT"' <<<"$output")" = 30 ]
    run -0 --separate-stderr "$TCPSAGA" timewait -r "$WORK/kept.saga" -o json
    jq -es '[.[] | select(.type == "timewait_group").count] | add == 60' <<<"$output" || fail "$(jq -c 'select(.type == "timewait_group") | {count,role,process}' <<<"$output")"
    end_agent
}

@test "control: auto takes the agent when it answers, live when an option wants a capture of its own" {
    local line='tcpsaga: watching the live kernel'
    [ ! -S /run/tcpsaga/control.sock ] || skip "an agent serves this host"
    run -0 --separate-stderr "$TCPSAGA" trace --duration 0.1 netns "/run/netns/$NETNS"
    [[ $stderr = "$line"* ]]
    # In a mount namespace of its own the usual place is this test's.
    run -0 --separate-stderr unshare -m bash -c '
        mount -t tmpfs none /run
        "$1" agent --metrics off netns "$2" 2>"$3/auto.err" 3>&- &
        until grep -q "looking verbs are served" "$3/auto.err"; do sleep 0.05; done
        "$1" trace --duration 0.1 && "$1" trace --duration 0.1 --ring-size 1M netns "$2"
        kill $!' _ "$TCPSAGA" "$INODE" "$WORK"
    [[ $stderr = *"reading from the agent at /run/tcpsaga/control.sock"*"$line"* ]]
}

# ---- who costs nobody else anything ------------------------------------------

@test "control: a stopped client loses what it does not take, is told exactly how much, and nobody else anything" {
    local stopped other size=${TCPSAGA_VM:+2000}
    serve --json "$WORK/out.json"
    look stopped trace
    stopped=$LOOKER
    look other trace
    other=$LOOKER
    served 2
    kill -STOP "$stopped"
    COUNT=${size:-6000} # a thousand bytes each: more than its queue
    play
    await_all
    kill -CONT "$stopped"
    end_look "$other"
    end_look "$stopped"
    [ "$(grep -c '"new":"SYN_SENT"' "$WORK/other.json")" = "$COUNT" ]
    balances "$WORK/other.json"
    balances "$WORK/stopped.json"
    jq -e 'select(.type == "stop").ledger.lost == {}' "$WORK/other.json"
    jq -es '(.[-1].ledger.lost.queue_full // 0) == ([.[] | select(.type == "loss").count] | add // 0)' \
        "$WORK/stopped.json" || fail "told otherwise: $(tail -n 1 "$WORK/stopped.json")"
    [ -n "${TCPSAGA_VM:-}" ] || jq -e 'select(.type == "stop").ledger.lost.queue_full > 0' "$WORK/stopped.json"
    end_agent
    each_once "$WORK/out.json"
    balances "$WORK/out.json"
}

@test "control: a thousand idle and garbage connections cost 10 MiB at most, and no event" {
    [ -z "${TCPSAGA_VM:-}" ] || skip "no python3 in the virtual machine"
    local before after
    serve --json "$WORK/out.json"
    before=$(metric tcpsaga_process_resident_memory_bytes)
    /usr/bin/python3 - "$SOCKET" >"$WORK/crowd" 3>&- <<'END' &
import os, socket, sys, time
held = []
for i in range(1000):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.setblocking(False)
    try:
        if i % 2:
            s.send(os.urandom(1 + i))
    except OSError:
        pass
    held.append(s)
print("there", flush=True)
time.sleep(60)
END
    LOOKERS+=($!)
    until_true "the crowd" grep -q there "$WORK/crowd"
    COUNT=2000
    play
    await_all
    look late trace --duration 1
    after=$(metric tcpsaga_process_resident_memory_bytes)
    until_true "the end of tcpsaga" is_gone "$LOOKER"
    [ "$(tail -n 1 "$WORK/late.json" | jq -r .type)" = stop ]
    # Lives and sinks' queues are in it, too.
    [ $((${after%.*} - ${before%.*})) -le $((10 << 20)) ] || fail "from $before to $after bytes"
    until_true "that all have been sent home" gone_home
    end_agent
    each_once "$WORK/out.json"
}

# Guests are let go: only the agent's own descriptors stay.
gone_home() { [ "$(find "/proc/$SAGA_PID/fd" -lname 'socket:*' | wc -l)" -le 6 ]; }

@test "control: an agent that ends or dies under its clients: they say so, and end with what they have" {
    local how
    for how in TERM KILL; do
        serve
        look "$how" trace
        served 1
        traffic_inside load --connections 20 --rate 500 --close client --sources 4
        until_true "the connections" has_births "$how" 20
        kill "-$how" "$SAGA_PID"
        wait "$SAGA_PID" || true
        SAGA_PID=''
        until_true "the client's end" is_gone "$LOOKER"
        run wait "$LOOKER"
        [ "$status" = 1 ] || fail "$how: status $status"
        [ "$(tail -n 1 "$WORK/$how.json" | jq -r .type)" = stop ]
    done
    tail -n 1 "$WORK/TERM.err" | grep -q "the agent at $SOCKET has ended"
    balances "$WORK/TERM.json"
    tail -n 1 "$WORK/KILL.err" | grep -q "the agent at $SOCKET went away"
}

has_births() { [ "$(grep -c '"new":"SYN_SENT"' "$WORK/$1.json")" = "$2" ]; }

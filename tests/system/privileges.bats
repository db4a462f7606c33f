#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What the agent is once it runs: nobody, without a capability, in every thread;
# and what it still knows all the same, from the processes that read the
# kernel's tables for it.
#
#   HOLDER  the maker of listeners (default: build/tests/holder, top of the tree)

bats_require_minimum_version 1.5.0
load lib.bash
load agent.bash

HOLDER=${HOLDER:-$TOP/build/tests/holder}
USER_NAME=nobody

setup() {
    HOLD_PID='' PEER_PID=''
    common_setup
    # Anyone may pass; bats's own directories are root's alone.
    OPEN=$(mktemp -d /tmp/saga-XXXXXX)
    chmod 755 "$OPEN"
}

teardown() {
    local pid
    for pid in "$HOLD_PID" "$PEER_PID"; do end_process "$pid"; done
    rm -rf "$OPEN"
    common_teardown
}

# ---- the agent ---------------------------------------------------------------

# sums_to PATTERN VALUE: of the series that match.
sums_to() { [ "$(body /metrics | grep -E "$1" | awk '{ sum += $2 } END { print sum + 0 }')" = "$2" ]; }

readers() { pgrep -P "$SAGA_PID"; }
no_readers() { ! readers >/dev/null; }

# of PID KEY: of each of its threads, each value once.
of() { sed -n "s/^$2:[[:space:]]*//p" /proc/"$1"/task/*/status | sort -u; }

nothing_left() { # PID
    local key
    for key in CapInh CapPrm CapEff CapAmb CapBnd; do
        [ "$(of "$1" $key)" = 0000000000000000 ] || fail "$key: $(of "$1" $key)"
    done
    [ "$(of "$1" NoNewPrivs)" = 1 ] || fail "no_new_privs: $(of "$1" NoNewPrivs)"
    [ "$(of "$1" Seccomp)" = 2 ] || fail "seccomp: $(of "$1" Seccomp)"
}

# ---- what there is to know -----------------------------------------------------

has_port() { [ -s "$WORK/port" ] || is_gone "$HOLD_PID"; }

# hold NETNS: a process that listens, and accepts nothing, on $HELD.
hold() {
    mkfifo "$WORK/hold.in"
    ip netns exec "$1" "$HOLDER" hold listening v4-address 0 <"$WORK/hold.in" >"$WORK/port" 2>"$WORK/hold.err" 3>&- &
    HOLD_PID=$!
    exec 4>"$WORK/hold.in"
    until_true "the listener" has_port
    HELD=$(<"$WORK/port")
    [ -n "$HELD" ] || fail "$(cat "$WORK/hold.err")"
}

# wait_for_accept NETNS: a connection that nobody accepts, until PEER_PID ends.
wait_for_accept() {
    ip netns exec "$1" bash -c 'exec 3<>/dev/tcp/127.0.0.1/'"$HELD"' && echo done && exec cat <&3' \
        >"$WORK/peer" 3>&- &
    PEER_PID=$!
    until_true "a connection" [ -s "$WORK/peer" ]
}

# Other bind()s of this host are refused meanwhile, and looked at one by one: once
# more until this one's turn has come.
refused_by_holder() { # NETNS INODE
    ip netns exec "$1" busybox nc -l -p "$HELD" 2>/dev/null && fail "two listen on one port"
    jq -es --argjson port "$HELD" --argjson pid "$HOLD_PID" --argjson netns "$2" 'any(.[];
        .id == "bind-conflict" and .netns == $netns and .local.port == $port
        and .evidence.holder_pid == $pid and .evidence.holder_state == "LISTEN")' "$OPEN/out.json" >/dev/null
}

# ---- tests -----------------------------------------------------------------------

@test "privileges: no thread has any, nor will; each reader has three and nothing else" {
    local reader
    agent --user "$USER_NAME" --json "$OPEN/out.json" --json -:transitions
    grep -q " as user $USER_NAME" "$WORK/saga.err"
    [ "$(find "/proc/$SAGA_PID/task" -mindepth 1 -maxdepth 1 | wc -l)" -ge 3 ]
    nothing_left "$SAGA_PID"
    [ "$(of "$SAGA_PID" Uid | xargs -n 1 | sort -u)" = "$(id -u "$USER_NAME")" ]
    [ "$(of "$SAGA_PID" Gid | xargs -n 1 | sort -u)" = "$(id -g "$USER_NAME")" ]
    [ "$(readers | wc -l)" = 2 ]
    for reader in $(readers); do
        # CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN
        [ "$(of "$reader" CapEff) $(of "$reader" CapPrm)" = "0000000000280004 0000000000280004" ]
        [ "$(of "$reader" CapBnd) $(of "$reader" CapAmb)" = "0000000000000000 0000000000000000" ]
        [ "$(of "$reader" Seccomp) $(of "$reader" NoNewPrivs)" = "2 1" ]
        [ "$(of "$reader" Uid | xargs -n 1 | sort -u)" = "$(id -u "$USER_NAME")" ]
        # Neither the probes nor the port are theirs.
        [ "$(find "/proc/$reader/fd" -lname 'anon_inode:*ringbuf*' -o -lname 'anon_inode:*epoll*' | wc -l)" = 0 ]
    done
    traffic_inside client-first
    end_agent
    jq -e 'select(.type == "stop").ledger | .attempted == .delivered + ([.lost[]] | add // 0)' "$OPEN/out.json"
}

@test "privileges: without a user of its own it is root without a capability, and says so" {
    agent
    grep -q ' as uid 0 without capabilities' "$WORK/saga.err"
    nothing_left "$SAGA_PID"
    end_agent
}

@test "privileges: who cannot be that user is told so, with status 2" {
    run -2 "$TCPSAGA" agent --user nobody-of-this-name --check-config
    [ "$output" = 'tcpsaga: agent: --user wants the name of a user, not "nobody-of-this-name"' ] || fail "$output"
    printf '[agent]\nuser = nobody-of-this-name\n' >"$WORK/agent.conf"
    run -2 "$TCPSAGA" agent --config "$WORK/agent.conf" --check-config
    [[ $output == "tcpsaga: $WORK/agent.conf:2: --user wants "* ]] || fail "$output"
    run -2 setpriv --reuid "$USER_NAME" --clear-groups "$TCPSAGA" agent --user root --metrics off
    [ "$output" = "tcpsaga: agent: --user root: only root can become another user" ] || fail "$output"
}

@test "privileges: a file in a directory of root's is made, written, and what cannot be is said at the start" {
    agent --user "$USER_NAME" --json "$OPEN/out.json"
    grep -q "agent: user $USER_NAME may not write in $OPEN: $OPEN/out.json cannot be rotated or opened anew" "$WORK/saga.err"
    traffic_inside client-first
    end_agent
    [ "$(stat -c %U "$OPEN/out.json")" = "$USER_NAME" ]
    [ "$(grep -c '"type":"connection"' "$OPEN/out.json")" -ge 2 ]
    # Where it cannot even pass.
    mkdir -m 700 "$OPEN/closed"
    agent --user "$USER_NAME" --json "$OPEN/closed/out.json"
    grep -q "agent: user $USER_NAME may not write $OPEN/closed/out.json: Permission denied" "$WORK/saga.err"
    until_true "the sink's failure" eval 'body /healthz | grep -q "\"error\":\"Permission denied\""'
    end_agent
    # In one of its own there is nothing to say.
    mkdir "$OPEN/own"
    chown "$USER_NAME" "$OPEN/own"
    agent --user "$USER_NAME" --json "$OPEN/own/out.json" --textfile "$OPEN/own/saga.prom"
    ! grep 'may not write' "$WORK/saga.err" || fail "says: $(cat "$WORK/saga.err")"
    until_true "the textfile" [ -s "$OPEN/own/saga.prom" ]
    mv "$OPEN/own/out.json" "$OPEN/own/out.1"
    kill -HUP "$SAGA_PID"
    traffic_inside client-first
    until_true "a new file" [ -e "$OPEN/own/out.json" ]
    end_agent
}

@test "privileges: what was there before the start is known, with its owner" {
    hold "$NETNS"
    wait_for_accept "$NETNS"
    agent --user "$USER_NAME" --json "$OPEN/out.json"
    until_true "the listener, with its owner" sums_to \
        '^tcpsaga_listener_accept_queue_length\{netns="'"$INODE"'",port="'"$HELD"'",process="holder"' 1
    end_process "$PEER_PID"
    PEER_PID=''
    until_true "the connection's end, with its process" grep -q \
        '"netns":'"$INODE"'.*"remote":{"addr":"127.0.0.1","port":'"$HELD"'}.*"comm":"cat"' "$OPEN/out.json"
    end_agent
}

@test "privileges: a namespace that is made later is read: queues, who is in the way, TIME_WAIT" {
    local name=saga-later-$$-$RANDOM inode
    WHERE='' agent --user "$USER_NAME" --json "$OPEN/out.json:findings"
    ip netns add "$name"
    OTHER=$name
    ip -n "$name" link set lo up
    inode=$(stat -L -c %i "/run/netns/$name")
    hold "$name"
    wait_for_accept "$name"
    until_true "the accept queue's depth" sums_to \
        '^tcpsaga_listener_accept_queue_length\{netns="'"$inode"'",port="'"$HELD"'",process="holder"' 1
    until_true "the finding, with who is in the way" refused_by_holder "$name" "$inode"
    ip netns exec "$name" "$TRAFFIC" load --connections 20 --port 8099 >/dev/null 2>&1
    until_true "20 in TIME_WAIT" sums_to '^tcpsaga_time_wait_sockets\{netns="'"$inode"'".*port="8099"' 20
    end_agent
}

@test "privileges: a reader that is killed is missed aloud, and nothing else ends" {
    local reader
    agent --user "$USER_NAME" --json "$OPEN/out.json"
    [ "$(body /healthz | jq -r .readers.status)" = ok ]
    reader=$(readers | head -n 1)
    # A SIGTERM, or a Ctrl-C, is the agent's.
    kill -TERM "$reader"
    kill -KILL "$reader"
    until_true "that it is missed" grep -q "the process that reads the kernel's tables has ended" "$WORK/saga.err"
    until_true "the health" eval '[ "$(body /healthz | jq -r .readers.status)" = degraded ]'
    [ "$(body /healthz | jq -r .status)" = degraded ]
    sums_to '^tcpsaga_kernel_tables_readable' 0
    ! body /metrics | grep '^tcpsaga_listener_accept_queue_length' || fail "an old depth is told as the present one"
    [ "$(readers | wc -l)" = 1 ]
    traffic_inside client-first
    until_true "the connections" eval '[ "$(grep -c "\"type\":\"connection\"" "$OPEN/out.json")" -ge 2 ]'
    end_agent
    [ "$(grep -c 'reads the kernel' "$WORK/saga.err")" = 1 ]
}

@test "privileges: its control socket is taken away at the end" {
    agent --control "$OPEN/control"
    until_true "the socket" [ -S "$OPEN/control" ]
    end_agent
    [ ! -e "$OPEN/control" ]
}

@test "privileges: readers end with the agent, however it ends" {
    local old
    agent --user "$USER_NAME"
    old=$(readers)
    kill -KILL "$SAGA_PID"
    wait "$SAGA_PID" || true
    SAGA_PID=''
    for reader in $old; do
        until_true "the end of a reader" is_gone "$reader"
    done
}

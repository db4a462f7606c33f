#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What outlives the agent: nothing in the kernel, whole lines in a file, and up to
# when each sink had everything, so that the next start can tell the gap.

bats_require_minimum_version 1.5.0
load lib.bash
load agent.bash

setup() {
    common_setup
    CHURN=$TOP/build/tests/churn
    ip link set lo up
    HELD_PID=''
}

teardown() {
    end_process "${HELD_PID:-}"
    common_teardown
}

# kept_agent [OPTION...]: it keeps its state.
kept_agent() { agent --state "$WORK/state" "$@"; }

kill_agent() {
    kill -KILL "$SAGA_PID"
    await_end "$SAGA_PID" 2>/dev/null || true
    SAGA_PID=''
}

# One short connection after another.
load_begins() {
    set -m
    # Not by a function: the one to end must be the load itself.
    ip netns exec "$NETNS" "$CHURN" --connections 1000000 --rate 3000 --workers 1 --sources 4 >/dev/null 2>&1 3>&- &
    HELD_PID=$!
    set +m
}

# hold COUNT: so many connections stay open.
hold() {
    mkfifo "$WORK/hold"
    set -m
    ip netns exec "$NETNS" "$CHURN" --connections "$1" --workers 1 --sources 1 --idle <"$WORK/hold" >"$WORK/held" 2>&1 3>&- &
    HELD_PID=$!
    set +m
    exec 8>"$WORK/hold"
    until_true "the connections" grep -q transitions "$WORK/held"
}

# Ids of what a process has in the kernel, as "prog 17" and "link 4".
kernel_ids() { # PID
    sed -n 's/^\(prog\|link\)_id:[[:space:]]*\([0-9]*\)$/\1 \2/p' "/proc/$1/fdinfo/"* 2>/dev/null | sort -u
}

none_is_left() { # FILE
    local what id
    while read -r what id; do
        ! bpftool "$what" show id "$id" >/dev/null 2>&1 || return
    done <"$1"
}

bad_lines() { # FILE
    jq -R 'try (fromjson | empty) catch "bad"' "$1" | grep -c bad || true
}

has_connections() { # COUNT
    [ "$(grep -c '"type":"connection"' "$WORK/out.json")" -ge "$1" ]
}

# What the ring had no room for meanwhile is another thing.
gaps() { # JQ-CONDITION
    jq -Rc "try fromjson catch empty | select(.type == \"loss\" and (.reason | startswith(\"agent_\")))
        | select($1)" "$WORK/out.json"
}

@test "restart: killed under load it leaves nothing in the kernel, and at most one torn line" {
    command -v bpftool >/dev/null || skip "no bpftool here"
    local round
    kept_agent --json "$WORK/out.json:transitions"
    load_begins
    for round in 1 2 3; do
        until_true "connections" has_connections $((round * 1000))
        kernel_ids "$SAGA_PID" >"$WORK/ids"
        grep -q prog "$WORK/ids"
        grep -q link "$WORK/ids"
        kill_agent
        until_true "the end of what it had in the kernel" none_is_left "$WORK/ids"
        # As when the write of a line was cut.
        printf '{"v":1,"type":"trans' >>"$WORK/out.json"
        kept_agent --json "$WORK/out.json:transitions"
    done
    end_agent
    [ "$(bad_lines "$WORK/out.json")" = 3 ] || fail "$(bad_lines "$WORK/out.json") bad lines behind three kills"
    ! find /sys/fs/bpf -name '*tcpsaga*' 2>/dev/null | grep . || fail "something is pinned"
}

@test "restart: the gap is told in each sink that was there, in the log and as a metric" {
    local killed
    kept_agent --json "$WORK/out.json"
    load_begins
    until_true "connections" has_connections 500
    killed=$(date +%s.%6N)
    kill_agent
    kept_agent --json "$WORK/out.json" --json "$WORK/new.json"
    until_true "the start line of the new sink" grep -q '"type":"start"' "$WORK/new.json"
    grep -q 'nobody watched for [0-9.]* s before this start: the agent had died' "$WORK/saga.err"
    body /metrics | grep -q '^tcpsaga_agent_gap_seconds{reason="agent_down"} [0-9.]*$'
    end_agent
    [ "$(gaps true | wc -l)" = 1 ]
    gaps true | jq -e --arg killed "$killed" 'def s: (.[0:19] + "Z" | fromdate) + (.[19:26] | tonumber);
        .reason == "agent_down" and (has("count") | not) and .ts == .to
        and (.from | s) <= ($killed | tonumber) and (.from | s) > ($killed | tonumber) - 2
        and (.to | s) > ($killed | tonumber)' || fail "killed at $killed, told: $(gaps true)"
    ! grep '"reason":"agent_' "$WORK/new.json" || fail "it was not there, and tells of a gap"

    kept_agent --json "$WORK/out.json"
    end_agent
    [ "$(gaps '.reason == "agent_stopped"' | wc -l)" = 1 ]
    # What it has when it is stopped is all there was until then.
    [ "$(gaps '.reason == "agent_stopped"' | jq -r .from)" = "$(grep '"type":"stop"' "$WORK/out.json" | head -n 1 | jq -r .ts)" ]
    "$TCPSAGA" schema >"$WORK/schema.json"
    grep '"type":"loss"' "$WORK/out.json" | "$TOP/tests/replay/validate.py" "$WORK/schema.json"
}


@test "restart: the model is complete again within a second of the start" {
    local started ticks established
    kept_agent
    hold 300
    kill_agent
    established=$(inside ss -Htn state established | wc -l)
    [ "$established" = 600 ]
    started=$(date +%s%N)
    kept_agent
    until_true "the connections that were there" metric_is 'tcpsaga_sockets{state="ESTABLISHED"}' "$established"
    ticks=$(sed 's/.*) //' "/proc/$SAGA_PID/stat" | awk '{ print $12 + $13 }')
    echo "# complete after $((($(date +%s%N) - started) / 1000000)) ms, $ticks ticks of them at work" >&3
    # What else runs on this machine takes its time, too: of a quiet one it is the second that counts.
    [ "$ticks" -lt "$(getconf CLK_TCK)" ] || fail "it worked for $ticks ticks"
    end_agent
}

@test "restart: one state is one agent's" {
    kept_agent
    run -1 "$TCPSAGA" agent --metrics off --control off --state "$WORK/state"
    [[ $output == *"--state $WORK/state: another agent keeps it"* ]] || fail "$output"
    run -1 "$TCPSAGA" agent --metrics off --control off --state "$WORK/none/state"
    [[ $output == *"--state $WORK/none/state: No such file or directory"* ]] || fail "$output"
    end_agent
}

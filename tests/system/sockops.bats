#!/usr/bin/env bats
# sockops: SYNs counted by `queues --sockops CGROUP` where functions cannot be
# hooked. Only in a virtual machine: each test has a cgroup of its own there, and
# no program is ever attached to one of a host's.

bats_require_minimum_version 1.5.0

load lib.bash

KNOCK=${KNOCK:-$TOP/build/tests/knock}

setup() {
    [ -n "${TCPSAGA_VM:-}" ] || skip "attaches to a cgroup: only in a virtual machine"
    common_setup
    CGROUP=/sys/fs/cgroup/saga-$$-$BATS_TEST_NUMBER
    mkdir "$CGROUP"
    HELD_PID='' REFERENCE_PID=''
}

teardown() {
    [ -n "${TCPSAGA_VM:-}" ] || return 0
    end_process "$HELD_PID"
    end_process "$REFERENCE_PID"
    # What knock has left behind when it was killed.
    local pid
    while read -r pid; do
        kill -KILL "$pid"
    done <"$CGROUP/cgroup.procs"
    until_true "an empty cgroup" rmdir "$CGROUP"
    common_teardown
}

# grouped COMMAND...: inside the cgroup and the namespace, where ip mounts a
# /sys that has no cgroups.
grouped() {
    # shellcheck disable=SC2016 # the inner shell expands them
    bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec ip netns exec "$@"' bash "$CGROUP" "$NETNS" "$@"
}

# Two of them watch: one by sockops, one by function hooks.
watch_twice() {
    launch "$WORK/saga" queues netns "/run/netns/$NETNS" --hooks tracepoint --sockops "$CGROUP"
    SAGA_PID=$LAUNCHED
    await_start "$SAGA_PID" "$WORK/saga"
    launch "$WORK/reference" queues netns "/run/netns/$NETNS" --hooks "${REFERENCE_HOOKS:-auto}"
    REFERENCE_PID=$LAUNCHED
    await_start "$REFERENCE_PID" "$WORK/reference"
}

stop_twice() {
    stop_watching
    kill -INT "$REFERENCE_PID"
    await_end "$REFERENCE_PID"
    REFERENCE_PID=''
}

# "QUEUED QUALITY" of each listener with SYNs queued, by its last line.
queued_in() { # FILE
    jq -rn --slurpfile saga "$1" '
        $saga | map(select(.type == "queue" and .local.port == 8080)) | group_by(.listener)[] | last
        | select((.queued // 0) > 0) | "\(.queued) \(.qualities.queued // .quality)"' | sort
}

# Nobody's word but the other's: the reference has seen each SYN's fate.
compare_queued() { # QUEUED
    diff -u <(queued_in "$WORK/reference.json") <(queued_in "$WORK/saga.json") >&2 ||
        fail "SYNs queued (- by function hooks, + by sockops)"
    [ "$(queued_in "$WORK/saga.json" | awk '{ sum += $1 } END { print sum + 0 }')" = "$1" ] ||
        fail "not $1:" "$(queued_in "$WORK/saga.json")"
    grep -q '"sockops":"cgroup"' "$WORK/saga.json"
    tail -n 1 "$WORK/saga.json" | grep -qE '"ledger":\{"attempted":([0-9]+),"delivered":\1,"lost":\{\}\}'
}

knocked() { # NAME
    sed -n "/\"stage\":\"done\"/s/.*\"$1\":\([0-9]*\).*/\1/p" "$WORK/knock.json" | tail -n 1
}

@test "SYNs that are queued are counted, also those that never become a connection" {
    set_sysctl tcp_syncookies 0
    watch_twice
    grouped "$KNOCK" --here syn-flood --syns 20 >"$WORK/knock.json"
    stop_twice
    compare_queued "$(knocked answered)"
}
@test "SYNs that are queued are counted, over IPv6" {
    watch_twice
    grouped "$KNOCK" --here complete --via ipv6 >"$WORK/knock.json"
    stop_twice
    compare_queued 3
}
@test "SYNs that are queued are counted, v4-mapped" {
    watch_twice
    grouped "$KNOCK" --here complete --via v4-mapped >"$WORK/knock.json"
    stop_twice
    compare_queued 3
}
@test "SYNs that are dropped are not counted" {
    watch_twice
    grouped "$KNOCK" --here accept-overflow-syn >"$WORK/knock.json"
    stop_twice
    compare_queued 5
}
@test "SYNs answered by a cookie are not counted" {
    set_sysctl tcp_syncookies 2
    watch_twice
    grouped "$KNOCK" --here complete >"$WORK/knock.json"
    stop_twice
    compare_queued 0
}
@test "SYN-ACKs sent again are not counted" {
    set_sysctl tcp_synack_retries 1
    watch_twice
    grouped "$KNOCK" --here requests --after expiry >"$WORK/knock.json"
    stop_twice
    compare_queued 3
}
@test "SYNs that come again for the same request are not counted" {
    watch_twice
    grouped "$KNOCK" --here duplicate-syn >"$WORK/knock.json"
    stop_twice
    compare_queued 1
}
@test "a SO_REUSEPORT group, each socket by itself" {
    watch_twice
    grouped "$KNOCK" --here reuseport --callers 16 --backlog 16 >"$WORK/knock.json"
    stop_twice
    compare_queued 16
}
@test "a listener that was there before counts from the start on" {
    mkfifo "$WORK/go"
    exec 8<>"$WORK/go"
    grouped "$KNOCK" --here complete --hold 1 <"$WORK/go" >"$WORK/held.json" 3>&- 8>&- &
    HELD_PID=$!
    until_true "a listener" grep -q '"stage":"held"' "$WORK/held.json"
    watch_twice
    [ "$(jq -r 'select(.type == "queue" and .local.port == 8080) | .queued' "$WORK/saga.json" | head -n 1)" = null ]
    end_process "$HELD_PID"
    HELD_PID=''
    exec 8>&-
    stop_twice
}
@test "a listener outside the cgroup is not told as one without SYNs" {
    watch_twice
    inside "$KNOCK" --here complete >"$WORK/knock.json"
    stop_twice
    [ "$(queued_in "$WORK/reference.json")" = "3 exact" ]
    [ -z "$(queued_in "$WORK/saga.json")" ]
    ! grep -q "\"queued\":" "$WORK/saga.json" || fail "told as queued"
}

# Links, because 5.10 does not let a present bpftool list a cgroup's programs.
# The machine has no others.
is_attached() { bpftool link | grep cgroup_sock_ops >/dev/null; }

# ---- nothing changes ----

# The times of a request's timer, as ss rounds them: 1 s, then 2 s.
@test "the timeout of a SYN-ACK stays the kernel's own" {
    set_sysctl tcp_synack_retries 1
    launch "$WORK/saga" queues netns "/run/netns/$NETNS" --hooks tracepoint --sockops "$CGROUP"
    SAGA_PID=$LAUNCHED
    await_start "$SAGA_PID" "$WORK/saga"
    launch "$WORK/reference" trace -e syn,handshake netns "/run/netns/$NETNS"
    REFERENCE_PID=$LAUNCHED
    await_start "$REFERENCE_PID" "$WORK/reference"
    grouped "$KNOCK" --here requests --after expiry >"$WORK/knock.json"
    inside "$KNOCK" --here requests --after expiry >"$WORK/knock.json"
    stop_twice
    # Six requests expired after 1 + 2 s, three of them within the cgroup.
    jq -r 'select(.outcome == "timed_out") | .took_us' "$WORK/reference.json" >"$WORK/times.txt"
    [ "$(wc -l <"$WORK/times.txt")" = 6 ] || fail "$(cat "$WORK/times.txt")"
    awk '$1 < 2900000 || $1 > 4500000 { print; bad = 1 } END { exit bad }' "$WORK/times.txt" >&2
}

@test "nothing stays attached, and a cgroup that is none is refused" {
    command -v bpftool >/dev/null || skip "no bpftool"
    watch_twice
    is_attached
    stop_twice
    ! is_attached || fail "attached"
    run -1 "$TCPSAGA" queues --sockops /tmp --hooks tracepoint --duration 1
    [[ $output == *"--sockops /tmp: no cgroup of cgroup2"* ]] || fail "$output"
    run -1 "$TCPSAGA" queues --sockops /none --hooks tracepoint --duration 1
    [[ $output == *"--sockops /none: No such file"* ]] || fail "$output"
    run -2 "$TCPSAGA" queues --sockops "$CGROUP" --once
}

@test "where function hooks see every SYN the cgroup is left alone" {
    command -v bpftool >/dev/null || skip "no bpftool"
    launch "$WORK/saga" queues netns "/run/netns/$NETNS" --sockops "$CGROUP"
    SAGA_PID=$LAUNCHED
    await_start "$SAGA_PID" "$WORK/saga"
    ! is_attached || fail "attached"
    stop_watching
    grep -q 'sockops is not needed here' "$WORK/saga.err"
}

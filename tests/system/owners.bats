#!/usr/bin/env bats
# Owners: which process, since when, in which cgroup, container and unit. What
# changes the machine (cgroups, pids) is done in virtual machines only.

load lib.bash
CLOSER=${CLOSER:-$TOP/build/tests/closer}
TURNCOAT=${TURNCOAT:-$TOP/build/tests/turncoat}
CONTAINER=00ff45e7d1a0c3b29f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a3928

setup() { common_setup; }

teardown() {
    local group
    common_teardown
    for group in "${GROUPS_MADE[@]}"; do
        until_true "an empty cgroup" rmdir "$group"
    done
}

need_cgroups() {
    [ -n "${TCPSAGA_VM:-}" ] || skip "makes cgroups: only in a virtual machine"
    ROOT=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
    [ -n "$ROOT" ] || skip "no cgroup2 is mounted"
    GROUPS_MADE=()
}

# group NAME: makes that cgroup; the innermost comes first in GROUPS_MADE.
group() {
    mkdir "$ROOT/$1"
    GROUPS_MADE=("$ROOT/$1" "${GROUPS_MADE[@]}")
}

# grouped NAME COMMAND...: inside of the cgroup and the namespace. What
# proc_pid_stat(5) says of its start is in start_ticks.
grouped() {
    # shellcheck disable=SC2016 # the inner shell expands them
    bash -c 'echo $$ >"$1/cgroup.procs"; sed "s/.*) //" /proc/$$/stat | cut -d" " -f20 >"$2"
        shift 2; exec ip netns exec "$@"' bash "$ROOT/$1" "$WORK/start_ticks" "$NETNS" "${@:2}"
}

# The process of each transition that has one.
processes() { jq -c 'select(.type == "transition" and .process) | .process' "$WORK/saga.json"; }

# in_every KEY VALUE...: each process has exactly this.
in_every() {
    local key=$1
    shift
    [ "$(processes | jq -r ".$key" | sort -u)" = "$(printf '%s\n' "$@" | sort -u)" ] ||
        fail "not $key $*" "$(processes | sort -u)"
}

are_told() { [ "$(processes | wc -l)" -ge "$1" ]; }

# Since when each is, in hundredths of a second from the first one on.
starts_cs() {
    processes | jq -r .started | sort -u | while read -r started; do
        echo $(($(date -d "$started" +%s%N) / 1000))
    done | awk 'NR == 1 { first = $1 } { printf "%.0f\n", ($1 - first) / 10000 }'
}

@test "a process has a start, and it is that of /proc" {
    local started
    watch trace
    for run in 1 2; do
        # shellcheck disable=SC2016 # the inner shell expands them
        inside bash -c 'sed "s/.*) //" /proc/$$/stat | cut -d" " -f20 >>"$1"; exec "$2" client_first' \
            bash "$WORK/start_ticks" "$CLOSER" >/dev/null
        # Told apart to a hundredth of a second.
        sleep 0.1
    done
    are_both_told() { [ "$(processes | jq -r .started | sort -u | wc -l)" = 2 ]; }
    until_true "the processes" are_both_told || fail "$(processes)"
    stop_watching
    # Apart by what /proc says, exactly; and in this minute.
    diff <(awk 'NR == 1 { first = $1 } { print $1 - first }' "$WORK/start_ticks") <(starts_cs)
    started=$(date -d "$(processes | jq -r .started | head -n 1)" +%s)
    [ $(($(date +%s) - started)) -le 60 ] && [ "$started" -le "$(date +%s)" ]
}

# Each connection of the turncoat's is told as that of who it was just then: its port, its
# user, its name and what the jq expression says of a process, on a line for each.
are_told_as_they_were() { # EXPRESSION
    sort -u "$WORK/was" >"$WORK/wanted"
    jq -r 'select(.type == "transition" and .process) | "\(.local.port) \(.remote.port // 0) \(
        .process.uid) \(.process.comm) \('"$1"')"' "$WORK/saga.json" |
        awk 'NR == FNR { was[$1] = 1; next } $1 in was || $2 in was { print $1 in was ? $1 : $2, $3, $4, $5 }' \
            "$WORK/was" - | sort -u >"$WORK/told"
    diff "$WORK/wanted" "$WORK/told" >"$WORK/diff"
}

@test "who changes user, name and namespace between two connections" {
    local other=/run/netns/$NETNS-2
    ip netns add "$NETNS-2"
    ip -n "$NETNS-2" link set lo up
    "$TCPSAGA" trace --source live -e transition -o json >"$WORK/saga.json" 2>"$WORK/saga.err" 3>&- &
    # shellcheck disable=SC2034 # common_teardown ends it
    SAGA_PID=$!
    until_true "the watcher" grep -q watching "$WORK/saga.err"
    "$TURNCOAT" 200 "netns:/run/netns/$NETNS" "netns:$other" >"$WORK/turns"
    awk -v first="$INODE" -v second="$(stat -Lc %i "$other")" '{ print $1, $2, $3, $5 ? second : first }' \
        "$WORK/turns" >"$WORK/was"
    ip netns del "$NETNS-2"
    until_true "all as they were" are_told_as_they_were .netns || fail "$(head -n 20 "$WORK/diff")"
}

@test "who changes its cgroup between two connections" {
    need_cgroups
    group one.service
    group two.service
    watch trace
    "$TURNCOAT" 50 "netns:/run/netns/$NETNS" "cgroup:$ROOT/one.service" "cgroup:$ROOT/two.service" \
        >"$WORK/turns"
    awk '{ print $1, $2, $3, $4 ? "/two.service" : "/one.service" }' "$WORK/turns" >"$WORK/was"
    until_true "all as they were" are_told_as_they_were .process.cgroup || fail "$(head -n 20 "$WORK/diff")"
}

@test "a service, its cgroup and its unit" {
    need_cgroups
    watch trace
    group web.slice
    group web.slice/nginx.service
    grouped web.slice/nginx.service "$CLOSER" client_first >/dev/null
    until_true "the process" are_told 2
    stop_watching
    in_every cgroup /web.slice/nginx.service
    in_every unit nginx.service
    in_every container null
}

@test "a container, whose minisockets are charged to it, and a recording that knows it" {
    need_cgroups
    watch timewait
    group "docker-$CONTAINER.scope"
    "$TCPSAGA" record --source live "$WORK/file.rec" netns "/run/netns/$NETNS" 2>"$WORK/record.err" 3>&- &
    local recorder=$!
    until_true "the recorder" grep -q watching "$WORK/record.err"
    grouped "docker-$CONTAINER.scope" "$CLOSER" client_first >/dev/null
    is_charged() {
        jq --arg id $CONTAINER 'select(.type == "timewait_group" and .count == 1
            and .process.container == $id and .process.unit == "docker-\($id).scope"
            and .process.cgroup == "/docker-\($id).scope")' "$WORK/saga.json" | grep -q count
    }
    until_true "the group" is_charged || fail "$(tail -n 3 "$WORK/saga.json")"
    kill -INT $recorder
    wait $recorder
    stop_watching
    # By now nobody can ask the kernel any more.
    rmdir "${GROUPS_MADE[@]}" && GROUPS_MADE=()
    "$TCPSAGA" trace -r "$WORK/file.rec" -o json >"$WORK/saga.json"
    are_told 2
    in_every container $CONTAINER
    "$TCPSAGA" trace -r "$WORK/file.rec" -w | grep -q "closer/[0-9]* *${CONTAINER:0:12} "
}

@test "a hostile name comes through, and reaches no terminal" {
    need_cgroups
    local name=$'\e[31m\xe9"\t.service'
    watch trace
    group "$name"
    grouped "$name" "$CLOSER" client_first >/dev/null
    until_true "the process" are_told 2
    stop_watching
    in_every cgroup_hex "$(printf '/%s' "$name" | od -An -tx1 | tr -d ' \n')"
    in_every unit $'\e[31m\xef\xbf\xbd"\t.service'
}

@test "a listener that was there before has its start and cgroup" {
    need_cgroups
    group old.service
    mkfifo "$WORK/hold"
    grouped old.service "$CLOSER" orphan >"$WORK/ports" 2>"$WORK/traffic.err" 3>&- <"$WORK/hold" &
    # shellcheck disable=SC2034 # common_teardown ends it
    TRAFFIC_PID=$!
    exec 7>"$WORK/hold"
    until_true "a listener" test -s "$WORK/ports"
    "$TCPSAGA" queues --source live --once -o json netns "/run/netns/$NETNS" >"$WORK/saga.json"
    exec 7>&-
    jq -c 'select(.type == "queue" and .process)' "$WORK/saga.json" >"$WORK/told"
    [ "$(jq -r '[.process.cgroup, .process.unit] | join(" ")' "$WORK/told")" = \
        "/old.service old.service" ] || fail "$(cat "$WORK/saga.json")"
}

# The next fork of this shell has that pid, if nobody else forks meanwhile.
@test "a pid that is used again is another process" {
    [ -n "${TCPSAGA_VM:-}" ] || skip "steers the pids of the machine: only in a virtual machine"
    local wanted='' tries=0 pid=0
    watch timewait
    until [ "$pid" = "$wanted" ]; do
        [ $((tries += 1)) -le 50 ] || fail "pid $wanted was never free"
        [ -z "$wanted" ] || echo $((wanted - 1)) >/proc/sys/kernel/ns_last_pid
        ip netns exec "$NETNS" "$CLOSER" client_first >/dev/null 3>&- &
        pid=$!
        wait $pid
        # Their starts are told apart to a hundredth of a second.
        sleep 0.05
        if [ -z "$wanted" ]; then wanted=$pid pid=0; fi
    done
    are_two() {
        [ "$(jq -sc --argjson pid "$wanted" 'map(select(.type == "timewait_group"
            and .process.pid == $pid)) | map([.process.started, .service.port, .count]) | unique
            | [length, (map(.[0]) | unique | length)]' "$WORK/saga.json")" = "[2,2]" ]
    }
    until_true "two groups" are_two || fail "$(tail -n 4 "$WORK/saga.json")"
    stop_watching
}

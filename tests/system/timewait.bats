#!/usr/bin/env bats
# Minisockets: how each begins and ends, whose it is, and that the ledger is what
# ss shows. One namespace and one set of watchers for the whole file; a test knows
# its connection by its ports. The first one's TIME_WAIT is waited for by the
# last test, so that its minute costs nothing.

load lib.bash
CLOSER=${CLOSER:-$TOP/build/tests/closer}

setup_file() {
    export NETNS=saga-tw-$$-$RANDOM
    ip netns add "$NETNS"
    ip -n "$NETNS" link set lo up
    local verb
    for verb in trace flows timewait; do
        launch "$BATS_FILE_TMPDIR/$verb" "$verb" netns "/run/netns/$NETNS"
        echo "$LAUNCHED" >"$BATS_FILE_TMPDIR/$verb.pid"
        until_true "the start line" has_started "$LAUNCHED" "$BATS_FILE_TMPDIR/$verb"
    done
    play client_first >"$BATS_FILE_TMPDIR/first"
}

teardown_file() {
    local verb
    for verb in trace flows timewait; do
        end_process "$(cat "$BATS_FILE_TMPDIR/$verb.pid")"
    done
    ip netns del "$NETNS"
}

setup() { WORK=$BATS_TEST_TMPDIR; }

# play SCENARIO [STDIN]: its ports, and the closer's pid in LAST_PID.
play() {
    inside "$CLOSER" "$@"
}

# Of the connection with these ports: "phase substate end process".
steps_of() { # {"local":PORT,"remote":PORT}
    jq -r --argjson of "$1" 'select(.type == "timewait" and .local.port == $of.local
            and .remote.port == $of.remote)
        | [.phase, .substate, .end // "-", .process.comm // "-"] | join(" ")' \
        "$BATS_FILE_TMPDIR/trace.json"
}

# Whether the peer's FIN meets the full socket or its minisocket is a race: the
# usual close begins either way.
is_like() { # PORTS EXPECTED...
    local ports=$1 told
    shift
    told=$(steps_of "$ports")
    told=${told/begin FIN_WAIT2 - closer$'\n'promoted TIME_WAIT - closer/begin TIME_WAIT - closer}
    [ "$told" = "$(printf '%s\n' "$@")" ]
}

must_be() { # PORTS EXPECTED...
    until_true "the steps of $1" is_like "$@" && return
    echo "told:" >&2
    steps_of "$1" >&2
    return 1
}

need_hooks() {
    grep -q '"timewait":"\(fentry\|kprobe\)"' "$BATS_FILE_TMPDIR/trace.json" ||
        skip "no function hooks here"
}

@test "client closes first" {
    need_hooks
    must_be "$(cat "$BATS_FILE_TMPDIR/first")" "begin TIME_WAIT - closer"
}

@test "server closes first" {
    need_hooks
    must_be "$(play server_first)" "begin TIME_WAIT - closer"
}

@test "half-close" {
    need_hooks
    must_be "$(play half_close)" "begin TIME_WAIT - closer"
}

@test "IPv6" {
    need_hooks
    must_be "$(play -6 client_first)" "begin TIME_WAIT - closer"
}

@test "fork: the last descriptor is the child's" {
    need_hooks
    must_be "$(play forked)" "begin TIME_WAIT - closer"
}

@test "exit without close()" {
    need_hooks
    must_be "$(play exits)" "begin TIME_WAIT - closer"
}

@test "an orphan waits in FIN_WAIT2 until its peer closes" {
    need_hooks
    mkfifo "$WORK/go"
    play orphan <"$WORK/go" >"$WORK/ports" 3>&- &
    exec 9>"$WORK/go"
    until_true "its ports" test -s "$WORK/ports"
    must_be "$(cat "$WORK/ports")" "begin FIN_WAIT2 - closer"
    inside ss -Htn state fin-wait-2 | grep -q ":$(jq .local "$WORK/ports") "
    exec 9>&-
    wait
    must_be "$(cat "$WORK/ports")" "begin TIME_WAIT - closer"
}

@test "the peer's RST ends a FIN_WAIT2" {
    need_hooks
    must_be "$(play reset)" "begin FIN_WAIT2 - closer" "end FIN_WAIT2 reset closer"
}

@test "data for a closed socket ends it with our RST" {
    need_hooks
    must_be "$(play aborted)" "begin FIN_WAIT2 - closer" "end FIN_WAIT2 aborted closer"
}

@test "connect() reuses a TIME_WAIT, tcp_tw_reuse=0 and 1" {
    need_hooks
    local reuse ports
    for reuse in 0 1; do
        set_sysctl tcp_tw_reuse $reuse
        ports=$(play reused)
        must_be "$ports" "begin TIME_WAIT - closer" "end TIME_WAIT reused closer"
    done
}

@test "a new SYN ends a TIME_WAIT" {
    need_hooks
    must_be "$(play new_syn)" "begin TIME_WAIT - closer" "end TIME_WAIT new_syn closer"
}

@test "a full table refuses" {
    need_hooks
    local before
    before=$(inside cat /proc/sys/net/ipv4/tcp_max_tw_buckets)
    set_sysctl tcp_max_tw_buckets 0
    play client_first >"$WORK/ports"
    set_sysctl tcp_max_tw_buckets "$before"
    until_true "the refusal" grep -q refused <(steps_of "$(cat "$WORK/ports")") ||
        fail "$(steps_of "$(cat "$WORK/ports")")"
}

# "local:port remote:port" of all that are in the state.
ss_entries() { inside ss -Htn state "$1" | awk '{ print $3, $4 }' | LC_ALL=C sort; }

# What the trace has begun and not ended, in the state it was last in.
told_entries() { # SUBSTATE
    jq -rn --arg state "$1" 'def text: if .addr | contains(":") then "[\(.addr)]" else .addr end
            + ":\(.port)";
        reduce (inputs | select(.type == "timewait")) as $w ({};
            ("\($w.local | text) \($w.remote | text)") as $tuple
            | if $w.phase == "end" then del(.[$tuple])
              elif $w.phase == "refused" then .
              else .[$tuple] = $w.substate end)
        | to_entries[] | select(.value == $state).key' "$BATS_FILE_TMPDIR/trace.json" |
        LC_ALL=C sort
}

is_what_ss_shows() {
    [ "$(told_entries TIME_WAIT)" = "$(ss_entries time-wait)" ] &&
        [ "$(told_entries FIN_WAIT2)" = "$(ss_entries fin-wait-2)" ]
}

@test "entry for entry what ss shows" {
    need_hooks
    until_true "the same entries" is_what_ss_shows ||
        fail "$(diff <(told_entries TIME_WAIT) <(ss_entries time-wait))"
}

last_snapshot() {
    jq -sc 'map(select(.type == "timewait_group")) | (last.ts // "") as $t
        | map(select(.ts == $t)) | [(map(.time_wait) | add // 0), (map(.fin_wait2) | add // 0)]' \
        "$BATS_FILE_TMPDIR/timewait.json"
}

ledger_is_ss() {
    [ "$(last_snapshot)" = "[$(ss_entries time-wait | wc -l),$(ss_entries fin-wait-2 | wc -l)]" ]
}

@test "the ledger counts what ss counts" {
    until_true "the same counts" ledger_is_ss || fail "$(last_snapshot)"
}

@test "timewait --once counts what ss counts" {
    "$TCPSAGA" timewait --once -o json netns "/run/netns/$NETNS" >"$WORK/once.json"
    [ "$(jq -s 'map(select(.type == "timewait_group").count) | add // 0' "$WORK/once.json")" = \
        "$(($(ss_entries time-wait | wc -l) + $(ss_entries fin-wait-2 | wc -l)))" ]
}

@test "a storm is one owner's, one service's, and all of it is told" {
    local count=${TCPSAGA_VM:+500}
    count=${count:-5000}
    set_sysctl tcp_max_tw_buckets 100000
    # A reused entry is one less; on loopback that is the default (2).
    set_sysctl tcp_tw_reuse 0
    inside "$TRAFFIC" load --connections "$count" --rate 0 --close client >/dev/null
    storm_is_told() {
        jq --argjson count "$count" 'select(.type == "timewait_group" and .role == "client"
            and .process.comm == "traffic" and .count == $count and .short_share > 0.5)' \
            "$BATS_FILE_TMPDIR/timewait.json" | grep -q count
    }
    until_true "a group of $count" storm_is_told || fail "$(tail -n 4 "$BATS_FILE_TMPDIR/timewait.json")"
    until_true "the same counts" ledger_is_ss || fail "$(last_snapshot)"
}

has_expired() {
    is_like "$(cat "$BATS_FILE_TMPDIR/first")" "begin TIME_WAIT - closer" "end TIME_WAIT expired closer"
}

@test "a TIME_WAIT expires after its minute, and the life is complete" {
    need_hooks
    PATIENCE_S=90 until_true "the end of the first TIME_WAIT" has_expired ||
        fail "$(steps_of "$(cat "$BATS_FILE_TMPDIR/first")")"
    first_is_told() {
        jq --argjson of "$(cat "$BATS_FILE_TMPDIR/first")" 'select(.type == "connection"
            and .local.port == $of.local and .remote.port == $of.remote)
            | .history[-2].state == "TIME_WAIT" and .history[-1].state == "CLOSE"
              and .wait_end == "expired" and .closed_first == "local" and .how == "close"
              and .duration_us > 59e6' "$BATS_FILE_TMPDIR/flows.json" | grep -q true
    }
    until_true "the complete life" first_is_told
}

@test "the ledger drains to nothing by itself" {
    is_drained() { [ -z "$(ss_entries time-wait)" ] && ledger_is_ss; }
    PATIENCE_S=90 until_true "an empty ledger" is_drained || fail "$(last_snapshot)"
    if grep -q '"timewait":"\(fentry\|kprobe\)"' "$BATS_FILE_TMPDIR/trace.json"; then
        [ -z "$(told_entries TIME_WAIT)" ]
    fi
}

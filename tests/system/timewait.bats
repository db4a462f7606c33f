#!/usr/bin/env bats
# Minisockets: how each begins and ends, whose it is, its whole life, and that
# the ledger is what ss shows. One namespace and one set of watchers for the
# whole file; a test knows its connection by its ports. The last tests wait for
# the minute of all TIME_WAITs together.

load lib.bash
CLOSER=${CLOSER:-$TOP/build/tests/closer}
FILE=$BATS_FILE_TMPDIR

setup_file() {
    export NETNS=saga-tw-$$-$RANDOM
    ip netns add "$NETNS"
    ip -n "$NETNS" link set lo up
    local verb
    for verb in trace flows timewait; do
        launch "$FILE/$verb" "$verb" netns "/run/netns/$NETNS"
        echo "$LAUNCHED" >"$FILE/$verb.pid"
        until_true "the start line" has_started "$LAUNCHED" "$FILE/$verb"
    done
    play client_first >"$FILE/first"
}

teardown_file() {
    local verb
    for verb in trace flows timewait; do
        end_process "$(cat "$FILE/$verb.pid")"
    done
    ip netns del "$NETNS"
}

setup() { WORK=$BATS_TEST_TMPDIR; }

has_hooks() { grep -q '"timewait":"\(fentry\|kprobe\)"' "$FILE/trace.json"; }
need_hooks() { has_hooks || skip "no function hooks here"; }

# ---- what must come of each scenario of closer.c ------------------------------

# The steps of its minisocket: "PHASE SUBSTATE END PROCESS".
expected_steps() {
    case $1 in
    orphan_waits) echo "begin FIN_WAIT2 - closer" ;;
    reset | aborted)
        echo "begin FIN_WAIT2 - closer"
        echo "end FIN_WAIT2 $1 closer" ;;
    refused) echo "refused FIN_WAIT2 - closer" ;;
    reused | new_syn)
        echo "begin TIME_WAIT - closer"
        echo "end TIME_WAIT $1 closer" ;;
    wait_reset)
        echo "begin TIME_WAIT - closer"
        echo "end TIME_WAIT reset closer" ;;
    *) echo "begin TIME_WAIT - closer" ;;
    esac
}

# Its life: "HISTORY CLOSED_FIRST HOW WAIT_END PROCESS", when all is over.
expected_life() {
    local role=SYN_SENT how=close end=expired
    case $1 in
    server_first | new_syn) role=SYN_RECV ;;
    half_close) how=shutdown ;;
    esac
    case $1 in
    simultaneous_client)
        echo "SYN_SENT,ESTABLISHED,FIN_WAIT1,CLOSING,TIME_WAIT,CLOSE both shutdown expired traffic"
        return ;;
    simultaneous_server)
        echo "SYN_RECV,ESTABLISHED,FIN_WAIT1,CLOSING,TIME_WAIT,CLOSE both shutdown expired traffic"
        return ;;
    reused | new_syn | refused) end=$1 ;;
    wait_reset) end=reset ;;
    reset | aborted)
        echo "$role,ESTABLISHED,FIN_WAIT1,FIN_WAIT2,CLOSE local close $1 closer"
        return ;;
    esac
    if [ "$1" = refused ]; then
        echo "$role,ESTABLISHED,FIN_WAIT1,FIN_WAIT2,CLOSE local $how $end closer"
    else
        echo "$role,ESTABLISHED,FIN_WAIT1,FIN_WAIT2,TIME_WAIT,CLOSE local $how $end closer"
    fi
}

# play [-6] SCENARIO: prints its ports and the pid of whose connection it is.
play() { inside "$CLOSER" "$@"; }

# Of the connection with these ports, in $TRACE. The process is named if it is
# the right one.
steps_of() { # {"local":PORT,"remote":PORT,"pid":PID}
    jq -r --argjson of "$1" 'select(.type == "timewait" and .local.port == $of.local
            and .remote.port == $of.remote)
        | [.phase, .substate, .end // "-",
            if .process.pid == $of.pid then .process.comm else "not \($of.pid): \(.process)" end]
        | join(" ")' "${TRACE:-$FILE/trace.json}"
}

# Whether the peer's FIN meets the full socket or its minisocket is a race: the
# usual close begins either way.
is_like() { # PORTS EXPECTED
    local told
    told=$(steps_of "$1")
    told=${told/begin FIN_WAIT2 - closer$'\n'promoted TIME_WAIT - closer/begin TIME_WAIT - closer}
    told=${told/#refused TIME_WAIT/refused FIN_WAIT2}
    [ "$told" = "$2" ]
}

must_be() { # PORTS SCENARIO
    until_true "the steps of $2 $1" is_like "$1" "$(expected_steps "$2")" || fail "$(steps_of "$1")"
}

# check [-6] SCENARIO: plays it, compares its steps, and leaves its life to the
# last test.
check() {
    local ports
    ports=$(play "$@")
    must_be "$ports" "${*: -1}"
    echo "${*: -1} $ports" >>"$FILE/played"
}

@test "client closes first" {
    need_hooks
    must_be "$(cat "$FILE/first")" client_first
    echo "client_first $(cat "$FILE/first")" >>"$FILE/played"
}
@test "server closes first" { need_hooks; check server_first; }
@test "half-close" { need_hooks; check half_close; }
@test "IPv6" { need_hooks; check -6 client_first; check -6 server_first; check -6 reset; }
@test "exit without close()" { need_hooks; check exits; }
@test "the peer's RST ends a FIN_WAIT2" { need_hooks; check reset; }
@test "the peer's RST ends a TIME_WAIT" { need_hooks; check wait_reset; }
@test "data for a closed socket ends it with our RST" { need_hooks; check aborted; }
@test "a new SYN ends a TIME_WAIT" { need_hooks; check new_syn; }

# Who closed is named in the transition; whose connection it was stays.
closed_by() { # PORTS
    jq -r --argjson of "$1" 'select(.type == "transition" and .local.port == $of.local
            and .remote.port == $of.remote and .new == "FIN_WAIT1") | .process.comm' "$FILE/trace.json"
}

@test "fork: the last descriptor is the child's" {
    need_hooks
    check forked
    [ "$(closed_by "$(tail -n 1 "$FILE/played" | cut -d' ' -f2)")" = heir ]
}

@test "a passed descriptor is closed by its heir" {
    need_hooks
    check passed
    [ "$(closed_by "$(tail -n 1 "$FILE/played" | cut -d' ' -f2)")" = heir ]
}

@test "simultaneous close: two TIME_WAITs, one of each side" {
    need_hooks
    inside "$TRAFFIC" simultaneous-close >"$WORK/ends"
    local who ports
    for who in client server; do
        ports=$(jq -c --arg who $who 'select(.who == $who)
            | {local: .local.port, remote: .remote.port, pid}' "$WORK/ends")
        until_true "the steps of the $who" is_like "$ports" "begin TIME_WAIT - traffic" ||
            fail "$(steps_of "$ports")"
        echo "simultaneous_$who $ports" >>"$FILE/played"
    done
}

@test "an orphan waits in FIN_WAIT2 until its peer closes" {
    need_hooks
    mkfifo "$WORK/go"
    play orphan <"$WORK/go" >"$WORK/ports" 3>&- &
    exec 9>"$WORK/go"
    until_true "its ports" test -s "$WORK/ports"
    must_be "$(cat "$WORK/ports")" orphan_waits
    inside ss -Htn state fin-wait-2 | grep -q ":$(jq .local "$WORK/ports") "
    exec 9>&-
    wait
    must_be "$(cat "$WORK/ports")" orphan
    echo "orphan $(cat "$WORK/ports")" >>"$FILE/played"
}

@test "connect() reuses a TIME_WAIT, tcp_tw_reuse=0 and 1" {
    need_hooks
    local reuse
    for reuse in 0 1; do
        set_sysctl tcp_tw_reuse $reuse
        check reused
    done
}

check_refused() {
    local before
    before=$(inside cat /proc/sys/net/ipv4/tcp_max_tw_buckets)
    set_sysctl tcp_max_tw_buckets 0
    play client_first >"$WORK/ports"
    set_sysctl tcp_max_tw_buckets "$before"
    must_be "$(cat "$WORK/ports")" refused
    echo "refused $(cat "$WORK/ports")" >>"$FILE/played"
}

@test "a full table refuses" { need_hooks; check_refused; }

steps_begin() { [ -n "$(steps_of "$1")" ]; }

overflows() {
    inside cat /proc/net/netstat | awk '$1 == "TcpExt:" {
        if (!n) { for (n = 2; n <= NF && $n != "TCPTimeWaitOverflow"; n++); next } print $n }'
}

# How many find room is the kernel's affair: others expire meanwhile.
@test "a tiny table takes some and refuses the rest" {
    need_hooks
    local before overflows ports refused=0 begun=0
    before=$(inside cat /proc/sys/net/ipv4/tcp_max_tw_buckets)
    overflows=$(overflows)
    set_sysctl tcp_max_tw_buckets $(($(ss_minisockets) + 2))
    for _ in 1 2 3 4 5 6 7 8; do play client_first; done >"$WORK/ports"
    set_sysctl tcp_max_tw_buckets "$before"
    overflows=$(($(overflows) - overflows))
    while read -r ports; do
        until_true "a step of $ports" steps_begin "$ports"
        if is_like "$ports" "$(expected_steps refused)"; then
            echo "refused $ports" >>"$FILE/played"
            refused=$((refused + 1))
        else
            must_be "$ports" client_first
            echo "client_first $ports" >>"$FILE/played"
            begun=$((begun + 1))
        fi
    done <"$WORK/ports"
    [ "$begun" -ge 2 ] && [ "$refused" -ge 1 ] || fail "$begun begun, $refused refused"
    [ "$refused" = "$overflows" ] || fail "$refused told, the kernel counts $overflows"
}

@test "kprobes tell the same as fentry" {
    need_hooks
    [ -n "${TCPSAGA_VM:-}" ] || skip "twins are compared in virtual machines"
    local scenario
    TCPSAGA_HOOKS=kprobe launch "$WORK/twin" trace netns "/run/netns/$NETNS"
    echo "$LAUNCHED" >"$WORK/twin.pid"
    await_start "$LAUNCHED" "$WORK/twin"
    grep -q '"timewait":"kprobe"' "$WORK/twin.json"
    for scenario in client_first server_first half_close forked exits passed reset wait_reset aborted \
        reused new_syn; do
        TRACE=$WORK/twin.json check $scenario
        # What the other one tells is the same.
        must_be "$(tail -n 1 "$FILE/played" | cut -d' ' -f2)" $scenario
    done
    TRACE=$WORK/twin.json check -6 server_first
    TRACE=$WORK/twin.json check_refused
    kill -INT "$LAUNCHED"
    await_end "$LAUNCHED"
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
        | to_entries[] | select(.value == $state).key' "$FILE/trace.json" |
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
        "$FILE/timewait.json"
}

ledger_is_ss() {
    [ "$(last_snapshot)" = "[$(ss_entries time-wait | wc -l),$(ss_entries fin-wait-2 | wc -l)]" ]
}

@test "the ledger counts what ss counts" {
    until_true "the same counts" ledger_is_ss || fail "$(last_snapshot)"
}

ss_minisockets() { echo $(($(ss_entries time-wait | wc -l) + $(ss_entries fin-wait-2 | wc -l))); }

# None has expired between the two looks of ss.
once_is_ss() {
    local before
    before=$(ss_minisockets)
    "$TCPSAGA" timewait --source live --once -o json netns "/run/netns/$NETNS" >"$WORK/once.json"
    [ "$(jq -s 'map(select(.type == "timewait_group").count) | add // 0' "$WORK/once.json")" = "$before" ] &&
        [ "$(ss_minisockets)" = "$before" ]
}

@test "timewait --once counts what ss counts" {
    until_true "the same counts: $(ss_minisockets)" once_is_ss
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
            "$FILE/timewait.json" | grep -q count
    }
    until_true "a group of $count" storm_is_told || fail "$(tail -n 4 "$FILE/timewait.json")"
    until_true "the same counts" ledger_is_ss || fail "$(last_snapshot)"
}

# The lives of all that were played above, by now complete.
life_of() { # {"local":PORT,"remote":PORT,"pid":PID}
    jq -rn --argjson of "$1" 'first(inputs | select(.type == "connection" and .local.port == $of.local
            and .remote.port == $of.remote)) as $life | $life
        | [(.history | map(.state) | join(",")), .closed_first, .how, .wait_end // "-",
            if .process.pid == $of.pid then .process.comm else "not \($of.pid): \(.process)" end]
        | join(" ") + (if $life.peer then "" else ", without its peer" end)
            + (if $life.incomplete then ", incomplete" else "" end)' "$FILE/flows.json"
}

is_whole_life() { [ "$(life_of "$1")" = "$2" ]; }

@test "a TIME_WAIT expires after its minute, and each life is complete" {
    need_hooks
    local scenario ports
    [ "$(wc -l <"$FILE/played")" -ge 15 ]
    while read -r scenario ports; do
        PATIENCE_S=90 until_true "the life of $scenario $ports" \
            is_whole_life "$ports" "$(expected_life "$scenario")" || fail "$(life_of "$ports")"
    done <"$FILE/played"
    # Its end is told, too, and how long it was.
    [ "$(steps_of "$(cat "$FILE/first")" | tail -n 1)" = "end TIME_WAIT expired closer" ]
    jq --argjson of "$(cat "$FILE/first")" 'select(.type == "connection"
        and .local.port == $of.local and .remote.port == $of.remote) | .duration_us > 59e6' \
        "$FILE/flows.json" | grep -qx true
}

@test "without function hooks a life goes on to its end all the same, estimated" {
    ! has_hooks || skip "each has records of its own here"
    local first
    first=$(cat "$FILE/first")
    PATIENCE_S=90 until_true "the life of $first" is_whole_life "$first" "$(expected_life client_first)" ||
        fail "$(life_of "$first")"
    jq --argjson of "$first" 'select(.type == "connection" and .local.port == $of.local
        and .remote.port == $of.remote) | .wait_quality == "estimated" and .duration_us > 59e6' \
        "$FILE/flows.json" | grep -qx true
}

@test "the ledger drains to nothing by itself" {
    is_drained() { [ -z "$(ss_entries time-wait)" ] && ledger_is_ss; }
    PATIENCE_S=90 until_true "an empty ledger" is_drained || fail "$(last_snapshot)"
    if grep -q '"timewait":"\(fentry\|kprobe\)"' "$FILE/trace.json"; then
        [ -z "$(told_entries TIME_WAIT)" ]
    fi
}

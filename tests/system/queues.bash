# shellcheck shell=bash
# queues.bash: what the tests of handshakes and queues share, on top of lib.bash:
# traffic by knock (KNOCK, default: build/tests/knock), the namespace's own
# counters, and comparisons in the forms that queues.jq knows.
#
# Each test is watched by `trace` (events) and `flows` (lives); those that hold
# still at their height have a `queues` as well. In a virtual machine, where to
# start a program takes seconds, all tests of the file share the first two, and
# each picks the lines of its namespace; so namespaces stay until the end, for
# the kernel would give their inodes to others.

KNOCK=${KNOCK:-$TOP/build/tests/knock}

# What of TcpExt is looked at.
COUNTERS='ListenOverflows ListenDrops TCPReqQFullDrop TCPReqQFullDoCookies
    SyncookiesSent SyncookiesRecv EmbryonicRsts TCPTimeouts'

is_shared() { [ -n "${TCPSAGA_VM:-}" ]; }

# ---- tcpsaga -------------------------------------------------------------------

# watch_from DIRECTORY [FILTER...]: sets TRACE_PID and FLOWS_PID.
watch_from() {
    local dir=$1
    shift
    launch "$dir/trace" trace -e syn,handshake,accept "$@"
    TRACE_PID=$LAUNCHED
    launch "$dir/flows" flows "$@"
    FLOWS_PID=$LAUNCHED
    await_start "$TRACE_PID" "$dir/trace" && await_start "$FLOWS_PID" "$dir/flows"
}

watch_both() {
    TOLD=$BATS_FILE_TMPDIR
    is_shared && return
    TOLD=$WORK
    watch_from "$WORK" netns "/run/netns/$NETNS" && return
    skip_if_refused "$WORK/trace"
    skip_if_refused "$WORK/flows"
    return 1
}

# Ctrl-C, then the law of the ledger; the first line is start, the last is stop.
stop_one() { # PID FILE
    kill -INT "$1"
    await_end "$1"
    head -n 1 "$2.json" | grep -q '"type":"start"' && tail -n 1 "$2.json" | grep -qE \
        '"type":"stop".*"ledger":\{"attempted":([0-9]+),"delivered":\1,"lost":\{\}\}' ||
        fail "start, stop, exact ledger: $(tail -n 1 "$2.json")"
}

stop_both() { # DIRECTORY
    stop_one "$TRACE_PID" "$1/trace"
    TRACE_PID=''
    stop_one "$FLOWS_PID" "$1/flows"
    FLOWS_PID=''
}

stop_apart() { is_shared || stop_both "$WORK"; }

# Function hooks that tell what becomes of a SYN. Without them tcpsaga shows
# less, and says so in its start line.
has_syn_hooks() { # FILE
    head -n 1 "$1.json" | grep -qE '"syn":"(fentry|kprobe)"'
}

need_syn_hooks() { has_syn_hooks "$TOLD/trace" || skip "no function hooks here"; }

need_accept_hook() {
    ! head -n 1 "$TOLD/trace.json" | grep -q '"accept":"none"' ||
        skip "no hook sees accept() here"
}

# The lines about this namespace that have been written to their end.
own_lines() { # FILE
    [ ! -e "$1" ] || head -n "$(wc -l <"$1")" "$1" | grep "\"netns\":$INODE[,}]" || true
}

gather() {
    local file
    for file in "$TOLD/trace.json" "$TOLD/flows.json" "$WORK/saga.json"; do
        own_lines "$file"
    done >"$WORK/told.json"
}

# ---- counters ------------------------------------------------------------------

# NAME VALUE, a line each.
read_counters() {
    inside cat /proc/net/netstat | awk -v wanted="$COUNTERS" '
        $1 != "TcpExt:" { next }
        !header { header = split($0, name); next }
        { for (i = 2; i <= NF; i++) value[name[i]] = $i }
        END {
            n = split(wanted, want)
            for (i = 1; i <= n; i++)
                print want[i], value[want[i]] + 0
        }'
}

# By how much each has moved since before.txt, as JSON.
read_moved() {
    read_counters >"$WORK/after.txt" || return
    paste -d ' ' "$WORK/before.txt" "$WORK/after.txt" | awk '
        { printf("%s\"%s\":%d", (NR > 1 ? "," : "{"), $1, $4 - $2) }
        END { print "}" }' >"$WORK/moved.json"
}

# counted NAME=VALUE...: exactly these have moved, by so much. TCPTimeouts is
# only looked at when named: how often a timer fires depends on the machine.
counted() {
    local told
    told=$(tr -d '{}"' <"$WORK/moved.json" | tr ',:' '\n=' | grep -v '=0$' || true)
    [[ $* == *TCPTimeouts* ]] || told=$(grep -v TCPTimeouts <<<"$told" || true)
    diff -u <(printf '%s\n' "$@" | LC_ALL=C sort) <(LC_ALL=C sort <<<"$told") >&2 ||
        fail "the kernel counted otherwise (- expected, + counted)"
}

# One of knock's sums, at the end.
knocked() { # NAME
    sed -n "/\"stage\":\"done\"/s/.*\"$1\":\([0-9]*\).*/\1/p" "$WORK/knock.json"
}

# ---- knock ---------------------------------------------------------------------

# The words before the scenario are settings of the namespace: NAME=VALUE.
apply_settings() {
    SCENARIO=()
    local word
    for word in "$@"; do
        if [ "${#SCENARIO[@]}" = 0 ] && [[ $word == *=* ]]; then
            set_sysctl "${word%%=*}" "${word#*=}"
        else
            SCENARIO+=("$word")
        fi
    done
    read_counters >"$WORK/before.txt"
}

end_of_knock() { # STATUS
    [ "$1" != 77 ] || skip "$(cat "$WORK/traffic.err")"
    [ "$1" = 0 ] || fail "knock ended with status $1"
}

knock() {
    local status=0
    inside "$KNOCK" "$@" >"$WORK/knock.json" 2>"$WORK/traffic.err" 3>&- || status=$?
    end_of_knock "$status"
    read_moved
}

# knock_held: it stops at each stage until it is told to go on.
knock_held() {
    mkfifo "$WORK/go"
    exec 8<>"$WORK/go"
    ip netns exec "$NETNS" "$KNOCK" "$@" --hold 1 \
        <"$WORK/go" >"$WORK/knock.json" 2>"$WORK/traffic.err" 3>&- 8>&- &
    TRAFFIC_PID=$!
}

stage_is_told() { # STAGE
    is_gone "$TRAFFIC_PID" || grep -q "\"stage\":\"$1\"" "$WORK/knock.json"
}

wait_stage() { # STAGE
    until_true "knock's stage $1" stage_is_told "$1"
    ! is_gone "$TRAFFIC_PID" || finish_knock
}

go_on() { printf x >&8; }

count_reports() { grep -c '"who":"knock"' "$WORK/knock.json"; }
has_report() { [ "$(count_reports)" -gt "$1" ]; }

# Timers go on while knock holds still: ask it again, and the counters.
refresh() {
    local before
    before=$(count_reports)
    printf r >&8
    until_true "a fresh report" has_report "$before" || return
    read_moved
}

finish_knock() {
    local status=0
    wait "$TRAFFIC_PID" || status=$?
    TRAFFIC_PID=''
    exec 8>&-
    end_of_knock "$status"
    read_moved
}

# ---- comparing -----------------------------------------------------------------

# judge "FORM..." [STAGE]: true when what has been gathered is all as it must be;
# what is not is in verdict.txt.
judge() {
    echo 'verdict: nothing yet' >"$WORK/verdict.txt"
    jq -n -r --arg forms "$1" --arg stage "${2:-done}" --arg other "$CAUSE" \
        --slurpfile saga "$WORK/told.json" --slurpfile knock "$WORK/knock.json" \
        --argjson moved "$(cat "$WORK/moved.json")" --rawfile ss "$WORK/ss.txt" \
        -f "$HERE/queues.jq" >"$WORK/judged.txt" || return
    mv "$WORK/judged.txt" "$WORK/verdict.txt"
    [ ! -s "$WORK/verdict.txt" ]
}

judge_now() { gather && judge "$@"; }

ask_ss() { inside ss -Hltn 'sport = :8080' >"$WORK/ss.txt"; }

judge_afresh() { refresh && ask_ss && gather && judge "$@"; }

judge_once() {
    refresh && ask_ss &&
        "$TCPSAGA" queues --once -o json netns "/run/netns/$NETNS" \
            >"$WORK/once.json" 2>"$WORK/once.err" 3>&- &&
        own_lines "$WORK/once.json" >"$WORK/told.json" && judge "$@"
}

# Lines to come may mend a difference, but not what is wrong with a line.
is_settled() {
    "$@" || ! grep -qE '^[a-z]+: ([-+] |nothing)' "$WORK/verdict.txt"
}

# until_judged HOW "FORM..." [STAGE]. Lines that never come end the wait: the
# verdict shows which.
until_judged() {
    until_true "$2" is_settled "$@" 2>"$WORK/waiting.txt" || cat "$WORK/waiting.txt" >&2
    [ -s "$WORK/verdict.txt" ] || return 0
    head -n 20 "$WORK/verdict.txt" >&2
    fail "not as expected: $2"
}

# How many events are to come, as far as knock alone can tell.
has_events() {
    gather
    [ "$(grep -cE '"type":"(syn|accept)"' "$WORK/told.json")" -ge \
        $(($(knocked syns) + $(knocked accepted))) ]
}

# Every event, by outcome and cause, against the counters and what knock did;
# then every caller's fate, every life, every line. Nobody lists a crowd.
compare_events() {
    local forms='laws lines events'
    ! grep -q '"who":"caller"' "$WORK/knock.json" || forms+=' callers lives'
    until_true "all SYNs and accepts" has_events || true
    until_judged judge_now "$forms"
}

# ---- whole tests ---------------------------------------------------------------

# check [NAME=VALUE...] SCENARIO [OPTION...]
check() {
    apply_settings "$@"
    watch_both
    need_syn_hooks
    knock "${SCENARIO[@]}"
    compare_events
    stop_apart
}

# check_accepts: accept() alone, which syscall tracepoints tell as well.
check_accepts() {
    apply_settings "$@"
    watch_both
    need_accept_hook
    knock "${SCENARIO[@]}"
    until_judged judge_now 'accepts waits'
    stop_apart
}

# At a stage nothing moves: the listeners' lines must agree with knock, with the
# counters and with ss; so must a look at the kernel's tables.
check_stage() { # STAGE
    wait_stage "$1"
    if has_syn_hooks "$WORK/saga"; then
        until_judged judge_afresh 'listeners ss' "$1"
    else
        until_judged judge_afresh 'sample ss' "$1"
    fi
    until_judged judge_once 'sample ss' "$1"
    go_on
}

# After its end a listener's line still holds the sums of its whole life.
check_held() {
    apply_settings "$@"
    watch_both
    watch queues
    knock_held "${SCENARIO[@]}"
    check_stage held
    check_stage closing
    finish_knock
    if has_syn_hooks "$WORK/saga"; then
        until_judged judge_now sums
        compare_events
    fi
    stop_apart
    stop_one "$SAGA_PID" "$WORK/saga"
    SAGA_PID=''
}

# What `queues` says last of the only listener.
last_queue() { # KEY
    grep '"type":"queue"' "$WORK/saga.json" | tail -n 1 | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}

# ---- around each test and the file ---------------------------------------------

queues_setup() {
    CAUSE=other TRACE_PID='' FLOWS_PID=''
    if is_shared; then
        skip_if_refused "$BATS_FILE_TMPDIR/trace"
        skip_if_refused "$BATS_FILE_TMPDIR/flows"
    fi
    common_setup
    [ -x "$KNOCK" ] || fail "no handshake maker: $KNOCK"
    echo '{}' >"$WORK/moved.json"
    echo 'verdict: nothing yet' >"$WORK/verdict.txt"
    : >"$WORK/knock.json" >"$WORK/told.json" >"$WORK/ss.txt"
}

queues_teardown() {
    end_process "${TRACE_PID:-}"
    end_process "${FLOWS_PID:-}"
    if is_shared; then
        echo "netns del ${NETNS:-}" >>"$BATS_FILE_TMPDIR/namespaces"
        NETNS=''
    fi
    common_teardown
}

start_shared() {
    is_shared || return 0
    watch_from "$BATS_FILE_TMPDIR" ||
        [ -s "$BATS_FILE_TMPDIR/trace.refused" ] ||
        [ -s "$BATS_FILE_TMPDIR/flows.refused" ]
}

end_shared() {
    is_shared && [ ! -s "$BATS_FILE_TMPDIR/trace.refused" ] || return 0
    stop_both "$BATS_FILE_TMPDIR"
    ip -batch "$BATS_FILE_TMPDIR/namespaces"
}

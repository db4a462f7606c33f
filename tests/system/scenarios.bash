# shellcheck shell=bash
# scenarios.bash: what the tests of scenarios share, on top of lib.bash. Each
# scenario is played once, with two tcpsagas watching, flows and trace, and
# compared with the table in expected.bash in both forms.
#
# On a host, where others make traffic too, each test has two tcpsagas of its own
# that watch only its namespace. In a virtual machine, where to start a program
# takes seconds, all tests of the file share two that watch everything: each test
# picks the lines of its namespace, and when the file is done every line is
# accounted for. So namespaces stay until then, for the kernel would give their
# inodes to others.

source "$HERE/expected.bash"

is_shared() { [ -n "${TCPSAGA_VM:-}" ]; }

# ---- the two tcpsagas ----------------------------------------------------------

# watch_from DIRECTORY [FILTER...]: sets FLOWS_PID and TRACE_PID.
watch_from() {
    local dir=$1
    shift
    launch "$dir/flows" flows --at-close "$@"
    FLOWS_PID=$LAUNCHED
    # All but refused bind() and listen(), which no scenario is about: from 7.0 on the
    # kernel skips their programs now and then (a task is preempted in one), which is told.
    launch "$dir/trace" trace -e transition,syn,handshake,accept,timewait "$@"
    TRACE_PID=$LAUNCHED
    await_start "$FLOWS_PID" "$dir/flows" && await_start "$TRACE_PID" "$dir/trace"
}

watch_apart() {
    TOLD=$WORK
    watch_from "$WORK" netns "/run/netns/$NETNS" && return
    skip_if_refused "$WORK/flows"
    skip_if_refused "$WORK/trace"
    return 1
}

watch_both() {
    if is_shared; then
        TOLD=$BATS_FILE_TMPDIR
    else
        watch_apart
    fi
}

stop_both() {
    kill -INT "$FLOWS_PID" "$TRACE_PID"
    await_end "$FLOWS_PID"
    await_end "$TRACE_PID"
    FLOWS_PID='' TRACE_PID=''
}

# ---- picking lines -------------------------------------------------------------

# pick_own VERB: the lines about this namespace. sed leaves a last line that has
# not been written to its end as it is, without an end.
pick_own() {
    [ "$TOLD" = "$WORK" ] ||
        sed -n "/\"netns\":$INODE[,}]/p" "$TOLD/$1.json" >"$WORK/$1.json"
}

# count_own VERB TYPE: sets COUNT; fails when a last line has no end yet. No
# process is started: this is polled, on slow machines.
count_own() {
    local line
    COUNT=0
    while IFS= read -r line; do
        [[ $line != *"\"type\":\"$2\""* ]] || COUNT=$((COUNT + 1))
    done <"$WORK/$1.json"
    [ -z "$line" ]
}

has_own() { # VERB TYPE COUNT
    pick_own "$1"
    count_own "$1" "$2" && [ "$COUNT" -ge "$3" ]
}

# How many connections and transitions are to come: a row of N states is one
# connection of N transitions, a listener is two transitions.
count_expected() { # sets LIVES and TRANSITIONS
    local who states line
    local -A steps=()
    LIVES=0 TRANSITIONS=0
    while read -r who _ states _; do
        states=${states//[!,]/}
        steps[$who]=$((${#states} + 1))
    done <<<"$ROWS"
    while read -r line; do
        who=${line#*\"who\":\"}
        who=${who%%\"*}
        case $who in
        listener | loser) TRANSITIONS=$((TRANSITIONS + 2)) ;;
        *)  LIVES=$((LIVES + 1))
            TRANSITIONS=$((TRANSITIONS + ${steps[$who]:-0})) ;;
        esac
    done <"$WORK/traffic.json"
}

# ---- comparing -----------------------------------------------------------------

show_difference() { # FORM
    diff -u --label expected --label told \
        <(sed -n "s/^$1 expected: //p" "$WORK/verdict.txt") \
        <(sed -n "s/^$1 told: //p" "$WORK/verdict.txt") >&2
}

compare() {
    local form
    jq -n -r -L "$HERE" --slurpfile traffic "$WORK/traffic.json" \
        --slurpfile flows "$WORK/flows.json" --slurpfile trace "$WORK/trace.json" \
        --arg rows "$ROWS" --arg name "$NAME" -f "$HERE/check.jq" \
        >"$WORK/verdict.txt" || fail "lines that are no JSON" || return
    [ "$(<"$WORK/verdict.txt")" != $'lives: alike\ntransitions: alike' ] ||
        return 0
    for form in lives transitions; do
        show_difference "$form" || true
    done
    fail "not as expected" "$(grep ': nothing' "$WORK/verdict.txt")"
}

# check_sound VERB INODE...: all that it told, about these namespaces.
check_sound() {
    local file=$TOLD/$1.json known complaints
    shift
    known=$(printf '"%s":true,' "$@")
    complaints=$(jq -n -r -L "$HERE" --argjson netns "{${known%,}}" \
        --arg kernel "$KERNEL" 'import "sound" as sound;
            sound::complaints(sound::batches; empty; $netns; $kernel)' "$file") ||
        fail "a line that is no JSON" || return
    [ -z "$complaints" ] || fail "$(head -n 5 <<<"$complaints")"
}

# note_own VERB TYPE: what was told until now; end_shared holds the end against it.
note_own() {
    count_own "$1" "$2" || true
    echo "$INODE $2 $COUNT" >>"$TOLD/noted"
}

count_by_netns() { # FILE...
    sed -nE 's/.*"type":"(connection|transition)",.*"netns":([0-9]+)[,}].*/\2 \1/p' "$@" |
        awk '{ count[$0]++ } END { for (what in count) print what, count[what] }'
}

# Lines that never come end the wait and not the test: the comparison that
# follows shows which.
finish() {
    hear_out
    compare
}

hear_out() {
    count_expected
    until_true "$LIVES connections" has_own flows connection "$LIVES" || true
    until_true "$TRANSITIONS transitions" \
        has_own trace transition "$TRANSITIONS" || true
    if [ "$TOLD" = "$WORK" ]; then
        note_ss
        stop_both
        agrees_with_ss "$WORK/flows.json"
        check_sound flows "$INODE"
        check_sound trace "$INODE"
    else
        note_own flows connection
        note_own trace transition
    fi
}

# ---- whole tests ---------------------------------------------------------------

# check SCENARIO [OPTION...]: the whole of an ordinary test.
check() {
    ROWS=$(expected_rows "$@")
    watch_both
    check_as_told "$@"
}

check_as_told() {
    traffic_inside "$@"
    finish
}

is_reported() { grep -q '"who":"server"' "$WORK/traffic.json"; }

# ss -K ends the client while traffic waits for it.
check_killed() {
    local port status=0
    ROWS=$(expected_rows killed)
    watch_both
    ip netns exec "$NETNS" "$TRAFFIC" killed \
        >"$WORK/traffic.json" 2>"$WORK/traffic.err" 3>&- &
    TRAFFIC_PID=$!
    until_true "traffic's lines" is_reported
    port=$(jq 'select(.who == "client") | .local.port' "$WORK/traffic.json")
    inside ss -t -4 -n -K "sport = :$port" >"$WORK/ss.out" 2>&1 || true
    grep -q ":$port" "$WORK/ss.out" || skip "ss -K: $(cat "$WORK/ss.out")"
    wait "$TRAFFIC_PID" || status=$?
    TRAFFIC_PID=''
    [ "$status" = 0 ] || fail "traffic ended with status $status"
    finish
}

# Where accept() is seen the connection is its caller's until the end, and the
# transition that another process makes by its close() names that one.
check_handover() {
    ROWS=$(expected_rows handover)
    watch_both
    if grep -q '"accept":"none"' <(head -n 1 "$TOLD/trace.json"); then
        check_as_told handover
        return
    fi
    traffic_inside handover
    hear_out
    jq -e -n --slurpfile traffic "$WORK/traffic.json" --slurpfile flows "$WORK/flows.json" \
        --slurpfile trace "$WORK/trace.json" '
        def pid($who): $traffic[] | select(.who == $who) | .pid;
        [$flows[] | select(.type == "connection" and .role == "server") | .process | [.comm, .pid]]
            == [["traffic", pid("client")]]
        and [$trace[] | select(.type == "transition" and .new == "FIN_WAIT1") | .process | [.comm, .pid]]
            == [["heir", pid("server")]]' >"$WORK/verdict.txt" ||
        fail "not as expected" "$(grep '"role":"server"' "$WORK/flows.json" "$WORK/trace.json")"
}

# check_no_connection SCENARIO: it makes none, and nothing of it is told unless
# as the listeners it names. The connection that follows shows that tcpsaga was
# awake.
check_no_connection() {
    ROWS=$(expected_rows client-first)
    watch_both
    traffic_inside "$1"
    case $1 in
    sctp) : >"$WORK/listeners.json" ;;
    *) mv "$WORK/traffic.json" "$WORK/listeners.json" ;;
    esac
    traffic_inside client-first
    cat "$WORK/listeners.json" >>"$WORK/traffic.json"
    finish
}

# The same traffic twice, the first time in a namespace that was not asked for:
# the tcpsagas have to do the picking, in a virtual machine as well.
check_beside_another() {
    local mine=$NETNS
    ROWS=$(expected_rows client-first)
    OTHER=$mine-other
    ip netns add "$OTHER"
    ip -n "$OTHER" link set lo up
    watch_apart
    NETNS=$OTHER
    traffic_inside client-first --client-port 5555
    NETNS=$mine
    traffic_inside client-first --client-port 5555
    finish
}

# ---- around each test and the file ----------------------------------------------

scenario_setup() {
    FLOWS_PID='' TRACE_PID='' TOLD='' ROWS=''
    if is_shared; then
        skip_if_refused "$BATS_FILE_TMPDIR/flows"
        skip_if_refused "$BATS_FILE_TMPDIR/trace"
    fi
    common_setup
}

# Who comes last deletes the namespaces that were shared with.
scenario_teardown() {
    end_process "${FLOWS_PID:-}"
    end_process "${TRACE_PID:-}"
    if is_shared; then
        # shellcheck disable=SC2086 # none, one or two
        printf '/run/netns/%s\n' $NETNS $OTHER >>"$BATS_FILE_TMPDIR/namespaces"
        NETNS='' OTHER=''
    fi
    common_teardown
}

start_shared() {
    is_shared || return 0
    watch_from "$BATS_FILE_TMPDIR" && return
    end_process "$FLOWS_PID"
    end_process "$TRACE_PID"
    FLOWS_PID=''
    [ -s "$BATS_FILE_TMPDIR/flows.refused" ] || [ -s "$BATS_FILE_TMPDIR/trace.refused" ]
}

# All lines of all tests once more: none came for a test that was over, none of
# a namespace that is no test's, each is sound, nothing was lost.
end_shared() {
    [ -n "${FLOWS_PID:-}" ] || return 0
    local inodes
    cd "$BATS_FILE_TMPDIR"
    inodes=$(xargs stat -L -c %i <namespaces)
    sed 's|.*/|netns del |' namespaces | ip -batch -
    TOLD=$BATS_FILE_TMPDIR
    stop_both
    # shellcheck disable=SC2086 # one word each
    check_sound flows $inodes
    # shellcheck disable=SC2086
    check_sound trace $inodes
    count_by_netns flows.json trace.json >counted
    grep -vxFf counted noted >late || return 0
    fail "lines that came when their test was over; until then there were" "$(<late)"
}

# shellcheck shell=bash
# queues.bash: what the tests of handshakes and queues share, on top of lib.bash:
# traffic by knock (KNOCK, default: build/tests/knock), compared by queues.jq with
# the kernel's own counters, with ss, and with what knock did.
#
# The words behind `check`, `check_held` and `check_accepts` are plays. All plays
# of the file are played before the first test, at the same time, each in a
# network namespace of its own, watched by one `trace`, one `flows` and one
# `queues`; then one jq judges them all, and each test looks up its verdict. To
# start a program takes long in a virtual machine, and most plays only wait for a
# timer. Twice, where kprobes work: with the hooks that tcpsaga takes by itself,
# and with the kprobe twins.

KNOCK=${KNOCK:-$TOP/build/tests/knock}

# ---- the plays of the file -----------------------------------------------------

# "KIND WORDS", a line each; a play's number is its line's.
list_plays() {
    sed -nE 's/^ +check(_held|_accepts)? /check\1 /p' "$BATS_TEST_FILENAME" |
        sort -u >"$BATS_FILE_TMPDIR/plays"
    if has_function_hooks; then
        : >"$BATS_FILE_TMPDIR/functions"
    else
        sed -i '/^check /d' "$BATS_FILE_TMPDIR/plays"
    fi
}

# Of plain plays nothing is told without.
has_function_hooks() {
    [ "${TCPSAGA_HOOKS:-}" != tracepoint ] &&
        "$TCPSAGA" probe -o json | jq -e '.hooks[] | select(.hook == "syn") | .works' >/dev/null
}

# Drops that no counter names by their cause are of one cause, "other" unless the
# play's settings lead to the last quarter.
cause_of() { # WORDS
    case $1 in
    *tcp_max_syn_backlog=*) echo last_quarter ;;
    *) echo other ;;
    esac
}

# ---- knocks --------------------------------------------------------------------

# A knock tells its stages by lines "STAGE PID NETNS" on descriptor 9 and waits at
# each for SIGUSR1.
declare -A STAGES=() INODES=() HELD=()
PIDS=() NAMESPACES=()

start_knock() { # N WORDS...
    local n=$1
    shift
    "$KNOCK" "$@" --tell 9 >"$PASS/$n.json" 2>"$PASS/$n.err" </dev/null 3>&- &
    PIDS[n]=$!
    STAGES[$!]=begun
}

hear() {
    local stage pid inode
    read -r -t "$PATIENCE_S" stage pid inode <&9 || fail "waited in vain for a knock" || return
    # Its children may say that they are gone, too.
    [ -n "${STAGES[$pid]:-}" ] || return 0
    STAGES[$pid]=$stage
    [ "$stage" = gone ] || INODES[$pid]=$inode
}

# await STAGE|STAGE... PID...: who has gone is waited for no longer.
await() {
    local stages=$1 pid
    shift
    for pid; do
        until [[ ${STAGES[$pid]} =~ ^($stages|gone)$ ]]; do
            hear || fail "knock $pid, at ${STAGES[$pid]}, does not come to $stages" || return
        done
    done
}

# Those of PIDS at one of these stages, in AT.
at_stage() { # STAGE|STAGE...
    local pid
    AT=()
    for pid in "${PIDS[@]}"; do
        [[ ! ${STAGES[$pid]} =~ ^($1)$ ]] || AT+=("$pid")
    done
}

# An inode is another namespace's as soon as its own is gone: not before tcpsaga
# has told all.
hold_namespace() { # PID
    local fd
    exec {fd}<"/proc/$1/ns/net"
    NAMESPACES+=("$fd")
}

drop_namespaces() {
    local fd
    for fd in "${NAMESPACES[@]}"; do
        exec {fd}<&-
    done
    NAMESPACES=()
}

release() { # PID...
    local pid
    for pid; do
        STAGES[$pid]=released
    done
    [ $# = 0 ] || kill -USR1 "$@"
}

end_knocks() {
    local n pid
    at_stage 'done'
    for pid in "${AT[@]}"; do
        hold_namespace "$pid"
    done
    release "${AT[@]}"
    for n in "${!PIDS[@]}"; do
        wait "${PIDS[n]}" && echo 0 >"$PASS/$n.status" || echo $? >"$PASS/$n.status"
        : >"$PASS/$n.verdict"
    done
    PIDS=() HELD=()
}

kill_knocks() {
    local pid
    for pid in "${PIDS[@]}"; do
        end_process "$pid"
    done
    PIDS=()
}

# ---- tcpsaga -------------------------------------------------------------------

netns_terms() {
    local terms
    terms=$(printf ' or netns %s' "${INODES[@]}")
    echo "${terms# or }"
}

# In a virtual machine nobody else makes traffic: there everything is watched.
# Elsewhere the kernel itself filters by the port, lest others fill the ring.
filter_plays() {
    FILTER=''
    [ -z "${TCPSAGA_VM:-}" ] || return 0
    FILTER="port 8080 and ($(netns_terms))"
}

SAGAS=()
start_sagas() {
    local verb
    SAGAS=()
    for verb in "trace -e syn,handshake,accept" flows queues; do
        # shellcheck disable=SC2086 # the verb's words
        launch "$PASS/${verb%% *}" $verb ${FILTER:+"$FILTER"}
        SAGAS+=("$LAUNCHED")
    done
    await_start "${SAGAS[0]}" "$PASS/trace" && await_start "${SAGAS[1]}" "$PASS/flows" &&
        await_start "${SAGAS[2]}" "$PASS/queues"
}

# Ctrl-C, then the law of the ledger; the first line is start, the last is stop.
stop_saga() { # PID FILE
    kill -INT "$1"
    await_end "$1"
    head -n 1 "$2.json" | grep -q '"type":"start"' && tail -n 1 "$2.json" | grep -qE \
        '"type":"stop".*"ledger":\{"attempted":([0-9]+),"delivered":\1,"lost":\{\}\}' ||
        fail "start, stop, exact ledger: $(grep '"type":"loss"' "$2.json"; tail -n 1 "$2.json")"
}

stop_sagas() {
    stop_saga "${SAGAS[0]}" "$PASS/trace" && stop_saga "${SAGAS[1]}" "$PASS/flows" &&
        stop_saga "${SAGAS[2]}" "$PASS/queues"
}

kill_sagas() {
    local pid
    for pid in "${SAGAS[@]}"; do
        end_process "$pid"
    done
}

# ---- looking while plays are held ----------------------------------------------

count_snapshots() { # NETNS
    grep -c "\"type\":\"queue\".*\"listener\".*\"netns\":$1[,}]" "$PASS/queues.json" || true
}

has_snapshots() { # NETNS COUNT
    [ "$(count_snapshots "$1")" -ge "$2" ]
}

# The live `queues` has to end three looks: the first may have begun before the
# last play held still, and of those behind it the second counts (queues.jq). One
# line per listener and look.
await_snapshots() { # PID
    local listeners
    listeners=$(count_listeners "$1")
    until_true "three looks of queues" has_snapshots "${INODES[$1]}" \
        "$(($(count_snapshots "${INODES[$1]}") + 3 * listeners))"
}

ss_of() { nsenter --net="/proc/$1/ns/net" ss -Hltn 'sport = :8080'; }
count_listeners() { ss_of "$1" | wc -l; }

look() { # at all that are held
    local n pid
    await_snapshots "${AT[-1]}" || return
    "$TCPSAGA" queues --source live --once -o json ${FILTER:+"$FILTER"} >>"$PASS/once" 2>"$PASS/once.err" 3>&- ||
        fail "queues --once: $(cat "$PASS/once.err")" || return
    for n in "${!PIDS[@]}"; do
        pid=${PIDS[n]}
        [[ ${STAGES[$pid]} != @(held|closing) ]] || ss_of "$pid" >"$PASS/${STAGES[$pid]}.$n.ss"
    done
}

join_ss() {
    local file words
    for file in "$PASS"/*.ss; do
        words=${file##*/}
        words=${words%.ss}
        sed "s/^/${words/./ } /" "$file"
    done >"$PASS/ss"
}

# ---- a pass --------------------------------------------------------------------

# While a play is held its requests' timers back off: who waited for the next one
# after the listener has closed would wait long. An RST finds out as well.
held_words() { # WORDS
    [[ $1 == *--after* ]] && echo "$1 --hold 1" || echo "$1 --hold 1 --after packet"
}

start_knocks() {
    local n=0 kind words
    while read -r kind words; do
        n=$((n + 1))
        echo "$n $kind $(cause_of "$words")" >>"$PASS/plays"
        [ "$kind" != check_held ] || words=$(held_words "$words")
        # shellcheck disable=SC2086 # words
        start_knock "$n" $words
        [ "$kind" != check_held ] || HELD[$!]=1
    done <"$BATS_FILE_TMPDIR/plays"
    await house "${PIDS[@]}"
}

# First those that need no looking at, so that a look finds few namespaces.
release_plain() {
    local pid plain=()
    for pid in "${PIDS[@]}"; do
        [ -n "${HELD[$pid]:-}" ] || plain+=("$pid")
    done
    release "${plain[@]}"
    await 'done' "${plain[@]}" || return
    for pid in "${plain[@]}"; do
        [ "${STAGES[$pid]}" = gone ] || hold_namespace "$pid"
    done
    at_stage 'done'
    release "${AT[@]}"
}

play_all() {
    release_plain || return
    at_stage house
    release "${AT[@]}"
    while
        await 'held|closing|done' "${PIDS[@]}" || return
        at_stage 'held|closing'
        [ "${#AT[@]}" != 0 ]
    do
        look || return
        release "${AT[@]}"
    done
    join_ss
}

# What is not as it must be, in N.verdict; nothing in it is a good one.
judge_all() {
    local n text
    jq -n -r --arg plays "$(sed 's/check_//' "$PASS/plays")" --rawfile ss "$PASS/ss" \
        --slurpfile saga <(cat "$PASS/trace.json" "$PASS/flows.json" "$PASS/queues.json") \
        --slurpfile once "$PASS/once" \
        --argjson hooks "$(<"$PASS/hooks")" -f "$HERE/queues.jq" \
        "$PASS"/[0-9]*.json >"$PASS/verdicts" || return
    while IFS=$'\t' read -r n text; do
        echo "$text" >>"$PASS/$n.verdict"
    done <"$PASS/verdicts"
}

# The hooks that work, of the start lines of all three, as an object.
working_hooks() {
    cat "$PASS"/{trace,flows,queues}.json | jq -c -n '[inputs | select(.type == "start") | .hooks]
        | add | with_entries(select(.value != "none"))'
}

# run_pass NAME: all that comes of it is in $BATS_FILE_TMPDIR/NAME.
run_pass() {
    local begun_s=$SECONDS
    PASS=$BATS_FILE_TMPDIR/$1
    STAGES=() INODES=()
    mkdir "$PASS"
    : >"$PASS/ss"
    : >"$PASS/once"
    [ "$1" = auto ] || local TCPSAGA_HOOKS=$1
    start_knocks && filter_plays || return
    if ! start_sagas; then
        kill_knocks
        kill_sagas
        compgen -G "$PASS/*.refused" >/dev/null
        return
    fi
    play_all || return
    local played_s=$SECONDS
    end_knocks && stop_sagas || return
    working_hooks >"$PASS/hooks" && judge_all || return
    drop_namespaces
    echo "# hooks $1: ${#STAGES[@]} plays in $((played_s - begun_s)) s, judged in $((SECONDS - played_s)) s" >&3
}

# True when all that the pass has lost are events whose programs the kernel skipped,
# and the ledger says so.
lost_only_skipped() {
    jq -s -e 'map(select(.type == "stop").ledger)
        | any(.[]; .lost.recursion) and all(.[];
            (.lost | keys - ["recursion"] == []) and .attempted == .delivered + (.lost | add // 0))
        ' "$PASS"/{trace,flows,queues}.json >/dev/null
}

# True when a SYN-ACK was sent again that should not have been: for a second nobody
# answered, since the machine did not get to it. What the kernel then does is no
# longer the play.
was_too_slow() {
    cat "$PASS"/*.verdict 2>/dev/null | grep -q '+ told *handshake synack_retransmitted'
}

# play_pass NAME. While the program of one kprobe runs on a CPU, the kernel runs that
# of no other there: what a softirq does meanwhile is skipped, and told. The pass
# then shows no more than an honest ledger, and is played again.
play_pass() {
    local try
    for try in 1 2 3; do
        if run_pass "$1"; then
            was_too_slow && [ "$try" -lt 3 ] || return 0
            echo "# hooks $1: the machine was too slow; once more" >&3
            mv "$PASS" "$PASS.$try"
            continue
        fi
        kill_knocks
        kill_sagas
        [ "$1" = kprobe ] && lost_only_skipped || return
        drop_namespaces
        echo "# hooks $1: programs were skipped, and it was told; once more" >&3
        mv "$PASS" "$PASS.$try"
    done
    return 1
}

# The hooks to play all with. The kprobe twins are for kernels that have no trampoline
# on some machines, which is before 6.12; make check-queues plays both on all.
pass_names() {
    local major minor
    IFS=.- read -r major minor _ < <(uname -r)
    if [ -n "${TCPSAGA_HOOKS:-}" ]; then
        echo "$TCPSAGA_HOOKS"
    elif [ -n "${QUEUES_HOOKS:-}" ]; then
        echo "$QUEUES_HOOKS"
    elif [ "$major" -le 6 ] && { [ "$major" -lt 6 ] || [ "$minor" -lt 12 ]; }; then
        echo auto kprobe
    else
        echo auto
    fi
}

run_passes() {
    local pass
    [ -x "$KNOCK" ] || fail "no handshake maker: $KNOCK" || return
    set +o functrace
    list_plays
    mkfifo "$BATS_FILE_TMPDIR/told"
    exec 9<>"$BATS_FILE_TMPDIR/told"
    for pass in $(pass_names); do
        play_pass "$pass" && continue
        cat "$PASS"/*.err | head -n 20 >&2
        fail "the pass with hooks \"$pass\" failed"
        return
    done
    exec 9>&-
}

# ---- tests ---------------------------------------------------------------------

# Passes that were not refused, in PASSES.
find_passes() {
    local pass
    PASSES=()
    for pass in $(pass_names); do
        if [ -e "$BATS_FILE_TMPDIR/$pass/verdicts" ]; then
            PASSES+=("$BATS_FILE_TMPDIR/$pass")
        fi
    done
}

# Kernels of the VM suite have function hooks: a skip there would hide their loss.
skip_or_fail() {
    [ -z "${TCPSAGA_VM:-}" ] || [ "${TCPSAGA_HOOKS:-}" = tracepoint ] || fail "$1" || return
    skip "$1"
}

need_hook() { # NAME REASON
    grep -q "\"$1\":" "$PASS/hooks" || skip_or_fail "$2"
}

# Sock_diag names sockets by cookies, programs name them by address where they get
# no cookie (5.10): in a group, at one place, it is not known which is which.
need_cookies() {
    "$TCPSAGA" probe -o json | grep -q '"socket_cookie":true' ||
        skip "no socket cookies here: samples of a group cannot be joined to its events"
}

# The play's number, in N.
find_play() { # KIND WORDS...
    local line
    [ "$1" != check ] || [ -e "$BATS_FILE_TMPDIR/functions" ] ||
        skip_or_fail "no function hooks here" || return
    N=0
    while read -r line; do
        N=$((N + 1))
        [ "$line" != "$*" ] || return 0
    done <"$BATS_FILE_TMPDIR/plays"
    fail "no such play: $*"
}

look_up() {
    local status
    status=$(<"$PASS/$N.status")
    [ "$status" != 77 ] || skip "$(<"$PASS/$N.err")"
    [ "$status" = 0 ] || fail "knock ended with status $status" "$(<"$PASS/$N.err")" || return
    [ -s "$PASS/$N.verdict" ] || return 0
    head -n 20 "$PASS/$N.verdict" >&2
    fail "not as expected (hooks: ${PASS##*/})"
}

# A skip for want of hooks is the first pass's: the other is more of the same.
look_up_all() { # HOOK REASON: needed; none: ''
    for PASS in "${PASSES[@]}"; do
        [ -z "$1" ] || need_hook "$1" "$2"
        look_up || return
    done
}

check() {
    find_play check "$@"
    look_up_all syn "no function hooks here"
}
check_held() {
    find_play check_held "$@"
    look_up_all '' ''
}
check_accepts() {
    find_play check_accepts "$@"
    look_up_all accept "no hook sees accept() here"
}

# One of knock's sums, at the end.
knocked() { # NAME
    local lines
    mapfile -t lines <"$PASS/$N.json"
    [[ ${lines[-1]} =~ \"$1\":([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}

# By how much each counter has moved, "NAME=VALUE" each that has, in MOVED.
read_moved() {
    local line name before='' after=''
    MOVED=()
    while read -r line; do
        [ -n "$before" ] || before=${line##*\"counters\":}
        after=${line##*\"counters\":}
    done <"$PASS/$N.json"
    for name in ListenOverflows ListenDrops TCPReqQFullDrop TCPReqQFullDoCookies \
        SyncookiesSent SyncookiesRecv EmbryonicRsts TCPTimeouts; do
        [[ "$before $after" =~ \"$name\":([0-9]+).*\"$name\":([0-9]+) ]] || fail "no $name"
        [ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ] ||
            MOVED+=("$name=$((BASH_REMATCH[2] - BASH_REMATCH[1]))")
    done
}

# counted NAME=VALUE...: exactly these have moved, by so much, in the order above.
# TCPTimeouts is only looked at when named: how often a timer fires depends on the
# machine.
counted() {
    local told
    for PASS in "${PASSES[@]}"; do
        read_moved
        told="${MOVED[*]}"
        [[ $* == *TCPTimeouts* ]] || told=${told%TCPTimeouts=*}
        [ "${told% }" = "$*" ] || fail "the kernel counted $told, not $*"
    done
}

# What `queues` says last of the play's listener.
last_queue() { # KEY
    local inode
    inode=$(knocked netns)
    grep "\"type\":\"queue\".*\"listener\".*\"netns\":${inode}[,}]" "$PASS/queues.json" | tail -n 1 |
        sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}

#!/usr/bin/env bats
# hostwide: what `queues` tells beside its listeners' events: the counters of
# the namespace, the quality of each number, listeners that only the kernel's
# tables tell, requests that we aborted.

load lib.bash

KNOCK=${KNOCK:-$TOP/build/tests/knock}
VALIDATE=$TOP/tests/replay/validate.py
COUNTERS='ListenOverflows ListenDrops TCPReqQFullDrop TCPReqQFullDoCookies
    SyncookiesSent SyncookiesRecv SyncookiesFailed EmbryonicRsts'

setup() {
    common_setup
    [ -x "$KNOCK" ] || fail "no handshake maker: $KNOCK"
}
teardown() { common_teardown; }

# "ListenOverflows 4", one a line, those of $COUNTERS, from the kernel itself.
read_counters() {
    inside awk -v wanted="$COUNTERS" '
        BEGIN { split(wanted, list); for (i in list) want[list[i]] = 1 }
        $1 == "TcpExt:" && !names { for (i = 2; i <= NF; i++) name[i] = $i; names = 1; next }
        $1 == "TcpExt:" { for (i = 2; i <= NF; i++) if (name[i] in want) print name[i], $i }
    ' /proc/net/netstat | sort
}

knock() {
    local status=0
    inside "$KNOCK" --here "$@" >"$WORK/knock.json" 2>"$WORK/traffic.err" 3>&- || status=$?
    [ "$status" != 77 ] || skip "$(cat "$WORK/traffic.err")"
    [ "$status" = 0 ] || fail "knock ended with status $status"
}

# The last line of the namespace: "NAME VALUE" of each counter's delta or total.
told() { # delta|total
    jq -r --arg what "$1" --argjson netns "$INODE" --arg wanted "$COUNTERS" '
        select(.type == "queue" and .quality == "host_wide" and .netns == $netns)
        | [.counters | to_entries[] | select([.key] | inside($wanted | [splits("\\s+")]))
            | "\(.key) \(.value[$what])"] | sort | join(",")' "$WORK/saga.json" |
        tail -n 1 | tr ',' '\n'
}

has_hooks() { # HOOK
    [ "$(jq -r --arg hook "$1" 'select(.type == "start") | .hooks[$hook]' "$WORK/saga.json")" != none ]
}

# By how much each counter moved since before.txt: in moved.txt.
read_moved() {
    read_counters >"$WORK/after.txt"
    awk 'NR == FNR { before[$1] = $2; next } { print $1, $2 - before[$1] }' \
        "$WORK/before.txt" "$WORK/after.txt" >"$WORK/moved.txt"
}

# What moved since before.txt must be told as delta, what is there now as total.
compare_counters() {
    read_moved
    diff -u "$WORK/moved.txt" <(told delta) >&2 || fail "deltas (- the kernel's, + told)"
    diff -u "$WORK/after.txt" <(told total) >&2 || fail "totals (- the kernel's, + told)"
}

# moved NAME=VALUE...: so that two wrong zeroes do not pass for a comparison.
moved() {
    local pair
    for pair; do
        grep -qx "${pair%%=*} ${pair#*=}" "$WORK/moved.txt" || fail "$pair" "$(cat "$WORK/moved.txt")"
    done
}

# In a virtual machine there is no python.
validate() {
    [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import jsonschema' 2>/dev/null || return 0
    "$TCPSAGA" schema >"$WORK/schema.json"
    /usr/bin/python3 "$VALIDATE" "$WORK/schema.json" <"$1"
}

@test "host-wide: deltas and totals of the namespace's counters" {
    # What was counted before the start is in the totals alone.
    knock accept-overflow-syn
    read_counters >"$WORK/before.txt"
    watch queues
    knock accept-overflow-syn
    set_sysctl tcp_syncookies 2
    knock syn-flood --syns 20
    stop_watching
    compare_counters
    moved ListenOverflows=4 TCPReqQFullDoCookies=20 SyncookiesSent=20
    validate "$WORK/saga.json"
}

@test "host-wide: other namespaces have their own" {
    OTHER=saga-other-$$-$RANDOM
    ip netns add "$OTHER"
    ip -n "$OTHER" link set lo up
    launch "$WORK/saga" queues netns "/run/netns/$OTHER"
    SAGA_PID=$LAUNCHED
    await_start "$SAGA_PID" "$WORK/saga"
    knock accept-overflow-syn
    stop_watching
    INODE=$(stat -L -c %i "/run/netns/$OTHER")
    [ "$(told total | awk '{ sum += $2 } END { print (NR > 4), sum }')" = "1 0" ] || fail "$(told total)"
}

@test "host-wide: --once tells totals" {
    knock accept-overflow-syn
    "$TCPSAGA" queues --source live --once -o json netns "/run/netns/$NETNS" >"$WORK/saga.json"
    diff -u <(read_counters) <(told total) >&2
    [ "$(told delta | awk '{ sum += $2 } END { print sum }')" = 0 ]
    "$TCPSAGA" queues --source live --once netns "/run/netns/$NETNS" >"$WORK/table.txt"
    grep -qE "^netns $INODE, host-wide: ListenOverflows 4, ListenDrops 4" "$WORK/table.txt" ||
        fail "$(cat "$WORK/table.txt")"
    grep -q '^~ sampled; ' "$WORK/table.txt"
}

# hold_knock SCENARIO...: it keeps its listener until it is killed.
hold_knock() {
    mkfifo "$WORK/go"
    exec 8<>"$WORK/go"
    ip netns exec "$NETNS" "$KNOCK" --here "$@" --hold 1 \
        <"$WORK/go" >"$WORK/knock.json" 2>"$WORK/traffic.err" 3>&- 8>&- &
    TRAFFIC_PID=$!
    until_true "a listener" grep -q '"stage":"held"' "$WORK/knock.json"
}

kill_knock() {
    end_process "$TRAFFIC_PID"
    TRAFFIC_PID=''
    exec 8>&-
}

is_told() { # JQ-CONDITION, of the listener's last line
    jq -en --slurpfile saga "$WORK/saga.json" \
        "\$saga | map(select(.type == \"queue\" and .local.port == 8080)) | last | $1" >"$WORK/is_told.txt" 2>&1
}

# ---- qualities ----

@test "each number of a listener has its quality, and probe says the same" {
    watch queues
    hold_knock accept-overflow-syn
    until_true "a sample" is_told '.sk_drops != null'
    kill_knock
    stop_watching
    validate "$WORK/saga.json"
    "$TCPSAGA" probe -o json ${TCPSAGA_HOOKS:+--hooks "$TCPSAGA_HOOKS"} >"$WORK/probe.json"
    validate "$WORK/probe.json"
    # What a line has, with its quality; what it has not, probe has not seen.
    jq -rn --slurpfile saga "$WORK/saga.json" --slurpfile probe "$WORK/probe.json" '
        ($saga | map(select(.type == "queue" and .local)) | last) as $line
        | $probe[0].queues[] | select(.option | not) | .quality as $quality | .numbers[]
        | select(IN("counters", "handshake_us", "accept_wait_us", "backlog") | not)
        | "\(.) \($quality) \(if $line[.] == null then "not_seen"
            else $line.qualities[.] // $line.quality end)"' >"$WORK/qualities.txt"
    [ "$(wc -l <"$WORK/qualities.txt")" -ge 20 ]
    ! awk '$2 != $3' "$WORK/qualities.txt" | grep . >&2 || fail "quality of a number, by probe, by queues"
}

# ---- listeners that only samples tell ----

@test "a listener that was there before and is gone is told as closed" {
    hold_knock complete
    watch queues
    until_true "the listener" is_told '.preexisting and (.closed | not)'
    kill_knock
    until_true "its end" is_told .closed
    stop_watching
}

# ---- tcp_abort_on_overflow ----

@test "a request that we aborted is told so, and as such a life" {
    set_sysctl tcp_abort_on_overflow 1
    read_counters >"$WORK/before.txt"
    watch trace
    has_hooks handshake || skip "no function hooks: requests' ends are not seen"
    launch "$WORK/flows" flows netns "/run/netns/$NETNS"
    TRAFFIC_PID=$LAUNCHED
    await_start "$TRAFFIC_PID" "$WORK/flows"
    knock accept-overflow-ack --serve 1
    stop_watching
    kill -INT "$TRAFFIC_PID"
    await_end "$TRAFFIC_PID"
    TRAFFIC_PID=''
    read_moved
    moved EmbryonicRsts=2
    [ "$(jq -c 'select(.type == "handshake" and .outcome == "reset") | .aborted' "$WORK/saga.json" | sort | uniq -c |
        awk '{ print $1, $2 }')" = "2 true" ] || fail "not aborted"
    [ "$(jq -r 'select(.type == "connection" and .how == "dropped") | .how' "$WORK/flows.json" | wc -l)" = 2 ] ||
        fail "not dropped"
}

@test "a request that the peer reset is not told as aborted" {
    set_sysctl tcp_abort_on_overflow 1
    watch trace
    has_hooks handshake || skip "no function hooks: requests' ends are not seen"
    knock request-reset
    stop_watching
    [ "$(jq -c 'select(.type == "handshake" and .outcome == "reset") | .aborted' "$WORK/saga.json" | sort | uniq -c |
        awk '{ print $1, $2 }')" = "3 null" ] || fail "told as aborted"
}

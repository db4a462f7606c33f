# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# What the tests of truth share: connections that are held, and what ss and tcpsaga say
# of them in the same words.

SNAPSHOT=${SNAPSHOT:-$TOP/build/tests/snapshot}
CHURN=${CHURN:-$TOP/build/tests/churn}

setup() {
    common_setup
    [ -x "$CHURN" ] || fail "no load maker: $CHURN"
    # A minisocket for each that is closed in order.
    set_sysctl tcp_max_tw_buckets 1000000
    HELD_PIDS=()
    FEWER=${TCPSAGA_VM:+100}
    # Ten thousands of sockets are read and told.
    PATIENCE_S=$((PATIENCE_S * 3))
}

teardown() {
    local pid
    for pid in "${HELD_PIDS[@]}"; do end_process "$pid"; done
    common_teardown
}

# ---- what holds connections ----------------------------------------------------

says_open() { grep -q . "$WORK/held.$1"; }

# hold NAME COMMAND...: until the end of the test, or let_go.
hold() {
    local name=$1
    shift
    mkfifo "$WORK/$name.in"
    "$@" <>"$WORK/$name.in" >"$WORK/held.$name" 2>"$WORK/held.$name.err" 3>&- &
    HELD_PIDS+=($!)
    until_true "what $name holds: $(head -n 3 "$WORK/held.$name.err")" says_open "$name"
}

# idle NAME CONNECTIONS PORT: so many, by eight processes: each may open only so many files.
idle() {
    hold "$1" ip netns exec "$NETNS" "$CHURN" --idle --connections "$2" --port "$3" --workers 8
}

# ---- both sides in the same words ----------------------------------------------

# ss_lines NAMESPACE: with minisockets only where tcpsaga sees theirs.
ss_lines() {
    ip netns exec "$1" ss -Htan | awk -v waits="$(sees_waits)" '
        $1 == "LISTEN" { next }
        waits == "false" && ($1 == "TIME-WAIT" || $1 == "FIN-WAIT-2") { next }
        { print $1, $4, $5 }' | sed -E 's/\[::ffff:([0-9.]+)\]/\1/g' # on the wire it is IPv4
}

sees_waits() { jq -n 'first(inputs).hooks.timewait != "none"' "$WORK/saga.json"; }

saga_lines() { # INODE
    jq -r --argjson netns "$1" --argjson waits "$(sees_waits)" -f "$HERE/truth.jq" "$WORK/saga.json"
}

# "STATE COUNT", of all states.
ss_counts() {
    ip netns exec "$1" ss -Htan | awk '
        { n[$1]++ } END { for (s in n) print s, n[s] }' | LC_ALL=C sort
}
saga_counts() {
    jq -nr --argjson netns "$1" '[inputs | select(.type == "states" and .netns == $netns)] | last.states | to_entries[]
        | select(.value > 0) | "\(.key) \(.value)"' "$WORK/saga.json" | sed 's/_/-/g; s/ESTABLISHED/ESTAB/
        s/FIN-WAIT\([12]\)/FIN-WAIT-\1/' | LC_ALL=C sort
}

# are_the_same WHAT: of the files ss and saga.
are_the_same() {
    LC_ALL=C sort -o "$WORK/ss" "$WORK/ss"
    LC_ALL=C sort -o "$WORK/told" "$WORK/told"
    diff "$WORK/ss" "$WORK/told" >"$WORK/diff" ||
        fail "$1: $(grep -c '^<' "$WORK/diff") only in ss, $(grep -c '^>' "$WORK/diff") only told;" \
            "of $(wc -l <"$WORK/ss"): $(head -n 8 "$WORK/diff")"
    [ -s "$WORK/ss" ] || fail "$1: nothing to compare"
}

# The namespace stands still: what ss says now is what tcpsaga says at its end.
tells_the_truth() {
    ss_lines "$NETNS" >"$WORK/ss"
    ss_counts "$NETNS" >"$WORK/counts"
    stop_watching
    saga_lines "$INODE" >"$WORK/told"
    are_the_same "entry for entry"
    cp "$WORK/ss" "$WORK/entries"
    cp "$WORK/counts" "$WORK/ss"
    saga_counts "$INODE" >"$WORK/told"
    are_the_same "by state"
}

books_balance() {
    tail -n 1 "$WORK/saga.json" | jq -e '.type == "stop" and
        (.ledger | .attempted == .delivered + ([.lost[]] | add // 0))' >/dev/null ||
        fail "the books do not balance: $(tail -n 1 "$WORK/saga.json")"
}

nothing_lost() { tail -n 1 "$WORK/saga.json" | jq -e '.ledger.lost == {}' >/dev/null; }

# Of a namespace without a socket nothing is said.
watch_flows() {
    idle first 8 48080
    watch flows "$@"
    until_true "what was there at the start" has_lines states 1
}

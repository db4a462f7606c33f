#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Truth under load: at a quiet moment tcpsaga knows the sockets that ss knows, no
# more and no less, whatever came before: what existed at its start, namespaces
# that came later, a consumer that stood still, tables that were full.

bats_require_minimum_version 1.5.0
load lib.bash
load truth.bash

# ---- what existed before ---------------------------------------------------------

@test "truth: sockets in every state, from before the start and from after it" {
    [ -x "$SNAPSHOT" ] || fail "no program to test: $SNAPSHOT"
    hold before ip netns exec "$NETNS" "$SNAPSHOT" hold 20
    watch_flows
    idle after $((400 / ${FEWER:-1} + 4)) 18080
    tells_the_truth
    books_balance
}

# Both ends of each, by the start-up scan.
@test "truth: what existed before belongs to who holds it" {
    idle before 20 18080
    watch_flows
    stop_watching
    jq -n -e --argjson netns "$INODE" '[inputs | select(.type == "connection" and .netns == $netns and .role != "listener"
            and ([.local.port, .remote.port] | any(. >= 18080 and . < 18088)))]
        | length == 40 and ([.[] | .preexisting and .process.comm == "churn" and (.process | has("started"))] | all)' \
        "$WORK/saga.json" >/dev/null || fail "$(grep '"type":"connection"' "$WORK/saga.json" | head -n 4)"
}

@test "truth: 60,000 idle connections from before the start, and again after it" {
    local count=$((60000 / ${FEWER:-1}))
    idle before "$count" 18080
    watch_flows --max-flows 1000000
    idle after "$count" 28080
    tells_the_truth
    books_balance
    nothing_lost
    # Each has two ends, and both are here.
    [ "$(saga_lines "$INODE" | grep -c '^ESTAB ')" = $((count * 4 + 16)) ]
}

@test "truth: connections that change state while the tables are read" {
    local i pids=()
    idle before $((2000 / ${FEWER:-1} + 4)) 28080
    for i in 1 2; do
        ip netns exec "$NETNS" "$CHURN" --connections $((20000 / ${FEWER:-1})) --rate $((4000 / ${FEWER:-1})) --workers 1 \
            --port "1808$i" --close client >/dev/null 3>&- &
        pids+=($!)
    done
    watch flows
    wait "${pids[@]}"
    until_true "what was there at the start" has_lines states 1
    tells_the_truth
    books_balance
}

@test "truth: a namespace that came later" {
    local inode later
    idle first 8 18080
    launch "$WORK/saga" flows port 18080 or port 18081
    SAGA_PID=$LAUNCHED
    await_start "$SAGA_PID" "$WORK/saga"
    until_true "what was there at the start" has_lines states 1
    OTHER=$NETNS-later
    ip netns add "$OTHER"
    ip -n "$OTHER" link set lo up
    inode=$(stat -L -c %i "/run/netns/$OTHER")
    hold later ip netns exec "$OTHER" "$CHURN" --idle --connections 50 --port 18080 --workers 2
    later=$OTHER OTHER=$NETNS NETNS=$later INODE=$inode # the teardown deletes both
    tells_the_truth
}

# ---- requests ----------------------------------------------------------------------

# go_on NAME WORD: the holder's next step, which it ends by saying WORD.
go_on() {
    echo >"$WORK/$1.in"
    until_true "$1: $2" grep -qx "$2" "$WORK/held.$1"
}

# Lives that are marked as seen before their birth, in this state.
seen_before() { # STATE PORT
    jq -n --argjson netns "$INODE" --arg state "$1" --argjson port "$2" '[inputs | select(.type == "connection" and
        .netns == $netns and .local.port == $port and .state == $state and .preexisting)] | length' "$WORK/saga.json"
}

# Distinct ones and all lives, of this port.
count_ids() { # PORT
    jq -n -r --argjson netns "$INODE" --argjson port "$1" '[inputs | select(.type == "connection" and .netns == $netns and
        .local.port == $port) | .conn] | "\(unique | length) of \(length)"' "$WORK/saga.json"
}

@test "truth: half-open from before the start, and half of them connections since" {
    hold before ip netns exec "$NETNS" "$SNAPSHOT" pending 20
    watch_flows
    until_true "the requests in the first count" has_requests 20
    go_on before "half of them"
    tells_the_truth
    [ "$(grep -c '^SYN-RECV ' "$WORK/entries")" = 10 ]
    [ "$(seen_before SYN_RECV 8008)" = 10 ]
    # None is told twice, as a request and as what has become of it.
    [ "$(count_ids 8008)" = "20 of 20" ]
}

no_requests() { ! inside ss -Htn state syn-recv | grep -q .; }

has_requests() { # COUNT
    jq -n -e --argjson netns "$INODE" --argjson count "$1" 'first(inputs | select(.type == "states" and .netns == $netns))
        .states.SYN_RECV == $count' "$WORK/saga.json" >/dev/null
}

@test "truth: half-open since the start, half of them connections, and the rest over" {
    watch_flows
    hold after ip netns exec "$NETNS" "$SNAPSHOT" pending 20
    go_on after "half of them"
    hold later ip netns exec "$NETNS" "$CHURN" --idle --connections 4 --port 18080 --workers 1
    go_on after closed
    # Each goes when its timer finds the listener closed (reqsk_timer_handler()).
    until_true "the end of the requests" no_requests
    tells_the_truth
    [ "$(grep -c '^SYN-RECV ' "$WORK/entries")" = 0 ]
}

@test "truth: half-open when the end comes" {
    watch_flows
    hold after ip netns exec "$NETNS" "$SNAPSHOT" pending 20
    tells_the_truth
    [ "$(grep -c '^SYN-RECV ' "$WORK/entries")" = 20 ]
}

# ---- a consumer that stands still --------------------------------------------------

# mended_at SECONDS-SINCE-THE-EPOCH: when flows said of the states anew, for it does so
# once it has mended its losses.
mended_at() {
    jq -n -r --argjson netns "$INODE" --arg since "$(date -u -d "@$1" +%FT%T.%6N)" 'first(inputs
        | select(.type == "states" and .netns == $netns and .ts > $since).ts)' "$WORK/saga.json"
}
has_mended() { [ -n "$(mended_at "$1")" ]; }

# When it does so is measured, not judged: it depends on what else the machine does.
@test "truth: stopped for ten seconds under full churn, it mends what it missed" {
    local churn continued
    watch_flows --ring-size 1M
    kill -STOP "$SAGA_PID"
    ip netns exec "$NETNS" "$CHURN" --connections 100000000 --seconds 10 --workers 2 --port 18080 --close client >/dev/null 3>&- &
    churn=$!
    HELD_PIDS+=("$churn")
    idle meanwhile $((2000 / ${FEWER:-1} + 4)) 28080
    wait "$churn"
    continued=$EPOCHREALTIME
    kill -CONT "$SAGA_PID"
    until_true "the states after the loss" has_mended "$continued"
    tells_the_truth
    books_balance
    echo "# mended at $(mended_at "$continued"), gone on at $(date -u -d "@$continued" +%FT%T.%6NZ)" >&3
    # The loss is told with its span: all of it, in time.
    jq -n -e '[inputs | select(.type == "loss" or .type == "stop")] | (last.ledger.lost.ring_full) as $lost
        | [.[] | select(.type == "loss" and .reason == "ring_full")] as $told
        | $lost > 0 and ([$told[].count] | add) == $lost and ([$told[] | .from < .to] | all)' "$WORK/saga.json" >/dev/null ||
        fail "losses: $(grep '"type":"loss"' "$WORK/saga.json" | head -n 5) $(tail -n 1 "$WORK/saga.json")"
}

# Its workers end with it.
end_churn() {
    end_process "$1"
    until_true "the end of the churn" no_churn
}
no_churn() { ! ip netns exec "$NETNS" ss -Htln 'sport = :18080' | grep -q .; }

# ---- full tables ---------------------------------------------------------------------

@test "truth: --max-flows 1000 against 20,000 connections: new ones are told, the rest is counted" {
    local count=$((20000 / ${FEWER:-1})) most=$((1000 / ${FEWER:-1} + 16))
    watch_flows --max-flows "$most"
    idle many "$((count / 2))" 28080
    inside "$CHURN" --connections 50 --workers 1 --port 18080 --close reset >/dev/null
    until_true "a hundred ends" has_lines connection 100
    stop_watching
    books_balance
    nothing_lost
    # Those that came last are there from their birth, with both ends.
    jq -n -e '[inputs | select(.type == "connection" and has("end") and
            (.local.port == 18080 or .remote.port == 18080) and .role != "listener")]
        | length == 100 and ([.[] | .incomplete | not] | all)' "$WORK/saga.json" >/dev/null ||
        fail "of 50 connections: $(grep -c '"port":18080' "$WORK/saga.json") lines"
    # What is not kept is all but what there is room for.
    tail -n 1 "$WORK/saga.json" | jq -e --argjson count "$count" --argjson most "$most" \
        '.not_kept.connections >= $count - $most and .not_kept.connections <= $count + 128' >/dev/null ||
        fail "not counted: $(tail -n 1 "$WORK/saga.json")"
    grep -q 'gave way to a newer one (--max-flows): [0-9]' "$WORK/saga.err"
}

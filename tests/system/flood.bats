#!/usr/bin/env bats
# flood: 100,000 spoofed SYNs at one listener leave nothing behind: no request in
# the kernel, no entry in a map, nothing pending in the books, and no memory. Each
# flood comes three times: the first finds an empty history of ended lives, the
# second a full one; the third finds all the room that those have made, so what it
# adds would stay.

load lib.bash
load queues.bash

setup() {
    [ -z "${TCPSAGA_VM:-}" ] || set +o functrace
    [ -x "$KNOCK" ] || fail "no handshake maker: $KNOCK"
    PASS=$BATS_TEST_TMPDIR WORK=$BATS_TEST_TMPDIR SAGA_PID=''
    # A flood takes its time before it has something to tell.
    PATIENCE_S=$((PATIENCE_S * 5))
    mkfifo "$WORK/told"
    exec 9<>"$WORK/told"
}
teardown() {
    kill_knocks
    end_process "$SAGA_PID"
    [ -n "${BATS_TEST_COMPLETED:-}" ] || cat "$WORK"/*.err >&2
}

resident_kb() { awk '/^VmRSS:/ { print $2 }' "/proc/$SAGA_PID/status"; }

# Entries in the hash maps of tcpsaga; "-" where bpftool is missing, and where
# others have maps as well.
map_entries() {
    [ -n "${TCPSAGA_VM:-}" ] && command -v bpftool >/dev/null || { echo -; return; }
    local id
    for id in $(bpftool -j map list | jq '.[] | select(.type | test("hash")) | .id'); do
        bpftool -j map dump id "$id" | jq length
    done | awk '{ sum += $1 } END { print sum + 0 }'
}

# The books of one flood's listener against knock's, and the laws (balance, laws).
check_books() { # N
    local cause=other
    [[ ${FLOOD[*]} != *"tcp_syncookies=0 "*" 128 "* ]] || cause=last_quarter
    jq -n -r --arg plays "$1 flood $cause" --arg ss '' --argjson once '[]' --slurpfile saga "$WORK/saga.json" \
        --argjson hooks "$(head -n 1 "$WORK/saga.json" | jq -c '.hooks | with_entries(select(.value != "none"))')" \
        -f "$HERE/queues.jq" "$WORK/$1.json" >"$WORK/verdict"
    [ ! -s "$WORK/verdict" ] || fail "$(head -n 20 "$WORK/verdict")"
}

flood() { # PLAYED
    at_stage house
    release "${PIDS[$1]}"
    await 'done' "${PIDS[$1]}"
    [ -z "$(ss_requests "${PIDS[$1]}")" ]
}
ss_requests() { nsenter --net="/proc/$1/ns/net" ss -Hnt state syn-recv; }

# check_flood SETTING... -- OPTION...
check_flood() {
    local before entries settings=() n
    FLOOD=("$@" "")
    while [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    shift
    for n in 1 2 3; do
        start_knock "$n" tcp_synack_retries=1 "${settings[@]}" syn-flood --syns 100000 --after expiry "$@"
    done
    await house "${PIDS[@]}"
    launch "$WORK/saga" queues "port 8080 and ($(netns_terms))"
    SAGA_PID=$LAUNCHED
    await_start "$SAGA_PID" "$WORK/saga" || { skip_if_refused "$WORK/saga"; false; }
    flood 1
    flood 2
    before=$(resident_kb) entries=$(map_entries)
    flood 3
    [ "$(map_entries)" = "$entries" ]
    [ "$(($(resident_kb) - before))" -lt 1024 ] || fail "from $before kB to $(resident_kb) kB"
    stop_saga "$SAGA_PID" "$WORK/saga"
    SAGA_PID=''
    end_knocks
    for n in 1 2 3; do
        check_books "$n"
    done
}

@test "flood: no cookies, and room for all" {
    check_flood ../core/somaxconn=200000 tcp_max_syn_backlog=400000 tcp_syncookies=0 -- --backlog 150000 --rate 10000
    # A slow machine drops some before they come to the listener (netdev_max_backlog):
    # of those that it has answered none may have ended otherwise.
    PASS=$WORK N=1
    [ "$(knocked answered)" -ge 90000 ] || fail "only $(knocked answered) of 100000 SYNs were answered"
    [ "$(knocked timed_out)" = "$(knocked answered)" ]
}

@test "flood: no cookies, and a small backlog" {
    check_flood tcp_syncookies=0 -- --backlog 128
}

@test "flood: cookies" {
    check_flood tcp_syncookies=1 -- --backlog 128
}

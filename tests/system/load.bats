#!/usr/bin/env bats
# Under load: every transition of every connection, nothing lost.

load lib.bash
source "$HERE/expected.bash"

setup() {
    common_setup
    # A thrifty machine has a small TIME_WAIT table, and then a close ends
    # otherwise (TCPTimeWaitOverflow).
    set_sysctl tcp_max_tw_buckets 100000
    COUNT=${TCPSAGA_VM:+500}
    COUNT=${COUNT:-20000}
    allow_skips
}
teardown() { common_teardown; }

# play_load VERB TYPE LINES OPTION...: LINES of TYPE must come of it.
play_load() {
    local verb=$1 type=$2 lines=$3
    shift 3
    if [ "$verb" = flows ]; then watch flows --at-close; else watch "$verb"; fi
    traffic_inside load --connections "$COUNT" --rate 5000 "$@"
    until_true "$lines lines of type $type" has_lines "$type" "$lines" || true
    note_ss
    stop_watching
    [ "$verb" != flows ] || agrees_with_ss "$WORK/saga.json"
}

count_lives() { # FORM
    jq -n -r -L "$HERE" --arg form "$1" --argjson netns "$INODE" \
        --arg kernel "$KERNEL" -f "$HERE/load.jq" "$WORK/saga.json" |
        case $1 in
        trace) awk -f "$HERE/count_lives.awk" ;;
        flows) LC_ALL=C sort | uniq -c | sed 's/^ *//' ;;
        esac
}

compare_counts() { # FORM, expected lines on stdin
    LC_ALL=C sort >"$WORK/expected.txt"
    count_lives "$1" | awk -v skips="$SKIPS" -f "$HERE/fold.awk" "$WORK/expected.txt" - 2>"$WORK/folded" |
        LC_ALL=C sort >"$WORK/actual.txt"
    sed 's/^/# /' "$WORK/folded" >&3
    diff -u "$WORK/expected.txt" "$WORK/actual.txt" | head -n 50 >&2 ||
        fail "not as expected (- expected, + tcpsaga)"
}

# What the namespace's own counters say: ActiveOpens and PassiveOpens.
kernel_counts() {
    inside cat /proc/net/snmp | while read -r -a field; do
        [ "${field[0]}" = Tcp: ] && echo "${field[5]} ${field[6]}"
    done | tail -n 1
}

@test "load: trace, clients close first" {
    play_load trace transition $((COUNT * 10 + 2)) --close client --sources 4
    [ "$(kernel_counts)" = "$COUNT $COUNT" ]
    compare_counts trace <<END
$COUNT client CLOSE>SYN_SENT SYN_SENT>ESTABLISHED ESTABLISHED>FIN_WAIT1 FIN_WAIT1>FIN_WAIT2 FIN_WAIT2>CLOSE
$COUNT server LISTEN>SYN_RECV SYN_RECV>ESTABLISHED ESTABLISHED>CLOSE_WAIT CLOSE_WAIT>LAST_ACK LAST_ACK>CLOSE
1 listener CLOSE>LISTEN LISTEN>CLOSE
END
    is_near "$(count_lines transition)" $((COUNT * 10 + 2)) 5
}

@test "load: trace, clients reset" {
    play_load trace transition $((COUNT * 6 + 2)) --close reset
    [ "$(kernel_counts)" = "$COUNT $COUNT" ]
    compare_counts trace <<END
$COUNT client CLOSE>SYN_SENT SYN_SENT>ESTABLISHED ESTABLISHED>CLOSE
$COUNT server LISTEN>SYN_RECV SYN_RECV>ESTABLISHED ESTABLISHED>CLOSE
1 listener CLOSE>LISTEN LISTEN>CLOSE
END
    is_near "$(count_lines transition)" $((COUNT * 6 + 2)) 5
}

@test "load: flows, clients close first" {
    play_load flows connection $((COUNT * 2)) --close client --bytes 100 --sources 4
    [ "$(kernel_counts)" = "$COUNT $COUNT" ]
    compare_counts flows <<END
$COUNT client tcp/4 known/known $CLIENT_1ST first=local how=close error=- sent=100 received=0 incomplete=false comm=traffic
$COUNT server tcp/4 known/known $SERVER_2ND first=remote how=close error=- sent=0 received=100 incomplete=false comm=traffic
END
}

@test "load: flows, servers close first, over IPv6" {
    play_load flows connection $((COUNT * 2)) --close server --family 6
    compare_counts flows <<END
$COUNT client tcp/6 known/known $CLIENT_2ND first=remote how=close error=- sent=0 received=0 incomplete=false comm=traffic
$COUNT server tcp/6 known/known $SERVER_1ST first=local how=close error=- sent=0 received=0 incomplete=false comm=traffic
END
}

@test "load: flows, clients reset" {
    play_load flows connection $((COUNT * 2)) --close reset
    compare_counts flows <<END
$COUNT client tcp/4 known/known $CLIENT_RST first=local how=abort error=- sent=0 received=0 incomplete=false comm=traffic
$COUNT server tcp/4 known/known $SERVER_RST first=remote how=reset_received error=ECONNRESET sent=0 received=0 incomplete=false comm=traffic
END
}

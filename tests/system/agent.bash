# shellcheck shell=bash
# agent.bash: an agent that watches the test's namespace, and what it serves.

says_port() { grep -q 'metrics on port' "$WORK/saga.err"; }

agent_started() { is_gone "$SAGA_PID" || says_port; }

# agent [OPTION...]: on the namespace, from outside, or on what WHERE says; its metrics
# on $PORT. What an agent left before it, this host's own maybe, is not for a test.
agent() {
    local where=${WHERE-netns /run/netns/$NETNS}
    # Now, and not when the child comes to it: what an earlier one said is not this one's.
    : >"$WORK/saga.err"
    set -m
    "$TCPSAGA" agent --metrics 127.0.0.1:0 --state off --control off "$@" $where \
        >"$WORK/saga.json" 2>"$WORK/saga.err" 3>&- &
    SAGA_PID=$!
    set +m
    until_true "the agent's start" agent_started
    PORT=$(sed -n 's/.*metrics on port \([0-9]*\).*/\1/p' "$WORK/saga.err")
    [ -n "$PORT" ] || fail "the agent has ended"
}

end_agent() { # [SIGNAL]
    local pid=$SAGA_PID
    kill "-${1:-TERM}" "$pid"
    await_end "$pid"
    SAGA_PID=''
}

# get PATH: the answer with its head. No curl in a virtual machine.
get() {
    timeout 20 bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$1" &&
        printf "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" "$2" >&9 && cat <&9' get "$PORT" "$1"
}

body() { get "$1" | sed '1,/^\r$/d'; }

# metric SERIES: its value; 0 lines are a failure.
metric() { body /metrics | awk -v s="$1" '$1 == s { print $2; found = 1 } END { exit !found }'; }

metric_is() { [ "$(metric "$1")" = "$2" ]; }
metric_least() { [ "$(metric "$1")" -ge "$2" ]; }

# ---- what it is to see --------------------------------------------------------

CLIENTS='tcpsaga_transitions_total{old="SYN_SENT",new="ESTABLISHED"}'

play() { traffic_inside load --connections "$COUNT" --rate 5000 --close client --sources 4; }

# closed ROLE SIDE: at both ends, and the last one, too.
closed() { metric_least "tcpsaga_connections_closed_first_total{role=\"$1\",closed_first=\"$2\"}" "$COUNT"; }

all_seen() { metric_least "$CLIENTS" "$COUNT" && closed client local && closed server remote; }

# What falls short is said by the metrics themselves.
await_all() {
    until_true "all connections in the metrics" all_seen ||
        { body /metrics | grep -E '^tcpsaga_(transitions|connections_closed|records)[a-z_]*_total.* [1-9]' >&2 && false; }
}

# each_once FILE: two ends of each connection, each told once.
each_once() {
    local lines ids
    lines=$(grep -c '"type":"connection"' "$1")
    ids=$(jq -r 'select(.type == "connection") | .conn + .role' "$1" | sort -u | wc -l)
    if [ "$lines" != $((COUNT * 2)) ] || [ "$ids" != "$lines" ]; then
        fail "$1: $lines connections, $ids of them different, not $((COUNT * 2))"
    fi
}

balances() { # FILE
    jq -e 'select(.type == "stop").ledger | .attempted == .delivered + ([.lost[]] | add // 0)' "$1" >/dev/null ||
        fail "the books do not balance: $(tail -n 1 "$1")"
}

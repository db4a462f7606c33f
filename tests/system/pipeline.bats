#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The agent and those who take from it: Prometheus and rsyslog as they are packed, a
# stand-in for the journal, and a disk that fails. Each runs beside the test, on sockets
# and ports of its own, and ends with it.

bats_require_minimum_version 1.5.0
load lib.bash
load agent.bash

setup() {
    [ -z "${TCPSAGA_VM:-}" ] || skip "what takes from the agent is not in the virtual machine"
    common_setup
    set_sysctl tcp_max_tw_buckets 100000
    COUNT=5000
    RATE=5000
    allow_skips
    RECEIVER_PID=''
    # Receivers in Python read ten thousand lines, beside whatever else there is.
    PATIENCE_S=$((PATIENCE_S * 3))
}

teardown() {
    end_process "${RECEIVER_PID:-}"
    common_teardown
}

wants() { command -v "$1" >/dev/null || PATH=$PATH:/usr/sbin command -v "$1" >/dev/null || skip "needs $1"; }

# receiver COMMAND...: what it says is in receiver.out.
receiver() {
    set -m
    "$@" >"$WORK/receiver.out" 2>&1 3>&- &
    RECEIVER_PID=$!
    set +m
}

end_receiver() {
    local pid=$RECEIVER_PID
    kill -TERM "$pid"
    until_true "the end of the receiver" is_gone "$pid"
    wait "$pid" || true
    RECEIVER_PID=''
}

play() { traffic_inside load --connections "$COUNT" --rate "$RATE" --close client --sources 4; }

connections_in() { grep -c '"type":"connection"' "$1"; }
all_in() { [ "$(connections_in "$1")" -ge $((COUNT * 2)) ]; }

# ---- Prometheus --------------------------------------------------------------

# In a namespace of their own, to which the test's is the world.
in_other() { nsenter "--net=/run/netns/$OTHER" "$@"; }

# In the background: in place of the shell, whose process it is then.
exec_in_other() { exec nsenter "--net=/run/netns/$OTHER" "$@"; }
exec_saga_in_other() { exec_in_other "$PROGRAM" "$@"; }

prometheus_config() {
    cat <<END
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$TOP/user/dist/tcpsaga.rules.yml]
scrape_configs:
  - job_name: tcpsaga
    static_configs: [{targets: ["127.0.0.1:$PORT"]}]
END
}

ask() { in_other curl -sS -m 10 "http://127.0.0.1:9090/api/v1/$1" "${@:2}"; }

# query EXPRESSION: the value of its only series.
query() {
    ask query --data-urlencode "query=$1" |
        jq -er '.data.result | if length == 1 then .[0].value[1] else error("not one series") end'
}

query_is() { [ "$(query "$1" 2>/dev/null)" = "$2" ]; }

rules_are_evaluated() {
    ask rules | jq -e --argjson rules "$(grep -c 'alert:' "$TOP/user/dist/tcpsaga.rules.yml")" \
        '[.data.groups[].rules[].health] | length == $rules and all(.[]; . == "ok")' >/dev/null
}

@test "pipeline: Prometheus scrapes every series; histograms and alert rules work in it" {
    wants prometheus
    OTHER=saga-other-$$-$RANDOM
    ip netns add "$OTHER"
    ip -n "$OTHER" link set lo up
    PROGRAM=$TCPSAGA TCPSAGA=exec_saga_in_other agent
    prometheus_config >"$WORK/prometheus.yml"
    run -0 promtool check config "$WORK/prometheus.yml"
    receiver exec_in_other prometheus --config.file "$WORK/prometheus.yml" --storage.tsdb.path "$WORK/tsdb" \
        --web.listen-address 127.0.0.1:9090 --log.level warn
    until_true "up" query_is 'up{job="tcpsaga"}' 1
    play
    until_true "all connections" query_is 'tcpsaga_transitions_total{old="SYN_SENT",new="ESTABLISHED"}' "$COUNT"
    until_true "both ends of each" query_is 'sum(tcpsaga_connections_closed_first_total)' $((COUNT * 2))
    is_near "$(query tcpsaga_connection_duration_seconds_count)" $((COUNT * 2))
    is_near "$(query 'tcpsaga_connection_duration_seconds_bucket{le="+Inf"}')" $((COUNT * 2))
    jq -en "$(query 'histogram_quantile(0.99, tcpsaga_connection_duration_seconds_bucket)') | . > 0 and . < 60"
    query_is 'sum(tcpsaga_records_attempted_total) - sum(tcpsaga_records_delivered_total) - sum(tcpsaga_records_lost_total)' 0
    for family in transitions_total sockets time_wait_sockets findings records_lost_total process_cpu_seconds_total \
        process_resident_memory_bytes listener_queue_limit table_entries hook_info; do
        [ "$(query "count(tcpsaga_$family) > 0")" -ge 1 ] || fail "no tcpsaga_$family"
    done
    [ "$(query 'count({__name__=~"tcpsaga_.*"})')" -le 500 ]
    until_true "the rules" rules_are_evaluated
    ask targets | jq -e '.data.activeTargets | length == 1 and all(.[]; .health == "up" and .lastError == "")'
    # Nothing in what it scraped was a fault: it would have said so.
    ! grep -iE 'level=(warn|error)' "$WORK/receiver.out" || fail "$(cat "$WORK/receiver.out")"
    end_receiver
    end_agent
}

# ---- rsyslog -----------------------------------------------------------------

rsyslog_config() {
    cat <<END
global(workDirectory="$WORK" maxMessageSize="64k" parser.permitSlashInProgramName="on")
module(load="imuxsock" SysSock.Use="off")
module(load="imptcp")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="stream") { action(type="omfile" file="$WORK/stream.json" template="raw") }
ruleset(name="datagram") { action(type="omfile" file="$WORK/datagram.json" template="raw") }
input(type="imptcp" path="$WORK/stream.sock" ruleset="stream" SupportOctetCountedFraming="off")
input(type="imuxsock" Socket="$WORK/datagram.sock" ruleset="datagram" UseSpecialParser="off"
      ParseHostname="off" RateLimit.Interval="0")
END
}

@test "pipeline: rsyslog receives every line, by a stream and by datagrams" {
    wants rsyslogd
    rsyslog_config >"$WORK/rsyslog.conf"
    receiver /usr/sbin/rsyslogd -n -f "$WORK/rsyslog.conf" -i "$WORK/rsyslog.pid"
    until_true "its sockets" [ -S "$WORK/datagram.sock" ]
    until_true "its sockets" [ -S "$WORK/stream.sock" ]
    agent --json "$WORK/out.json" --json "unix:$WORK/stream.sock" --json "unixgram:$WORK/datagram.sock"
    play
    until_true "all of it" all_in "$WORK/stream.json"
    until_true "all of it" all_in "$WORK/datagram.json"
    end_agent
    end_receiver
    cmp "$WORK/out.json" "$WORK/stream.json"
    cmp "$WORK/out.json" "$WORK/datagram.json"
    [ "$(connections_in "$WORK/out.json")" = $((COUNT * 2)) ]
}

# ---- the journal -------------------------------------------------------------

journal() {
    exec /usr/bin/python3 -u - "$1" "$2" <<'END'
import json, socket, sys

def fields(entry):
    at = 0
    while at < len(entry):
        end = entry.index(b"\n", at)
        name, equals, value = entry[at:end].partition(b"=")
        if not equals:
            size = int.from_bytes(entry[end + 1:end + 9], "little")
            value, end = entry[end + 9:end + 9 + size], end + 9 + size
            assert entry[end:end + 1] == b"\n", entry
        assert name.isascii() and name.isupper(), name
        yield name.decode(), value.decode()
        at = end + 1

s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
with open(sys.argv[2], "w", buffering=1) as lines:
    while True:
        entry = dict(fields(s.recv(1 << 20)))
        line = json.loads(entry["TCPSAGA_JSON"])
        assert entry["SYSLOG_IDENTIFIER"] == "tcpsaga" and entry["MESSAGE"]
        assert entry["TCPSAGA_TYPE"] == line["type"]
        if "remote" in line:
            assert entry["TCPSAGA_REMOTE_PORT"] == str(line["remote"]["port"])
        print(entry["PRIORITY"], line["type"], entry["MESSAGE"], flush=True)
        lines.write(entry["TCPSAGA_JSON"] + "\n")
END
}

@test "pipeline: the journal is sent every line, each key as a field" {
    # As fast as one in Python takes entries on any machine: what a receiver that is too
    # slow is not sent is another test's.
    RATE=1000
    receiver journal "$WORK/journal.sock" "$WORK/journal.json"
    until_true "its socket" [ -S "$WORK/journal.sock" ]
    agent --json "$WORK/out.json" --json "journald:$WORK/journal.sock"
    play
    until_true "all of it" all_in "$WORK/journal.json"
    end_agent
    until_true "the last line" grep -q '"type":"stop"' "$WORK/journal.json"
    cmp "$WORK/out.json" "$WORK/journal.json"
    grep -qE '^6 connection client 127\.0\.0\.[0-9]+:[0-9]+ 127\.0\.0\.1:[0-9]+ traffic/[0-9]+: close, closed first: local, ' \
        "$WORK/receiver.out"
}

# ---- a disk that fails -------------------------------------------------------

unhealthy() { body /healthz | grep -q "$1"; }

@test "pipeline: a disk that answers EIO costs nobody else anything, and is told; delivery resumes" {
    local sick=$WORK/sick.json series before after lost
    touch "$WORK/failing"
    EIO_PATH=$sick EIO_WHILE=$WORK/failing LD_PRELOAD=$TOP/build/tests/eio.so \
        agent --json "$WORK/out.json" --json "$sick:transitions"
    before=$(metric tcpsaga_process_resident_memory_bytes)
    play
    until_true "everybody else's lines" all_in "$WORK/out.json"
    until_true "its failure" unhealthy '"error":"Input/output error"'
    [ ! -s "$sick" ]
    after=$(metric tcpsaga_process_resident_memory_bytes)
    # Its queue twice, and the model's own.
    [ $((after - before)) -le $((24 << 20)) ] || fail "memory: $before, then $after"
    rm "$WORK/failing"
    series="{sink=\"file:$sick\"}"
    until_true "its recovery" metric_is "tcpsaga_sink_healthy$series" 1
    until_true "an empty queue" metric_is "tcpsaga_sink_queued_bytes$series" 0
    end_agent
    [ "$(connections_in "$WORK/out.json")" = $((COUNT * 2)) ]
    jq -e 'select(.type == "stop").ledger | .attempted == .delivered + ([.lost[]] | add // 0)' "$sick"
    # Told and delivered together are all there were; no line is torn.
    lost=$(jq -s '[.[] | select(.type == "loss").count] | add // 0' "$sick")
    grep -q "file:$sick: [0-9]* lines offered, [0-9]* written, $lost dropped" "$WORK/saga.err" ||
        fail "the sink tells of $lost: $(tail -n 2 "$WORK/saga.err")"
    [ $(($(jq -c 'select(.type != "loss")' "$sick" | wc -l) + lost)) = \
        "$(sed -n "s|.*file:$sick: \([0-9]*\) lines offered.*|\1|p" "$WORK/saga.err")" ]
}

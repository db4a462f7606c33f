#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The agent: what it serves, what it writes, what it costs, and that nobody who
# fails, stalls or sends garbage costs the others anything.

bats_require_minimum_version 1.5.0
load lib.bash
load agent.bash

setup() {
    common_setup
    set_sysctl tcp_max_tw_buckets 100000
    COUNT=${TCPSAGA_VM:+200}
    COUNT=${COUNT:-5000}
    ip link set lo up
    allow_skips
    MOUNTED='' READER_PID=''
}

teardown() {
    end_process "${READER_PID:-}"
    [ -z "$MOUNTED" ] || umount -l "$MOUNTED"
    common_teardown
}

# ---- what it serves ----------------------------------------------------------

@test "agent: metrics count every connection, and promtool has nothing to say" {
    agent
    play
    await_all
    metric_is "$CLIENTS" "$COUNT"
    is_near "$(metric 'tcpsaga_transitions_total{old="SYN_RECV",new="ESTABLISHED"}')" "$COUNT"
    is_near "$(metric 'tcpsaga_transitions_total{old="FIN_WAIT2",new="CLOSE"}')" "$COUNT"
    metric_is 'tcpsaga_connections_closed_first_total{role="client",closed_first="local"}' "$COUNT"
    metric_is 'tcpsaga_connections_closed_first_total{role="server",closed_first="remote"}' "$COUNT"
    body /metrics >"$WORK/metrics"
    [ "$(grep -vc '^#' "$WORK/metrics")" -le 500 ]
    ! grep -E '127\.0\.0\.|::1' "$WORK/metrics" || fail "an address in the metrics"
    if command -v promtool >/dev/null; then
        run promtool check metrics <"$WORK/metrics"
        [ "$status" = 0 ] && [ -z "$output" ] || fail "promtool: $output"
    fi
    end_agent
}

@test "agent: without libmicrohttpd it says so, and without metrics it needs none" {
    local library
    library=$(ldconfig -p | sed -n 's/.*=> \(.*libmicrohttpd\.so\.[0-9]*\)$/\1/p' | head -n 1)
    [ -n "$library" ]
    # shellcheck disable=SC2016 # the inner shell expands them
    hidden() { timeout 20 unshare -m sh -c 'mount --bind /dev/null "$1" && shift && exec "$@"' sh "$library" "$@"; }
    run hidden "$TCPSAGA" agent --metrics 127.0.0.1:0 --control off
    [ "$status" = 1 ]
    [ "${#lines[@]}" = 1 ] || fail "$output"
    [[ $output == "tcpsaga: agent: --metrics cannot load libmicrohttpd: "*"; install it, or serve no metrics" ]] || fail "$output"
    run hidden "$TCPSAGA" flows --once -o json
    [ "$status" = 0 ] || fail "$output"
}

@test "agent: findings go to every sink and into the metrics; thresholds can be set" {
    local i
    run "$TCPSAGA" agent --metrics off --set connect-refused.cuont=5
    [ "$status" = 2 ]
    [[ $output == *"did you mean 'count'"* ]]
    agent --set connect-refused.count=20 --json "$WORK/findings.json:findings" --json "$WORK/all.json"
    inside bash -c 'for ((i = 0; i < 30; i++)); do (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; done; true'
    until_true "the finding in the metrics" metric_is 'tcpsaga_findings{rule="connect-refused"}' 1
    metric_is 'tcpsaga_findings_raised_total{rule="connect-refused"}' 1
    metric_is 'tcpsaga_findings_raised_total{rule="reset-storm"}' 0
    end_agent
    [ "$(jq -r .type "$WORK/findings.json" | tr '\n' ' ')" = "start finding stop " ]
    jq -es 'any(.[]; .id == "connect-refused" and .phase == "raised" and .remote.port == 9)' \
        "$WORK/findings.json"
    [ "$(grep -c '"type":"finding"' "$WORK/all.json")" = 1 ]
    [ "$(grep -c '"type":"connection"' "$WORK/all.json")" = 30 ]
}

@test "agent: health tells ring, tables and sinks apart; what is not there is not found" {
    agent --json "$WORK/out.json" --json "$WORK/none/out.json"
    until_true "the sink's failure" grep_body /healthz '"name":"file:[^"]*none[^}]*"status":"degraded"'
    run get /healthz
    [[ ${lines[0]} = "HTTP/1.1 503"* ]]
    body /healthz | jq -e '.status == "degraded" and .ring.status == "ok" and .tables.status == "ok"
        and ([.sinks[].status] == ["ok", "degraded"])'
    mkdir "$WORK/none"
    until_true "its recovery" grep_body /healthz '^{"status":"ok"'
    run get /nothing
    [[ ${lines[0]} = "HTTP/1.1 404"* ]]
    end_agent
}

grep_body() { body "$1" | grep -q "$2"; }

@test "agent: a thousand idle and garbage connections cost 10 MiB at most, and no event" {
    [ -z "${TCPSAGA_VM:-}" ] || skip "no python3 in the virtual machine"
    local before after
    agent --json "$WORK/out.json"
    before=$(metric tcpsaga_process_resident_memory_bytes)
    set -m
    /usr/bin/python3 - "$PORT" >"$WORK/crowd.out" 3>&- <<'END' &
import os, random, resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
crowd = []
for i in range(1000):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.settimeout(5)
    try:
        if i % 3 == 1:
            s.sendall(random.randbytes(3000))
        if i % 3 == 2:
            s.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * random.randrange(3000))
    except OSError:
        pass
    crowd.append(s)
print("crowded", flush=True)
time.sleep(600)
END
    READER_PID=$!
    set +m
    until_true "a thousand connections" grep -q crowded "$WORK/crowd.out"
    play
    await_all
    after=$(metric tcpsaga_process_resident_memory_bytes)
    echo "# resident: $before, then $after" >&3
    [ $((after - before)) -le $((10 << 20)) ] || fail "memory: $before, then $after"
    end_agent
    each_once "$WORK/out.json"
    balances "$WORK/out.json"
}

@test "agent: the textfile is there whole, and again when it was taken away" {
    agent --textfile "$WORK/saga.prom"
    until_true "the file" [ -s "$WORK/saga.prom" ]
    tail -n 1 "$WORK/saga.prom" | grep -q '^tcpsaga_process_open_fds [0-9]'
    rm "$WORK/saga.prom"
    end_agent
    [ -s "$WORK/saga.prom" ]
    [ ! -e "$WORK/saga.prom.new" ]
}

@test "agent: SIGUSR1 logs the counters; Ctrl-C ends it as SIGTERM does" {
    agent --json "$WORK/out.json"
    kill -USR1 "$SAGA_PID"
    until_true "the counters" grep -q 'records attempted' "$WORK/saga.err"
    grep -q "file:$WORK/out.json: 1 lines offered" "$WORK/saga.err"
    end_agent INT
    balances "$WORK/out.json"
}

@test "agent: systemd is told READY, STATUS, WATCHDOG and STOPPING" {
    [ -z "${TCPSAGA_VM:-}" ] || skip "no python3 in the virtual machine"
    set -m
    /usr/bin/python3 - "$WORK/notify" >"$WORK/notify.out" 3>&- <<'END' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode().replace("\n", " "), flush=True)
END
    READER_PID=$!
    set +m
    until_true "the socket" [ -S "$WORK/notify" ]
    NOTIFY_SOCKET=$WORK/notify WATCHDOG_USEC=200000 agent
    until_true READY grep -q '^READY=1' "$WORK/notify.out"
    until_true WATCHDOG grep -q '^WATCHDOG=1' "$WORK/notify.out"
    until_true STATUS grep -q '^STATUS=.*delivered' "$WORK/notify.out"
    kill -HUP "$SAGA_PID"
    until_true RELOADING grep -qE '^RELOADING=1 MONOTONIC_USEC=[1-9][0-9]+$' "$WORK/notify.out"
    until_true "READY again" grep -q '^READY=1 STATUS=watching' <(sed '1,/^RELOADING/d' "$WORK/notify.out")
    end_agent
    until_true STOPPING grep -q '^STOPPING=1' "$WORK/notify.out"
}

# ---- what it writes ----------------------------------------------------------

@test "agent: each connection is told once; levels; the schema; the law" {
    "$TCPSAGA" schema >"$WORK/schema.json"
    agent --json "$WORK/out.json" --json "$WORK/all.json:transitions" --json "$WORK/few.json:findings" --json -
    play
    await_all
    end_agent
    each_once "$WORK/out.json"
    each_once "$WORK/all.json"
    cmp "$WORK/out.json" "$WORK/saga.json"
    is_near "$(grep -c '"type":"transition"' "$WORK/all.json")" $((COUNT * 10 + 2)) 5
    is_near "$(grep -c '"type":"connection".*"incomplete":false' "$WORK/all.json")" $((COUNT * 2))
    # On a fast machine this is a storm, and a finding says so.
    [ "$(jq -r 'select(.id != "timewait-storm-client").type' "$WORK/few.json" | sort | paste -sd' ')" = "start stop" ]
    balances "$WORK/out.json"
    if [ -z "${TCPSAGA_VM:-}" ]; then
        head -n 2000 "$WORK/all.json" | "$TOP/tests/replay/validate.py" "$WORK/schema.json"
    fi
}

@test "agent: SIGHUP opens a file anew and loses nothing" {
    agent --json "$WORK/out.json"
    traffic_inside load --connections "$COUNT" --rate 5000 --close client --sources 4 &
    local play_pid=$! i
    for i in 1 2 3; do
        until_true "lines to move" [ -s "$WORK/out.json" ]
        mv "$WORK/out.json" "$WORK/out.$i"
        kill -HUP "$SAGA_PID"
        until_true "a new file" [ -e "$WORK/out.json" ]
    done
    wait "$play_pid"
    await_all
    end_agent
    cat "$WORK"/out.[123] "$WORK/out.json" >"$WORK/sum.json"
    each_once "$WORK/sum.json"
}

# types FILE: those of its lines, each once; on a fast machine the load is a finding.
types() { jq -r 'select(.type != "finding").type' "$1" | sort -u | paste -sd' '; }

@test "agent: each sink has a filter and a level of its own" {
    printf '%s\n' '[sink clients]' "to = $WORK/clients.json" 'filter = role' 'filter = client' \
        '[sink all]' "to = $WORK/all.json" 'level = transitions' \
        '[sink none]' "to = $WORK/none.json" 'filter = port 1' 'level = transitions' \
        '[sink servers]' "to = $WORK/servers.json" 'filter = role server' 'level = transitions' >"$WORK/agent.conf"
    agent --config "$WORK/agent.conf" --json "$WORK/out.json"
    play
    await_all
    end_agent
    each_once "$WORK/out.json"
    each_once "$WORK/all.json"
    cmp <(grep '"role":"client"' "$WORK/out.json") <(grep '"role":"client"' "$WORK/clients.json")
    [ "$(grep -c '"type":"connection"' "$WORK/clients.json")" = "$COUNT" ]
    [ "$(types "$WORK/clients.json")" = "connection start stop" ]
    [ "$(types "$WORK/none.json")" = "start stop" ]
    cmp <(grep -E '"role":"server"' "$WORK/all.json") <(grep -E '"role":"server"' "$WORK/servers.json")
    ! grep '"role":"client"' "$WORK/servers.json"
}

reloaded() { [ "$(grep -c 'the configuration was read again' "$WORK/saga.err")" -ge "$1" ]; }

@test "agent: SIGHUP reads the configuration again under load; sinks that stay lose nothing" {
    local i conf=$WORK/agent.conf
    printf '[sink a]\nto = %s\n[sink gone]\nto = %s\n' "$WORK/a.json" "$WORK/gone.json" >"$conf"
    agent --config "$conf" --json "$WORK/out.json"
    traffic_inside load --connections "$COUNT" --rate 5000 --close client --sources 4 &
    local play_pid=$!
    for ((i = 1; i <= 6; i++)); do
        # Ever other neighbours, filters, levels, sizes; and rotation while it runs.
        printf '[sink a]\nto = %s\nrotate-size = %sK\nrotate-keep = 1000\nqueue-size = %sM\n' \
            "$WORK/a.json" $((100 * i)) $((i % 2 * 4 + 4)) >"$conf"
        printf '[sink b%s]\nto = %s\nfilter = role client\nlevel = transitions\n' $i "$WORK/b$i.json" >>"$conf"
        printf '[sink c]\nto = %s\nfilter = port %s\n' "$WORK/c.json" $i >>"$conf"
        kill -HUP "$SAGA_PID"
        until_true "reload $i" reloaded $i
    done
    wait "$play_pid"
    await_all
    end_agent
    each_once "$WORK/out.json"
    grep -q "file:$WORK/a.json: \([0-9]*\) lines offered, \1 written, 0 dropped" "$WORK/saga.err"
    cat "$WORK"/a.json* >"$WORK/sum.json"
    each_once "$WORK/sum.json"
    balances "$WORK/out.json"
    # What came and went was told what was there meanwhile, in whole lines.
    [ "$(types "$WORK/c.json")" = "start stop" ]
    for ((i = 1; i < 6; i++)); do
        [ "$(head -n 1 "$WORK/b$i.json" | jq -r .type)" = start ]
        grep -q "file:$WORK/b$i.json: \([0-9]*\) lines offered, \1 written, 0 dropped" "$WORK/saga.err"
    done
    grep -q "file:$WORK/gone.json: is no more in the configuration" "$WORK/saga.err"
    grep -q "file:$WORK/c.json: is changed: connections, filter port 6" "$WORK/saga.err"
}

@test "agent: a reload is told, what cannot change is named, what is wrong is refused whole" {
    local conf=$WORK/agent.conf
    echo '[agent]' >"$conf"
    agent --config "$conf" --json "$WORK/out.json"
    printf '%s\n' '[agent]' 'set = connect-refused.count=20' 'hooks = tracepoint' "textfile = $WORK/x.prom" \
        'filter = ipv4' >"$conf"
    kill -HUP "$SAGA_PID"
    until_true "the reload" reloaded 1
    grep -q 'connect-refused.count: 20 now, was 10$' "$WORK/saga.err"
    grep -q 'hooks: stay as they are; other ones need a restart$' "$WORK/saga.err"
    grep -q "textfile: $WORK/x.prom now, was off$" "$WORK/saga.err"
    grep -q 'filter: stays as it was; one about other connections needs a restart$' "$WORK/saga.err"
    until_true "the textfile" [ -s "$WORK/x.prom" ]
    printf '%s\n' '[sink x]' "to = $WORK/x.json" '[agent]' 'set = connect-refused.count=5' 'sett = 1' >"$conf"
    mv "$WORK/out.json" "$WORK/out.1"
    kill -HUP "$SAGA_PID"
    until_true "the refusal" grep -q 'the configuration stays as it was' "$WORK/saga.err"
    grep -qF "$conf:5: unknown key \"sett\": did you mean set?" "$WORK/saga.err"
    until_true "a new file all the same" [ -e "$WORK/out.json" ]
    ! grep -q 'connect-refused.count: 5' "$WORK/saga.err"
    [ ! -e "$WORK/x.json" ]
    echo '[agent]' >"$conf"
    kill -HUP "$SAGA_PID"
    until_true "the second reload" reloaded 2
    grep -q 'connect-refused.count: 10 now, was 20$' "$WORK/saga.err"
    end_agent
}

# ---- overload ----------------------------------------------------------------

# has_opened CONNECTIONS: by the namespace's own counter, ActiveOpens.
has_opened() { [ "$(inside awk '/^Tcp:/ { opened = $6 } END { print opened }' /proc/net/snmp)" -ge "$1" ]; }

# conns TYPE FILE: of the lines of this type those of connections.
conns() { jq -r --arg type "$1" 'select(.type == $type and .role != "listener").conn' "$2" | sort -u; }

waits_agree() { metric_is 'tcpsaga_sockets{state="TIME_WAIT"}' "$(inside ss -Htan state time-wait | wc -l)"; }

@test "agent: stopped under load it tells what it lost, and then knows what ss knows" {
    COUNT=$((COUNT * 8))
    # All that was in the ring comes at once: more lines than a queue holds that nobody widened.
    printf '[sink out]\nto = %s\nqueue-size = 32M\n' "$WORK/out.json" >"$WORK/agent.conf"
    agent --config "$WORK/agent.conf" --json "$WORK/all.json:transitions"
    play &
    local play_pid=$!
    until_true "the first of them" metric_least "$CLIENTS" 1
    kill -STOP "$SAGA_PID"
    # More than there is room for in the ring, and it goes on.
    until_true "most of them" has_opened $((COUNT * 3 / 4))
    kill -CONT "$SAGA_PID"
    wait "$play_pid"
    until_true "the kernel's TIME_WAITs" waits_agree
    end_agent
    balances "$WORK/out.json"
    [ -n "${TCPSAGA_VM:-}" ] || grep -q '"type":"loss".*"reason":"ring_full"' "$WORK/out.json"
    # Whoever was seen has an end that is told, also where its record was lost.
    conns transition "$WORK/all.json" >"$WORK/seen"
    conns connection "$WORK/out.json" >"$WORK/told"
    sort "$WORK/seen" "$WORK/told" "$WORK/told" | uniq -u >"$WORK/absent"
    [ ! -s "$WORK/absent" ] || fail "$(wc -l <"$WORK/absent") ends absent: $(grep -m 2 "$(head -n 1 "$WORK/absent")" "$WORK/all.json")"
    # None twice, and whose end nobody saw is not called whole.
    jq -r 'select(.type == "connection") | .conn + .role' "$WORK/out.json" | sort | uniq -d >"$WORK/twice"
    [ ! -s "$WORK/twice" ] || fail "told twice: $(head -n 2 "$WORK/twice")"
    ! grep '"end_unseen":true' "$WORK/out.json" | grep '"incomplete":false'
}

# ---- sinks at fault ----------------------------------------------------------

# The one at fault says in its own stream how many it has not; the others have
# them all.
@test "agent: a full disk costs nobody else anything, and is told; delivery resumes" {
    local small=$WORK/small series
    mkdir "$small"
    mount -t tmpfs -o size=128k none "$small"
    MOUNTED=$small
    dd if=/dev/zero of="$small/ballast" bs=1k count=60 status=none
    agent --json "$WORK/out.json" --json "$small/out.json:transitions"
    play
    await_all
    until_true "the sink's failure" grep_body /healthz '"error":"No space left on device"'
    series="{sink=\"file:$small/out.json\"}"
    rm "$small/ballast"
    mount -o remount,size=64m "$small"
    until_true "recovery" metric_is "tcpsaga_sink_healthy$series" 1
    end_agent
    each_once "$WORK/out.json"
    balances "$small/out.json"
    # Told and delivered together are all there were: no line is torn.
    jq -e -s --argjson all $((COUNT * 10 + 2)) '[.[] | select(.type == "loss").count] | add // 0' \
        "$small/out.json" >"$WORK/lost"
    grep -q "file:$small/out.json: [0-9]* lines offered, [0-9]* written, $(cat "$WORK/lost") dropped" "$WORK/saga.err" ||
        fail "the sink tells of $(cat "$WORK/lost"): $(tail -n 2 "$WORK/saga.err")"
}

@test "agent: a reader that stands still, and one that goes, cost nobody else anything" {
    local fifo=$WORK/fifo
    mkfifo "$fifo"
    tail -f /dev/null <>"$fifo" 3>&- & # holds it open, and never reads
    READER_PID=$!
    agent --json "$WORK/out.json" --json "$fifo:transitions" --json "unix:$WORK/nobody:transitions"
    play
    await_all
    end_agent
    each_once "$WORK/out.json"
    balances "$WORK/out.json"
    grep -q "file:$fifo: .* [1-9][0-9]* dropped" "$WORK/saga.err"
    grep -q "unix:$WORK/nobody: .* 0 written" "$WORK/saga.err"
}

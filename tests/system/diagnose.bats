#!/usr/bin/env bats
# tcpsaga diagnose on real traffic: what is raised, when, about whom; when it is
# cleared; that a quiet namespace and one that is merely busy stay without.

bats_require_minimum_version 1.5.0
load lib.bash

PLAYER=${PLAYER:-$TOP/build/tests/player}

# Where a machine is slow a narrow range makes a storm of few connections.
RATE=80
RANGE="40000 41999"

setup() {
    common_setup
    set_sysctl ip_local_port_range "$RANGE"
}

teardown() { common_teardown; }

# What depends on no kernel is not played in each machine of make check.
not_in_brief() { [ "${TCPSAGA_VM:-}" != brief ] || skip "make check-vm plays it"; }

# After Ctrl-C it ends by itself, with this status.
ends_with() { # STATUS
    local status=0
    kill -INT "$SAGA_PID"
    until_true "the end of tcpsaga" is_gone "$SAGA_PID" || return
    wait "$SAGA_PID" || status=$?
    SAGA_PID=''
    [ "$status" = "$1" ] || fail "tcpsaga ended with status $status, not $1"
}

findings() { # PHASE ID
    jq -c --arg phase "$1" --arg id "$2" \
        'select(.type == "finding" and .phase == $phase and .id == $id)' "$WORK/saga.json"
}

# By grep: a test of times must not wait for jq.
is_told() { grep -q "\"id\":\"$2\",\"severity\":\"[a-z]*\",\"phase\":\"$1\"" "$WORK/saga.json"; }

all_raised() { # ids, sorted
    jq -r 'select(.type == "finding" and .phase == "raised") | .id' "$WORK/saga.json" | sort | tr '\n' ' '
}

# at_most WHAT SINCE UNTIL LIMIT, in seconds
at_most() {
    jq -en "$3 - $2 <= $4" >/dev/null || fail "$1 after $(jq -n "$3 - $2") s, must be within $4 s"
}

now() { date +%s.%N; }

storm() { # SECONDS [OPTION...]
    local seconds=$1
    shift
    traffic_inside load --connections $((RATE * seconds)) --rate "$RATE" "$@"
}

# Seconds since 1970 of a time in JSON.
seconds_of() { date -d "$1" +%s.%N; }

# A storm, and when it and the finding began and ended: raised within two seconds
# of its first second, cleared within five of its end. By the finding's own time and
# the load's: what it takes an emulated shell to look is no matter. There the load may
# need two seconds more until it keeps its rate.
storm_is_told() { # ID [OPTION...]
    local id=$1 ended most=${TCPSAGA_VM:+5}
    shift
    inside "$TRAFFIC" load --connections $((RATE * 6)) --rate "$RATE" "$@" >"$WORK/traffic.json" 3>&- &
    TRAFFIC_PID=$!
    until_true "raised" is_told raised "$id"
    wait "$TRAFFIC_PID"
    ended=$(now)
    TRAFFIC_PID=''
    until_true "cleared" is_told cleared "$id"
    at_most "raised" "$(jq .began "$WORK/traffic.json")" "$(seconds_of "$(findings raised "$id" | jq -r .ts)")" "${most:-3}"
    at_most "cleared" "$ended" "$(seconds_of "$(findings cleared "$id" | jq -r .ts)")" 5
}

listens_at() { inside ss -Hltn "sport = :$1" | grep -q .; }

# Every line about this finding names the port and the process.
is_about() { # ID SIDE
    local line
    line=$(findings raised "$1")
    [ "$(jq -r ".$2.port" <<<"$line")" = 8080 ] &&
        [ "$(jq -r .process.comm <<<"$line")" = traffic ] &&
        [ "$(jq -r .netns <<<"$line")" = "$INODE" ] || fail "not about traffic at port 8080: $line"
}

@test "a storm of a client is raised at once, about the right process and service, and cleared" {
    set_sysctl tcp_tw_reuse 0
    watch diagnose
    storm_is_told timewait-storm-client
    is_about timewait-storm-client remote
    ends_with 5
    # Raised from half of the ports on; how far beyond is up to how fast the machine starts.
    jq -es '[.[] | select(.id == "timewait-storm-client" and .phase == "raised").evidence
            | .ports == 2000 and .steady_state >= 1000
              and (.steady_state - 60 * .rate_per_s | fabs) <= 30] == [true]' "$WORK/saga.json" >/dev/null
}

@test "a storm of a server is raised and cleared" {
    watch diagnose --set timewait-storm-server.rate=40/s
    storm_is_told timewait-storm-server --close server
    is_about timewait-storm-server local
    [ "$(all_raised)" = "timewait-storm-server " ] || fail "raised: $(all_raised)"
    ends_with 4
}

@test "refused connections are raised" {
    not_in_brief
    watch diagnose
    inside bash -c 'for ((i = 0; i < 30; i++)); do (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; done; true'
    until_true "raised" is_told raised connect-refused
    [ "$(jq -r '.remote | "\(.addr) \(.port)"' <<<"$(findings raised connect-refused)")" = "127.0.0.1 9" ]
    [ "$(all_raised)" = "connect-refused " ] || fail "raised: $(all_raised)"
    ends_with 4
}

@test "a connect() without a port is raised as critical" {
    set_sysctl ip_local_port_range "40000 40019"
    watch diagnose
    traffic_inside no-port
    until_true "raised" is_told raised ephemeral-ports-exhausted
    ends_with 5
}

@test "a refused bind() is raised, with who holds the port" {
    not_in_brief
    local line holder
    watch diagnose
    ip netns exec "$NETNS" busybox nc -l -p 8080 >/dev/null 2>&1 3>&- &
    holder=$!
    TRAFFIC_PID=$holder
    until_true "the listener" listens_at 8080
    inside busybox nc -l -p 8080 2>/dev/null && fail "two listen on one port"
    until_true "raised" is_told raised bind-conflict
    line=$(findings raised bind-conflict)
    [ "$(jq -r '"\(.local.port) \(.evidence.error) \(.evidence.holder_state) \(.evidence.holder_pid) \(.process.pid)"' \
        <<<"$line" | cut -d' ' -f1-4)" = "8080 EADDRINUSE LISTEN $holder" ] || fail "$line"
    [ "$(jq .process.pid <<<"$line")" != "$holder" ]
    [ "$(all_raised)" = "bind-conflict " ] || fail "raised: $(all_raised)"
    kill "$holder"
    wait "$holder" || true
    TRAFFIC_PID=''
    ends_with 4
}

# What is counted as unread is the kernel's: the end of file is one, until it is read.
@test "a leak of CLOSE_WAITs says whether data, the end of file, or nothing is unread" {
    not_in_brief
    local port pids=()
    watch diagnose --set close-wait-leak.age=9s --set close-wait-leak.spread=0 --set close-wait-leak.count=6
    for port in "8081 read=0" "8082 read=0" "8083 end=never"; do
        # shellcheck disable=SC2086 # a port and words
        ip netns exec "$NETNS" "$PLAYER" serve 127.0.0.1 $port 3>&- &
        pids+=($!)
        until_true "a server at $port" listens_at "${port%% *}"
    done
    inside "$PLAYER" call 127.0.0.1 8081 count=6 burst=6 send=300 mute=1 >"$WORK/calls"
    inside "$PLAYER" call 127.0.0.1 8082 count=6 burst=6 requests=0 >>"$WORK/calls"
    inside "$PLAYER" call 127.0.0.1 8083 count=6 burst=6 >>"$WORK/calls"
    all_three() { [ "$(findings raised close-wait-leak | wc -l)" = 3 ]; }
    until_true "three leaks" all_three
    findings raised close-wait-leak | jq -es 'sort_by(.local.port) | map(.evidence |
        [.looked_at, .data_unread, .end_unread, .all_read, .most_unread_bytes]) ==
        [[6, 6, 0, 0, 300], [6, 0, 6, 0, 0], [6, 0, 0, 6, 0]]' >/dev/null ||
        fail "$(findings raised close-wait-leak)"
    kill "${pids[@]}"
    wait "${pids[@]}" || true
    ends_with 4
}

@test "a quiet namespace has no findings, and --once says so with status 0" {
    not_in_brief
    run -0 --separate-stderr "$TCPSAGA" diagnose --source live --once --duration 2 netns "/run/netns/$NETNS"
    [ -z "$output" ]
    [[ $stderr == *"nothing found"* ]]
}

@test "a busy server whose clients keep their ports to themselves has no findings" {
    not_in_brief
    set_sysctl ip_local_port_range "20000 60000"
    watch diagnose
    storm 4 --bytes 1000
    # A later storm of refusals shows that it still looks.
    inside bash -c 'for ((i = 0; i < 30; i++)); do (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; done; true'
    until_true "raised" is_told raised connect-refused
    [ "$(all_raised)" = "connect-refused " ] || fail "raised: $(all_raised)"
    ends_with 4
}

# serve: nginx inside, with keep-alive, its files in $WORK; TRAFFIC_PID is its master.
serve() {
    mkdir -p "$WORK/nginx"
    echo hello >"$WORK/nginx/index.html"
    cat >"$WORK/nginx.conf" <<END
daemon off;
user root;
pid $WORK/nginx.pid;
error_log $WORK/nginx.err;
worker_processes 2;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $WORK/body;
    proxy_temp_path $WORK/proxy;
    fastcgi_temp_path $WORK/fastcgi;
    uwsgi_temp_path $WORK/uwsgi;
    scgi_temp_path $WORK/scgi;
    server { listen 8080; root $WORK/nginx; }
}
END
    ip netns exec "$NETNS" nginx -c "$WORK/nginx.conf" -e "$WORK/nginx.err" >/dev/null 2>&1 3>&- &
    TRAFFIC_PID=$!
    until_true "nginx" listens_at 8080
}

workers() { pgrep -P "$TRAFFIC_PID" | sort | tr '\n' ' '; }

@test "nginx with keep-alive under wrk, restarted gracefully meanwhile, has no findings" {
    command -v nginx >/dev/null && command -v wrk >/dev/null || skip "needs nginx and wrk"
    local before requests
    # Of a Debian host.
    set_sysctl ip_local_port_range "32768 60999"
    serve
    watch diagnose
    inside wrk -t1 -c20 -d3s http://127.0.0.1:8080/ >"$WORK/wrk" 2>&1 3>&-
    before=$(workers)
    kill -HUP "$TRAFFIC_PID"
    are_replaced() { [ "$(workers | wc -w)" = 2 ] && [ "$(workers)" != "$before" ]; }
    until_true "new workers" are_replaced
    inside wrk -t1 -c20 -d3s http://127.0.0.1:8080/ >>"$WORK/wrk" 2>&1 3>&-
    requests=$(awk '/requests in/ { sum += $1 } END { print sum }' "$WORK/wrk")
    [ "$requests" -gt 1000 ] || fail "only $requests requests"
    # A later storm of refusals shows that it still looks.
    inside bash -c 'for ((i = 0; i < 30; i++)); do (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null; done; true'
    until_true "raised" is_told raised connect-refused
    [ "$(all_raised)" = "connect-refused " ] || fail "raised: $(all_raised)"
    kill "$TRAFFIC_PID"
    wait "$TRAFFIC_PID" || true
    TRAFFIC_PID=''
    ends_with 4
}

@test "a recording tells the storm that the live look told, twice alike" {
    not_in_brief
    local status=0
    launch "$WORK/record" record "$WORK/storm.saga" --print netns "/run/netns/$NETNS"
    SAGA_PID=$LAUNCHED
    await_start "$SAGA_PID" "$WORK/record"
    storm 5
    kill -INT "$SAGA_PID"
    await_end "$SAGA_PID"
    SAGA_PID=''
    "$TCPSAGA" diagnose -r "$WORK/storm.saga" -o json >"$WORK/saga.json" || status=$?
    # On loopback connect() takes a port again after a second: a warning.
    [ "$status" = 4 ]
    "$TCPSAGA" diagnose -r "$WORK/storm.saga" -o json >"$WORK/again.json" || [ $? = 4 ]
    cmp "$WORK/saga.json" "$WORK/again.json"
    is_about timewait-storm-client remote
    # The settings of the namespace are in the recording.
    [ "$(jq -r .evidence.port_high <<<"$(findings raised timewait-storm-client)")" = 41999 ]
}

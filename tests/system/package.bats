#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The package on a Debian with systemd (tests/vm/package starts the machine): that
# it installs, runs as its unit says, sees there what root sees, and is gone when
# it is removed. The tests are one story, in this order.

bats_require_minimum_version 1.5.0
load lib.bash

DEB=/harness/tcpsaga.deb
UNIT=tcpsaga-agent
OUT=/var/log/tcpsaga/connections.json
PATIENCE_S=120

setup() { cd "$BATS_FILE_TMPDIR" || return; }

teardown() {
    end_process "${SAGA_PID:-}"
    [ -n "${BATS_TEST_COMPLETED:-}" ] || journalctl -q --no-pager -u "$UNIT" | tail -n 30 >&2
}

teardown_file() {
    systemctl stop server elsewhere 2>/dev/null || true
    ip netns del elsewhere 2>/dev/null || true
}

property() { systemctl show -P "$1" "$UNIT"; }

is_active() { [ "$(property ActiveState)" = active ]; }

metrics() { curl -sS --max-time 60 "127.0.0.1:${METRICS_PORT:-9788}/metrics"; }

metric() { metrics | awk -v s="$1" '$1 == s { print $2; found = 1 } END { exit !found }'; }

# Where something of tcpsaga's could be left.
traces() {
    find /etc /usr /lib /var /run /tmp /sys/fs/bpf -xdev -name '*tcpsaga*' \
        -not -path '/var/log/journal/*' -not -path '/var/lib/dpkg/*' 2>/dev/null | sort
    getent passwd tcpsaga || true
    bpftool prog list | sed -n 's/.* name \(on_[a-z_]*\) .*/\1/p'
}

installed() { apt-get install -q -y --no-install-recommends "$@" "$DEB" >apt.log 2>&1 || fail "$(cat apt.log)"; }

@test "package: it installs, and does not start by itself" {
    [ -z "$(traces)" ] || fail "$(traces)"
    installed
    [ "$(property ActiveState)" = inactive ]
    [ "$(systemctl is-enabled "$UNIT")" = disabled ]
    run -0 tcpsaga agent --check-config
    mkdir -p /etc/tcpsaga/agent.conf.d
    printf '[agent]\njson = %s\n' "$OUT" >/etc/tcpsaga/agent.conf.d/json.conf
}

# What there is before the start: connections and their listeners, in this network
# namespace and in one that has a name only.
@test "package: it starts, is ready, and says how it is" {
    ip netns add elsewhere
    ip -n elsewhere link set lo up
    systemd-run -q --unit=server bash -c 'sleep infinity | /harness/churn --idle --connections 10 --port 7000'
    systemd-run -q --unit=elsewhere ip netns exec elsewhere \
        bash -c 'sleep infinity | /harness/churn --idle --connections 20 --port 7000'
    until_true "the connections" are_open
    systemctl start "$UNIT"
    is_active
    until_true "a status" has_status
    journalctl -q --no-pager -u "$UNIT" >journal
    grep -q 'watching the live kernel' journal
    ! grep 'cannot\|not known\|not be told\|failed' journal || fail "there is something that it cannot do"
}

established() { "$@" ss -Htn state established 'sport >= 7000 and sport <= 7001' | wc -l; }
are_open() { [ "$(established env)" = 10 ] && [ "$(established ip netns exec elsewhere)" = 20 ]; }
has_status() { property StatusText | grep -q '[0-9]* records delivered, 0 lost'; }

# Both ends of 30 connections, four listeners, and of the metrics' own the end that
# the kernel keeps for us.
@test "package: metrics come through systemd's socket, and know what was there before" {
    until_true "the sockets of both namespaces" counts 'tcpsaga_sockets{state="ESTABLISHED"}' 60
    [ "$(metric 'tcpsaga_sockets{state="LISTEN"}')" -ge 4 ]
    curl -sS 127.0.0.1:9788/healthz | jq -e '.status == "ok" and .sinks[0].status == "ok"' >health || fail "$(cat health)"
    [ "$(ss -Hltnp 'sport = 9788' | grep -c systemd)" = 1 ]
}

counts() { [ "$(metric "$1")" -ge "$2" ]; }

# An agent of root's without any bound is the measure: what it tells of the same
# connections, its hooks, its processes with their cgroups.
@test "package: in its unit it sees what root sees" {
    tcpsaga agent --config /dev/null --user root --control off --metrics 127.0.0.1:9789 --state off --json "$PWD/root.json" 2>root.err 3>&- &
    SAGA_PID=$!
    METRICS_PORT=9789 until_true "all of them in root's metrics" counts 'tcpsaga_sockets{state="ESTABLISHED"}' 60
    systemctl stop server elsewhere
    until_true "all of them in root's JSON" all_told root.json || fail "$(told root.json | wc -l) there: $(cat root.err)"
    until_true "all of them in the unit's JSON" all_told "$OUT"
    kill "$SAGA_PID"
    await_end "$SAGA_PID"
    SAGA_PID=''
    told root.json >root.told
    told "$OUT" >unit.told
    diff root.told unit.told || fail "root sees another world"
    grep -q '"unit":"server.service"' unit.told
    grep -q '"unit":"elsewhere.service"' unit.told
    [ "$(head -n 1 root.json | jq -cS .hooks)" = "$(head -n 1 "$OUT" | jq -cS .hooks)" ]
}

# When a process began is shown by each agent's own offset between two clocks: here
# only that it is known.
told() { jq -cS 'select(.type == "connection" and (.local.port, .remote.port | . == 7000 or . == 7001))
    | {netns, local, remote, role, process, how, preexisting}
    | if .process then .process.started |= type else . end' "$1" | sort; }
all_told() { [ "$(told "$1" | wc -l)" -ge 60 ]; }

@test "package: the watchdog is fed, and a reload keeps it going" {
    local pid before
    pid=$(property MainPID)
    mkdir -p "/etc/systemd/system/$UNIT.service.d"
    printf '[Service]\nWatchdogSec=20\n' >"/etc/systemd/system/$UNIT.service.d/watchdog.conf"
    systemctl daemon-reload
    systemctl restart "$UNIT"
    [ "$(property MainPID)" != "$pid" ]
    pid=$(property MainPID)
    before=$(property WatchdogTimestampMonotonic)
    until_true "a sign of life" fed_since "$before"
    systemctl reload "$UNIT"
    until_true "the metrics" counts 'tcpsaga_sockets{state="ESTABLISHED"}' 1
    [ "$(property MainPID)" = "$pid" ]
    rm -r "/etc/systemd/system/$UNIT.service.d"
    systemctl daemon-reload
}

fed_since() { [ "$(property WatchdogTimestampMonotonic)" -gt "$1" ]; }

@test "package: killed it comes back by itself, and tells the gap" {
    local pid
    pid=$(property MainPID)
    systemctl kill --signal=KILL "$UNIT"
    until_true "a new one" another_runs "$pid"
    jq -ce 'select(.reason == "agent_down")' "$OUT" | tail -n 1 | grep -q from
    metrics | grep -q '^tcpsaga_agent_gap_seconds{reason="agent_down"}'
}

another_runs() { [ "$(property MainPID)" != "$1" ] && is_active; }

@test "package: exposed as little as it says, with no more than it needs" {
    systemd-analyze security --no-pager "$UNIT" >security
    awk '/Overall exposure level/ { if ($(NF - 2) > 2.0) exit 1; found = 1 } END { exit !found }' security ||
        fail "$(tail -n 1 security)"
    # Its own user, in a file system where it can write nothing but its own.
    [ "$(stat -c %u "/proc/$(property MainPID)")" != 0 ]
    grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$(property MainPID)/status"
    grep -q '^Seccomp:[[:space:]]*2$' "/proc/$(property MainPID)/status"
}

@test "package: an upgrade starts it anew" {
    local pid
    pid=$(property MainPID)
    installed --reinstall
    until_true "a new one" another_runs "$pid"
}

@test "package: stopped it writes its summary in time" {
    local began=$SECONDS
    systemctl stop "$UNIT.socket" "$UNIT"
    [ $((SECONDS - began)) -le 15 ] || fail "it took $((SECONDS - began)) s"
    [ "$(property Result)" = success ]
    journalctl -q --no-pager -u "$UNIT" | tail -n 8 | grep -q 'records attempted, .* 0 lost'
    tail -n 1 "$OUT" | jq -e '.type == "stop" and .ledger.attempted == .ledger.delivered'
    [ -z "$(bpftool prog list | sed -n 's/.* name \(on_[a-z_]*\) .*/\1/p')" ]
}

@test "package: removed it leaves its configuration and its logs, purged nothing" {
    systemctl enable --now "$UNIT"
    apt-get remove -q -y tcpsaga >apt.log 2>&1 || fail "$(cat apt.log)"
    [ "$(property LoadState)" = not-found ]
    [ -e /etc/tcpsaga/agent.conf ] && [ -e "$OUT" ]
    [ -z "$(traces | grep -v '^/etc/tcpsaga\|^/var/log/\(private/\)\?tcpsaga')" ] || fail "$(traces)"
    rm -r /etc/tcpsaga/agent.conf.d
    apt-get purge -q -y tcpsaga >apt.log 2>&1 || fail "$(cat apt.log)"
    [ -z "$(traces)" ] || fail "$(traces)"
    [ -z "$(systemctl list-unit-files --no-legend 'tcpsaga*')" ]
}

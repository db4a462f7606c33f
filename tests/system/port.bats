#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# tcpsaga port: who holds a port, as the makers of the sockets know it; what
# would become of a bind(), held against the kernel's own bind() and listen().
#
#   HOLDER  the maker (default: build/tests/holder, top of the tree)

bats_require_minimum_version 1.5.0
load lib.bash

HOLDER=${HOLDER:-$TOP/build/tests/holder}
NEEDED='("port_holder", "bind_check")'

setup() {
    HOLD_PID=
    [ -x "$HOLDER" ] || fail "no maker of holders: $HOLDER"
    common_setup
}

teardown() {
    end_process "$HOLD_PID"
    common_teardown
}

has_port() { [ -s "$WORK/port" ] || is_gone "$HOLD_PID"; }

# hold STATE ADDRESS OPTIONS: in the namespace, by user HOLD_UID; sets PORT.
hold() {
    mkfifo "$WORK/hold.in"
    # Each becomes the next one, so that the process is the holder's.
    ip netns exec "$NETNS" setpriv --reuid "${HOLD_UID:-0}" "$HOLDER" hold "$@" \
        <"$WORK/hold.in" >"$WORK/port" 2>"$WORK/hold.err" 3>&- &
    HOLD_PID=$!
    exec 4>"$WORK/hold.in"
    until_true "the holder" has_port
    PORT=$(<"$WORK/port")
    [ -n "$PORT" ] || fail "$(cat "$WORK/hold.err")"
}

# port_says [WORD...]: about $PORT, from outside, into port.json.
port_says() {
    "$TCPSAGA" port "$PORT" -o json --netns "/run/netns/$NETNS" "$@" >"$WORK/port.json" 2>"$WORK/port.err"
    jq -es "all(.type | IN$NEEDED)" "$WORK/port.json" >/dev/null
}

# holder EXPRESSION: true of the only holder listed.
holder() {
    jq -es 'map(select(.type == "port_holder")) | length == 1 and (.[0] | '"$1"')' "$WORK/port.json" \
        >/dev/null || fail "$1" "$(cat "$WORK/port.json")"
}

# check EXPRESSION: true of what is said of the bind().
check() {
    jq -es 'map(select(.type == "bind_check")) | length == 1 and (.[0] | '"$1"')' "$WORK/port.json" \
        >/dev/null || fail "$1" "$(cat "$WORK/port.json")"
}

# Sockets that are bound and no more are told from 6.8 on.
bound_is_told() {
    "$TCPSAGA" port 1 -o json netns self | jq -e '.not_seen | any(test("bound and neither")) | not' >/dev/null
}

@test "port: the answer is that of bind() and listen(), in every combination" {
    # In a virtual machine a question takes half a second: each 13th holder,
    # which leaves out no state, no address and no option.
    local stride=${TCPSAGA_VM:+13}
    inside "$HOLDER" "$TCPSAGA" "${stride:-1}" >"$WORK/answers" ||
        fail "$(head -n 20 "$WORK/answers")" "$(tail -n 1 "$WORK/answers")"
    grep -E '^agreed [1-9][0-9]{2,} of ' "$WORK/answers"
}

@test "port: a listener, its process and its options, from another namespace" {
    hold listening dual-from-v4 1
    port_says
    # The holder's process became it: there is no other between.
    holder '.proto == "tcp" and .state == "LISTEN" and .local.addr == "::" and .family == 6
        and .v6only == false and .reuseaddr == true and .reuseport == false and .uid == 0
        and .process.pid == '"$HOLD_PID"' and .process.comm == "holder" and .netns == '"$INODE"'
        and (has("remote") or has("since") or has("expires_in_s") | not)'
    check '.netns == '"$INODE"' and .local.addr == "::" and .bind.would == "fail"
        and .bind.errno == "EADDRINUSE" and (.bind | has("succeeds_at") | not)
        and .bind.because[0].cause == "listener" and .bind.because[0].process.comm == "holder"'
    # Nobody there in our own namespace.
    "$TCPSAGA" port "$PORT" -o json --netns self | jq -es 'map(.type) == ["bind_check"]' >/dev/null
    # Everywhere, and of one process.
    "$TCPSAGA" port "$PORT" -o json pid "$HOLD_PID" |
        jq -es 'map(select(.type == "port_holder")) | length == 1' >/dev/null
    "$TCPSAGA" port "$PORT" -o json pid 1 | jq -es 'map(.type) == ["bind_check"]' >/dev/null
}

@test "port: TIME_WAIT, since when, and until when" {
    hold server-closed-first v4 0
    port_says --reuseaddr
    holder '.state == "TIME_WAIT" and .local.addr == "127.0.0.1" and .remote.port > 0
        and .expires_in_s > 0 and .expires_in_s <= 60 and (has("process") or has("uid") | not)
        and (.ts | .[:19] + "Z" | fromdate) - (.since | .[:19] + "Z" | fromdate) <= 60'
    check '.bind.would == "fail" and .bind.because[0].cause == "time_wait"
        and (.bind.because[0].text | test("the old socket had it not"))
        and .bind.succeeds_in_s == .bind.because[0].expires_in_s
        and (.bind.succeeds_at > .ts) and .bind.with.both == "fail"'
}

@test "port: the options' help is told, with the side that lacks them" {
    hold children v4-address 1
    port_says
    check '.bind.would == "fail" and .bind.because[0].cause == "connection"
        and (.bind.because[0].text | test("the new socket has it not"))
        and .bind.with == {"neither": "fail", "reuseaddr": "succeed", "reuseport": "fail", "both": "succeed"}'
    "$TCPSAGA" port "$PORT" --netns "$NETNS" | tr -d '\n' | tr -s ' ' |
        grep -q 'With SO_REUSEADDR on the new socket it would succeed now'
}

@test "port: SO_REUSEPORT is for one user" {
    HOLD_UID=1000 hold listening v4 2
    port_says --reuseport
    check '.uid == 0 and .bind.would == "fail" and (.bind.because[0].text | test("uid 1000.s .*uid 0.s"))'
    port_says --reuseport --uid 1000
    check '.uid == 1000 and .bind.would == "succeed"'
}

@test "port: UDP and TCP do not get in each other's way" {
    hold udp-connected v4 0
    port_says
    holder '.proto == "udp" and .state == "CONNECTED" and .process.pid == '"$HOLD_PID"
    check '.proto == "tcp" and .bind.would == "succeed"'
    port_says --udp
    check '.proto == "udp" and .bind.would == "fail"'
}

@test "port: a socket that is bound and no more" {
    hold bound v4 0
    port_says
    if bound_is_told; then
        holder '.state == "BOUND" and .local.addr == "0.0.0.0" and .process.comm == "holder"'
        check '.bind.would == "fail" and .bind.because[0].cause == "bound"'
    else
        # What this kernel does not tell is named.
        check '.not_seen | any(test("bound and neither"))'
    fi
}

@test "port: without privileges it says what it could not see" {
    hold children v4 1
    inside setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all \
        "$TCPSAGA" port "$PORT" -o json --reuseaddr >"$WORK/port.json"
    # Both ends' sockets are in the namespace, one of them has the port.
    holder '.state == "ESTABLISHED" and (has("reuseaddr") or has("process") | not)'
    check '.uid == 1000 and .bind.would == "unknown" and (.bind.missing | test("options of 1 socket"))
        and .bind.because[0].certain == false and (.not_seen | length) >= 2'
    # It is certain all the same where the options do not matter.
    inside setpriv --reuid 1000 --regid 1000 --clear-groups \
        "$TCPSAGA" port "$PORT" -o json >"$WORK/port.json"
    check '.bind.would == "fail"'
}

@test "port: a port below ip_unprivileged_port_start is for the privileged" {
    PORT=80
    port_says --uid 1000
    check '.bind.would == "fail" and .bind.errno == "EACCES" and .bind.because[0].cause == "privileged_port"'
    port_says
    check '.bind.would == "succeed"'
    set_sysctl ip_unprivileged_port_start 80
    port_says --uid 1000
    check '.bind.would == "succeed"'
}

@test "port: an address that no interface has, and the settings that allow it" {
    PORT=8080
    port_says --bind 192.0.2.7
    check '.bind.errno == "EADDRNOTAVAIL"'
    set_sysctl ip_nonlocal_bind 1
    port_says --bind 192.0.2.7
    check '.bind.would == "succeed"'
    port_says --bind 2001:db8::7
    check '.bind.errno == "EADDRNOTAVAIL"'
    ip -n "$NETNS" address add 2001:db8::7/128 dev lo nodad
    port_says --bind 2001:db8::7
    check '.bind.would == "succeed"'
    port_says --bind fe80::1
    check '.bind.errno == "EINVAL" and .bind.because[0].cause == "link_local"'
}

@test "port: where nobody has an address yet it cannot be told what bind() says" {
    OTHER=saga-$$-bare-$RANDOM
    ip netns add "$OTHER"
    PORT=8080
    "$TCPSAGA" port $PORT -o json --netns "$OTHER" --bind 192.0.2.7 >"$WORK/port.json"
    check '.bind.would == "unknown" and (.bind.missing | test("whether the address"))'
    "$TCPSAGA" port $PORT -o json --netns "$OTHER" --bind 0.0.0.0 >"$WORK/port.json"
    check '.bind.would == "succeed"'
}

@test "port: every line is valid against the schema" {
    local python=/usr/bin/python3
    $python -c 'import jsonschema' 2>/dev/null || skip "needs python3-jsonschema"
    "$TCPSAGA" schema >"$WORK/schema.json"
    hold server-closed-first dual-from-v4 3
    port_says --bind :: --bind 0.0.0.0 --bind ::ffff:192.0.2.1 || true
    $python "$TOP/tests/replay/validate.py" "$WORK/schema.json" <"$WORK/port.json"
}

# says LINE WORD...
says() {
    local line=$1
    shift
    run -2 --separate-stderr "$TCPSAGA" port "$@"
    [ "$stderr" = "tcpsaga: port: $line" ] || fail "$stderr"
}

@test "port: bad words get one line" {
    says 'which port? try: tcpsaga port 8080'
    says 'its first operand wants a port from 1 to 65535, not "http"' http
    says 'its first operand wants a port from 1 to 65535, not "0"' 0
    says 'its first operand wants a port from 1 to 65535, not "65536"' 65536
    says '--bind wants an IPv4 or IPv6 address, not "localhost"' 80 --bind localhost
    says '--uid wants a number, not "root"' 80 --uid root
    says '--v6only wants 0 or 1, not "yes"' 80 --v6only yes
    says '-o wants table or json, not "xml"' 80 -o xml
    says 'unknown option --reuse-addr: did you mean --reuseaddr?' 80 --reuse-addr
}

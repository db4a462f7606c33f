#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Replay: stories told in text become recordings, and what the verbs tell of
# them is compared byte for byte with expected/.
#
#   TCPSAGA   the program under test   (default: tcpsaga, top of the tree)
#   MKREC     makes the recordings     (default: build/tests/mkrec there)
#   UPDATE=1  writes expected/ anew: read the difference before it is kept

bats_require_minimum_version 1.5.0

HERE=$BATS_TEST_DIRNAME
TOP=$(cd "$HERE/../.." && pwd)
TCPSAGA=${TCPSAGA:-$TOP/tcpsaga}
MKREC=${MKREC:-$TOP/build/tests/mkrec}
EXPECTED=$HERE/expected
HEAD_BYTES=664 # of a recording, see user/source/recording.c

fail() {
    printf '%s\n' "$@" >&2
    return 1
}

setup() {
    WORK=$BATS_TEST_TMPDIR
    [ -x "$TCPSAGA" ] || fail "no program to test: $TCPSAGA"
    [ -x "$MKREC" ] || fail "nothing to make recordings with: $MKREC"
    cd "$WORK" || return
    unset NO_COLOR
}

# make_recording SCENARIO: in $SCENARIO.rec
make_recording() {
    "$MKREC" <"$HERE/scenarios/$1.txt" >"$1.rec"
}

# compare NAME: the file NAME that was made with the one that is expected.
compare() {
    if [ -n "${UPDATE:-}" ]; then
        cp "$1" "$EXPECTED/$1"
    fi
    diff -u "$EXPECTED/$1" "$1" >&2 || fail "$1 is not as expected (- expected, + tcpsaga)"
}

# What is said on stderr is part of what is told; silence has no file.
compare_stderr() { # NAME
    if [ -s "$1.err" ] || [ -e "$EXPECTED/$1.err" ]; then
        compare "$1.err"
    fi
}

# tell SCENARIO NAME VERB [ARGUMENT...]: expected/NAME is what VERB prints.
tell() {
    local scenario=$1 name=$2 verb=$3 status=0
    shift 3
    [ -e "$scenario.rec" ] || make_recording "$scenario" || return
    "$TCPSAGA" "$verb" -r "$scenario.rec" "$@" >"$name" 2>"$name.err" || status=$?
    [ "$status" = 0 ] || fail "$verb $*: status $status: $(cat "$name.err")" || return
    compare "$name" || return
    compare_stderr "$name"
}

# story SCENARIO: both verbs, for people and for programs. All four are
# compared, so that a failure shows the whole of it.
story() {
    local bad=
    tell "$1" "$1.trace.json" trace -o json || bad=1
    tell "$1" "$1.trace.txt" trace || bad=1
    tell "$1" "$1.flows.json" flows -o json || bad=1
    tell "$1" "$1.flows.txt" flows || bad=1
    [ -z "$bad" ]
}

# ---- lives, from KERNEL.md section 4 ------------------------------------------

@test "a client closes first" { story client-closes-first; }
@test "a server closes first" { story server-closes-first; }
@test "both close at the same time" { story simultaneous-close; }
@test "a connect is refused" { story refused; }
@test "a bind() or listen() is refused" { story bind-refused; }
@test "a connect is not answered, or the host cannot be reached" { story unanswered; }
@test "a pending connect is given up" { story cancelled; }
@test "no local port is left" { story no-local-port; }
@test "a reset comes" { story reset-received; }
@test "a connection is aborted, or times out" { story aborted; }
@test "ss -K kills a connection" { story killed; }
@test "a listener closes over children that nobody accepted" { story listener-closed; }
@test "one direction is shut down and the other goes on" { story half-close; }
@test "a socket connects to itself" { story self-connect; }
@test "two clients open at the same time" { story simultaneous-open; }
@test "IPv6, in the spelling of RFC 5952" { story ipv6; }
@test "IPv4 on AF_INET6 sockets" { story v4-mapped; }
@test "an error that was left over has not ended the next life" { story stale-error; }
@test "a five-tuple has several lives" { story two-lives; }
@test "the same five-tuple in two network namespaces" { story namespaces; }
@test "an address as id is shown as another one for each life" { story address-ids; }
@test "MPTCP is labelled, and a fallback to TCP is not" { story mptcp; }
@test "SYNs at listeners, with both queues" { story syns; }
@test "handshakes, whatever becomes of them, and accept()" { story handshakes; }
@test "requests without an id are joined to their children" { story requests-without-ids; }
@test "third ACKs dropped: served later, given up, aborted" {
    story accept-queue-full
    tell accept-queue-full accept-queue-full.queues.json queues -o json
}

@test "what existed before, and what is set right after a loss" { story preexisting; }
@test "what no record has told, though none was lost" { story unrecorded; }
@test "of a recording that was cut nobody knows what was lost" {
    sed '/^stop/d' "$HERE/scenarios/unrecorded.txt" | "$MKREC" >cut.rec
    "$TCPSAGA" flows -r cut.rec >cut.txt 2>cut.err
    grep -q "2 changes of state had no record; the kernel's tables showed them$" cut.err || fail "$(cat cut.err)"
}
@test "half-open requests that only dumps show" { story half-open; }

@test "minisockets: begun, promoted, reused, reset, refused, expired" {
    story timewait
    tell timewait timewait.timewait.json timewait -o json
    tell timewait timewait.timewait.txt timewait
    tell timewait timewait.at-close.json flows --at-close -o json
}
@test "owners: units, containers, a pid that is used again, hostile cgroups" {
    story owners
    tell owners owners.timewait.json timewait -o json
    tell owners owners.timewait.wide.txt timewait -w
    tell owners owners.trace.wide.txt trace -w
    # The path comes back, byte for byte.
    [ "$(jq -r 'select(.process.cgroup_hex).process.cgroup_hex' owners.trace.json | head -n 1)" = \
        "$(printf '/a\033[31m\n"\351/\033[2J.service' | od -An -tx1 | tr -d ' \n')" ]
    for file in owners.*; do
        [ "$file" = owners.rec ] || ! LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]' "$file" ||
            fail "a control byte in $file"
    done
}
@test "what network namespaces have counted, and listeners that only samples tell" {
    tell host-wide host-wide.queues.json queues -o json
    tell host-wide host-wide.queues.txt queues
    tell host-wide host-wide.netns.json queues -o json netns 4026532001
}
@test "SYNs that sockops saw are queued, and nothing is told of others" {
    tell admitted admitted.queues.json queues -o json
    tell admitted admitted.queues.txt queues
    # They begin no life.
    [ "$("$TCPSAGA" flows -r admitted.rec -o json | grep -c '"connection"')" = 1 ]
}
@test "clients that wait after a dropped SYN, are served, or give up" {
    tell blocked-clients blocked-clients.queues.json queues -o json
    tell blocked-clients blocked-clients.queues.txt queues
}
@test "queues counts what came to a listener" {
    tell handshakes handshakes.queues.json queues -o json
}
@test "connections that are still open in the end" { story still-open; }

# What the rules find is the matter of findings/suite; here is how it is told.
@test "diagnose tells findings as they come and go, and lists its rules" {
    local status=0
    "$HERE/findings/suite" --text storm-in-a-narrow-range | "$MKREC" >narrow.rec
    "$TCPSAGA" diagnose -r narrow.rec -o json >narrow.diagnose.json || status=$?
    [ "$status" = 5 ]
    "$TCPSAGA" diagnose -r narrow.rec >narrow.diagnose.txt || status=$?
    [ "$status" = 5 ]
    "$TCPSAGA" diagnose --rules -o json --set close-wait-leak.age=2m >rules.diagnose.json
    "$TCPSAGA" diagnose --rules >rules.diagnose.txt
    for file in {narrow,rules}.diagnose.{json,txt}; do
        compare "$file"
    done
    # What is not there any more in the end is not told by --once.
    "$TCPSAGA" diagnose -r narrow.rec --once >once
    [ ! -s once ]
    [ "$(jq 'select(.id == "close-wait-leak").thresholds[0].value' rules.diagnose.json)" = 120 ]
}

@test "a rule or threshold that is none is told with its nearest" {
    local message
    run ! "$TCPSAGA" diagnose --rules --set close-wait-leek.age=1
    message=$("$TCPSAGA" diagnose --rules --set close-wait-leek.age=1 2>&1) || [ $? = 2 ]
    [[ $message == *"did you mean 'close-wait-leak'"* ]]
    message=$("$TCPSAGA" diagnose --rules --set close-wait-leak.aeg=1 2>&1) || [ $? = 2 ]
    [[ $message == *"did you mean 'age'"* ]]
    message=$("$TCPSAGA" diagnose --rules --set close-wait-leak.age=ten 2>&1) || [ $? = 2 ]
    [[ $message == *"is a time"* ]]
}

# ---- what is missing, and what is strange -------------------------------------

@test "births that were lost" { story lost-birth; }
@test "closes that were lost" { story lost-close; }
@test "a record that was lost in the middle" { story lost-middle; }
@test "a transition that the stand-in tells a second time" { story told-twice; }
@test "losses are told where they were noticed" { story losses; }
@test "records that are malformed or from the future are skipped and counted" {
    story malformed
}
@test "records that come a little out of order" { story disorder; }
@test "errors that have no name" { story strange-errors; }
@test "a history that is too long" { story long-history; }

# Some lines are longer than a hundred columns for their addresses; timelines
# are broken, between states.
@test "tables end no line in a blank, and no timeline is too wide" {
    ! grep -n ' $' "$EXPECTED"/*.txt || fail "blanks at the ends of lines"
    ! grep -nE '^ {4,}[A-Z>].{97}' "$EXPECTED"/*.flows*.txt || fail "wide timelines"
}
@test "hostile names break neither the table nor the JSON" {
    story hostile-names
    # In bytes: nothing but line feeds below the blank, and no DEL.
    for file in hostile-names.*.txt hostile-names.*.json; do
        ! LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]' "$file" || fail "a control byte in $file"
        ! LC_ALL=C grep -qP '\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]' hostile-names.trace.txt ||
            fail "a control character in $file"
    done
    # Every name comes back, byte for byte.
    jq -r 'select(.type == "transition") | .process |
        if .comm_hex then .comm_hex else .comm | @json end' hostile-names.trace.json >names
    diff -u - names <<'END'
"\u001b[31m\n\""
"\"},\"v\":2,\"x\":\""
"a\\b\tc\rd"
"café 中"
6c6174696ee9
c29b33316d9b
"‮gnp.exe"
eda080c080
""
"kworker/u8:3 +x"
"\u007f\u0001\u001f"
END
}

# ---- filters -------------------------------------------------------------------

# shows ARGUMENT... : reads from stdin what trace shows of the crowd, one line
# "CONN OLD>NEW" each, in the order in which it is to be shown.
shows() {
    [ -e crowd.rec ] || make_recording crowd
    "$TCPSAGA" trace -r crowd.rec -o json "$@" 2>&1 |
        jq -r 'select(.type != "start" and .type != "stop") |
            "\(.conn // .listener) \(if .type == "syn" then "SYN" else "\(.old)>\(.new)" end)"' >shown
    diff -u - shown >&2 || fail "not what trace $* should show (- expected, + tcpsaga)"
}

# lists ARGUMENT...: the same for flows, one conn per line.
lists() {
    [ -e crowd.rec ] || make_recording crowd
    "$TCPSAGA" flows -r crowd.rec -o json "$@" 2>&1 |
        jq -r 'select(.type == "connection") | .conn' >shown
    diff -u - shown >&2 || fail "not what flows $* should show (- expected, + tcpsaga)"
}

@test "the crowd without a filter" { story crowd; }

@test "a filter on a local port that is not known yet loses nothing" {
    shows local port 40001 <<'END'
0x11 CLOSE>SYN_SENT
0x11 SYN_SENT>ESTABLISHED
0x11 ESTABLISHED>FIN_WAIT1
0x11 FIN_WAIT1>FIN_WAIT2
0x11 FIN_WAIT2>CLOSE
END
    # The first line is told late and is as it would have been, but for the port.
    tell crowd crowd.local-port.json trace -o json local port 40001
}

@test "a filter that is never decided shows nothing" {
    shows role client and local port 1 </dev/null
    lists local port 1 </dev/null
}

@test "a filter on a process finds its passive connections from their beginning" {
    shows pid 8 <<'END'
0x31 LISTEN>SYN_RECV
0x31 SYN_RECV>ESTABLISHED
0x31 ESTABLISHED>FIN_WAIT1
0x31 FIN_WAIT1>CLOSE
END
    lists pid 8 <<<0x31
    lists comm nginx <<'END'
0x30
0x31
END
}

@test "a filter on states is about each transition, and about the history of a life" {
    shows state fin-wait-2 <<'END'
0x11 FIN_WAIT1>FIN_WAIT2
0x11 FIN_WAIT2>CLOSE
END
    lists state fin-wait-2 <<<0x11
    shows state close-wait <<'END'
0x30 ESTABLISHED>CLOSE_WAIT
0x30 CLOSE_WAIT>LAST_ACK
END
    lists role client and not state established <<<0x13
}

@test "filters on addresses, networks, families and roles" {
    lists remote net 2001:db8::/32 <<<0x31
    lists host 10.0.0.2 <<<0x30
    lists ipv6 <<<0x31
    lists role server and ipv4 <<<0x30
    lists port 5432 and not pid 42 <<'END'
0x13
0x12
END
    lists '(' remote port 50000 or remote port 50001 ')' and local host 10.0.0.1 <<<0x30
    lists netns 1 </dev/null
}

@test "the short options are filters by another name" {
    lists -p 8 <<<0x31
    lists -L 40001,40002 <<'END'
0x11
0x12
END
    lists -D 50000-50001 -6 <<<0x31
    lists -4 -L 80 <<<0x30
    lists -D 5432 pid 44 <<<0x13
    lists -4 -6 </dev/null
}

@test "-e shows the kinds of event that were asked for" {
    shows -e syn <<<'0x20 SYN'
    shows -e transition pid 44 <<'END'
0x13 CLOSE>SYN_SENT
0x13 SYN_SENT>CLOSE
END
    shows -e syn,transition pid 7 and '(' state listen or remote port 50000 ')' <<'END'
0x20 CLOSE>LISTEN
0x20 SYN
0x30 LISTEN>SYN_RECV
0x30 SYN_RECV>ESTABLISHED
0x30 ESTABLISHED>CLOSE_WAIT
0x30 CLOSE_WAIT>LAST_ACK
0x30 LAST_ACK>CLOSE
0x20 LISTEN>CLOSE
END
    make_recording handshakes
    for kind in syn handshake accept transition; do
        "$TCPSAGA" trace -r handshakes.rec -o json -e $kind | jq -r .type | sort -u | tr '\n' ' ' >shown
        [ "$(cat shown)" = "$(printf '%s\n' start stop $kind | sort | tr '\n' ' ')" ] || fail "-e $kind: $(cat shown)"
    done
}

# ---- options -------------------------------------------------------------------

@test "-w makes room for IPv6 and the network namespace" {
    tell ipv6 ipv6.trace.wide.txt trace -w
    tell ipv6 ipv6.flows.wide.txt flows -w
    tell namespaces namespaces.trace.wide.txt trace --wide
}

@test "-T shows the whole time" {
    tell refused refused.trace.time.txt trace -T
    tell refused refused.flows.time.txt flows --timestamp
}

@test "--count ends after so many lines, between start and stop" {
    make_recording client-closes-first
    for n in 1 2 5 12; do
        "$TCPSAGA" trace -r client-closes-first.rec -o json --count $n >out
        [ "$(jq -r .type out | tr '\n' ' ')" = "start $(printf 'transition %.0s' $(seq $n))stop " ]
        [ "$("$TCPSAGA" trace -r client-closes-first.rec --count $n | wc -l)" = $((n + 1)) ]
    done
    "$TCPSAGA" trace -r client-closes-first.rec -o json --count 100 >out
    "$TCPSAGA" trace -r client-closes-first.rec -o json | diff -u - out
}

@test "--count counts connections, also those that are open in the end" {
    make_recording still-open
    for n in 1 2 3 4; do
        "$TCPSAGA" flows -r still-open.rec -o json --count $n >out
        [ "$(grep -c '"type":"connection"' out)" = $n ] || fail "$n" "$(cat out)"
    done
}

@test "--duration ends at its time, which is the recording's" {
    make_recording client-closes-first
    "$TCPSAGA" trace -r client-closes-first.rec -o json --duration 0.55 >out
    [ "$(jq -r 'select(.type == "transition") | .new' out)" = LISTEN ]
    "$TCPSAGA" trace -r client-closes-first.rec -o json --duration 0.600155 >out
    [ "$(jq -r 'select(.type == "transition") | .new' out | tr '\n' ' ')" = "LISTEN SYN_SENT ESTABLISHED " ]
    "$TCPSAGA" trace -r client-closes-first.rec -o json --duration 100 >out
    "$TCPSAGA" trace -r client-closes-first.rec -o json | diff -u - out
}

# At the end of its time flows tells what is open then, as it does live.
@test "--duration tells what is still open at its end" {
    make_recording client-closes-first
    "$TCPSAGA" flows -r client-closes-first.rec -o json --duration 0.601 >out
    [ "$(jq -r 'select(.type == "connection") | .role + " " + .state' out | sort | tr '\n' ' ')" = \
        "client ESTABLISHED server ESTABLISHED " ] || fail "$(cat out)"
}

@test "a recording comes from a pipe as well" {
    make_recording client-closes-first
    "$TCPSAGA" trace -r - -o json <client-closes-first.rec >from-file
    cat client-closes-first.rec | "$TCPSAGA" trace -r - -o json >from-pipe
    cmp from-file "$EXPECTED/client-closes-first.trace.json"
    cmp from-pipe from-file
}

@test "a recording that is recorded again is the same" {
    make_recording crowd
    "$TCPSAGA" record again.rec -r crowd.rec --print -o json >printed
    cmp printed "$EXPECTED/crowd.trace.json"
    cmp again.rec crowd.rec
    "$TCPSAGA" record - -r crowd.rec 2>err | cmp - crowd.rec
}

# ---- recordings that are cut, damaged or none ----------------------------------

# The offsets at which records begin, and the end, one a line.
offsets() {
    local at=$HEAD_BYTES size
    size=$(stat -c %s "$1")
    while [ "$at" -lt "$size" ]; do
        echo "$at"
        at=$((at + 8 + $(od -An -tu4 -j "$at" -N 4 "$1")))
    done
    echo "$at"
}

# cut_at BYTES RECORDS SAID: tells of so many records, and says on one line why
# there are no more.
cut_at() {
    local status=0
    head -c "$1" crowd.rec >cut.rec
    "$TCPSAGA" trace -r cut.rec -o json >out 2>err || status=$?
    [ "$status" = 0 ] || fail "cut at $1: status $status" "$(cat err)" || return
    [ "$(jq -s '.[-1].ledger.delivered' out)" = "$2" ] || fail "cut at $1" "$(cat out)" || return
    # Nothing is told that the whole recording does not tell, nor is it told anew.
    diff <(sed '$d' out) <(head -n "$(($(wc -l <out) - 1))" "$EXPECTED/crowd.trace.json") >&2 ||
        fail "cut at $1: another story" || return
    [ "$(cat err)" = "tcpsaga: cut.rec $3" ] || fail "cut at $1: $(cat err)"
}

@test "a recording that is cut anywhere is read to its last whole record" {
    local at next cut nr bounds
    local no_end="has no end: its capture was killed, or the file was cut between two records"
    make_recording crowd
    mapfile -t bounds < <(offsets crowd.rec)
    for ((nr = 0; nr + 2 < ${#bounds[@]}; nr++)); do
        at=${bounds[nr]} next=${bounds[nr + 1]}
        cut_at "$at" "$nr" "$no_end"
        for cut in $((at + 1)) $((at + 8)) $((at + 20)) $((next - 1)); do
            cut_at "$cut" "$nr" \
                "was cut: read to its last whole record, number $nr, at byte $at"
        done
    done
}

@test "a recording that is cut in its head is empty" {
    make_recording refused
    for bytes in 0 1 8 23 24 100 663; do
        head -c $bytes refused.rec >cut.rec
        run -1 --separate-stderr "$TCPSAGA" trace -r cut.rec
        [ -z "$output" ]
        [ "$stderr" = "tcpsaga: cut.rec is empty, or cut within its head: no record in it" ] ||
            fail "$bytes: $stderr"
    done
}

# flip FILE OFFSET: another bit in one byte.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %02x $((byte ^ 1 << RANDOM % 8)))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "a damaged record ends the story where it is, with status 1" {
    local at begin nr bounds
    make_recording refused
    mapfile -t bounds < <(offsets refused.rec)
    for ((nr = 0; nr + 1 < ${#bounds[@]}; nr++)); do
        begin=${bounds[nr]}
        for at in 0 1 4 7 8 10 11 30 $((bounds[nr + 1] - begin - 1)); do
            cp refused.rec damaged.rec
            flip damaged.rec $((begin + at))
            run -1 --separate-stderr "$TCPSAGA" trace -r damaged.rec -o json
            [ "$stderr" = "tcpsaga: damaged.rec is damaged behind record $nr, at byte $begin: stopped there" ] ||
                fail "record $nr, byte $at: $stderr"
            [ "$(jq -s '.[-1].ledger.delivered' <<<"$output")" = "$nr" ]
        done
    done
}

@test "a damaged head is refused" {
    make_recording refused
    for at in 0 7 8 10 12 16 24 40 200 663; do
        cp refused.rec damaged.rec
        flip damaged.rec $at
        run -1 --separate-stderr "$TCPSAGA" trace -r damaged.rec
        [ -z "$output" ] && [ "$stderr" = "tcpsaga: damaged.rec is not a tcpsaga recording, or its head is damaged" ] ||
            fail "byte $at: $stderr"
    done
}

# ---- the schema ------------------------------------------------------------------

validate() {
    "$TCPSAGA" schema >schema.json
    /usr/bin/python3 "$HERE/validate.py" schema.json
}

# What is expected is what was printed: each of the tests above compared them.
@test "every JSON line of this suite is what the schema says" {
    cat "$EXPECTED"/*.json | validate
}

@test "the schema refuses what is not so" {
    local good='{"v":1,"type":"transition","ts":"2023-11-14T22:13:20.000000Z","conn":"0x1","proto":"tcp","local":{"port":80},"old":"CLOSE","new":"LISTEN"}'
    validate <<<"$good"
    while read -r edit; do
        sed "$edit" <<<"$good" >bad
        ! cmp -s bad - <<<"$good" || fail "no change: $edit"
        run -1 validate <bad
    done <<'END'
s/"v":1/"v":2/
s/"v":1,//
s/transition/transitions/
s/LISTEN/LISTENING/
s/"port":80/"port":65536/
s/"port":80/"port":0/
s/"port":80/"port":80,"ports":81/
s/"port":80/"addr":"10.0.0.256"/
s/"port":80/"addr":"fe80:::1"/
s/"conn":"0x1"/"conn":1/
s/"conn":"0x1",//
s/"conn":"0x1"/"conn":"0x1","conn":"0x2"/
s/Z"/"/
s/}$/,"in_old_us":-1}/
s/}$/,"in_old_us":NaN}/
s/}$/,"process":{"pid":1,"uid":0}}/
s/}$/,"unheard":true}/
s/}$//
s/tcp/\xff/
END
    run -2 validate </dev/null
}

@test "the schema has a kind for each line, and each is told somewhere in this suite" {
    # Those of probe, port and explain are told of a live kernel only.
    "$TCPSAGA" schema | jq -r '.properties.type.enum[]' |
        grep -vxE 'probe|port_holder|bind_check|topic|explanation' | sort >kinds
    jq -r .type "$EXPECTED"/*.json | sort -u | diff -u kinds -
}

# connections FILE: those that are over, as they were told. Of half-open requests that
# only dumps show the agent keeps none.
connections() {
    grep '"type":"connection"' "$1" | grep -E '"end(":"|_unseen":true)' | grep -v '"state":"SYN_RECV".*"preexisting":true'
}

@test "the agent tells the same ends as flows --at-close" {
    local file name told=0
    for file in "$HERE"/scenarios/*.txt; do
        name=$(basename "$file" .txt)
        make_recording "$name"
        "$TCPSAGA" flows -r "$name.rec" --at-close -o json >flows 2>/dev/null || continue # a damaged one
        "$TCPSAGA" agent -r "$name.rec" --metrics off --control off --state off --json - >agent 2>/dev/null
        diff <(connections flows) <(connections agent) >&2 || fail "$name: the agent tells other ends"
        told=$((told + $(grep -c '"end_unseen":true' agent || true)))
    done
    # Also what only a dump has ended.
    [ "$told" -ge 2 ]
}

# What has no words is a record from the future, or a damaged one.
@test "of what totext makes of a recording, mkrec makes the same recording" {
    local file name told=0
    for file in "$HERE"/scenarios/*.txt; do
        name=$(basename "$file" .txt)
        make_recording "$name"
        "$HERE/totext" <"$name.rec" >"$name.txt" 2>/dev/null || continue
        "$MKREC" <"$name.txt" >"$name.again" || fail "$name: mkrec does not take it"
        cmp "$name.rec" "$name.again" || fail "$name is not the same"
        told=$((told + 1))
    done
    [ "$told" -ge 35 ] || fail "only $told were put into words"
}

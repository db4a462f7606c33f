# shellcheck shell=bash
# lib.bash: what the system tests share. Each test has a network namespace of
# its own, tcpsaga that watches it from outside, and traffic inside.
#
#   TCPSAGA        the program under test   (default: tcpsaga, top of the tree)
#   TRAFFIC        the traffic maker        (default: build/tests/traffic there)
#   TCPSAGA_HOOKS  passed on as --hooks, when set
#   TCPSAGA_VM     set in a virtual machine: slower, so fewer and more patient
#   WITNESS        what the program of this name writes      (tests/run starts it)
#   AGAIN          where tests that are played again are named

HERE=$BATS_TEST_DIRNAME
TOP=$(cd "$HERE/../.." && pwd)
TCPSAGA=${TCPSAGA:-$TOP/tcpsaga}
TRAFFIC=${TRAFFIC:-$TOP/build/tests/traffic}
PATIENCE_S=${TCPSAGA_VM:+60}
PATIENCE_S=${PATIENCE_S:-20}
KERNEL=$(</proc/sys/kernel/osrelease)

# A comparison made in a pipeline must not succeed because both sides failed.
set -o pipefail

# ---- failing -----------------------------------------------------------------

fail() {
    printf '%s\n' "$@" >&2
    return 1
}

# Whatever the program said, for the report of a failed test.
show_evidence() {
    local file
    for file in saga.err flows.err trace.err traffic.err; do
        [ ! -s "$WORK/$file" ] || sed "s/^/$file: /" "$WORK/$file" >&2
    done
    for file in saga.json flows.json trace.json; do
        [ ! -s "$WORK/$file" ] ||
            tail -n 3 "$WORK/$file" | sed "s/^/$file: /" >&2
    done
}

# ---- what the kernel leaves out ----------------------------------------------

# Sets SKIPS: how many lives of one test may lack steps. Where function hooks are refused
# the kernel was seen to run no program in some softirqs, once in 100,000 connections and
# more, and to count nothing. That these are few, and that each is told as `incomplete`,
# is all that can be asked there; elsewhere there is none.
allow_skips() {
    SKIPS=0
    ! "$TCPSAGA" probe -o json | jq -e '.hooks[] | select(.hook == "syn").works == false' >/dev/null || SKIPS=5
}

# is_near NUMBER ALL [STEPS]: all of them, but for STEPS (1) of each life that may lack some.
is_near() { [ "$1" -le "$2" ] && [ "$1" -ge $(($2 - SKIPS * ${3:-1})) ] || fail "$1, not $2"; }

# Sets UNSEEN: in how many softirqs the kernel has run no program so far.
count_unseen() {
    UNSEEN=0
    [ ! -s "${WITNESS:-}" ] || read -r UNSEEN <"$WITNESS"
}

# A test that failed, while softirqs came in which the kernel ran no program, is played
# once more: what it waited for in vain may have been in one of them. Three tests of a run
# at most, each is named with all that it had said; one that fails again has failed. Where
# the kernel runs every program, no test is played twice.
play_again() {
    local before=${UNSEEN:-0}
    sleep 0.2 # the witness has looked again
    count_unseen
    [ "$UNSEEN" -gt "$before" ] || return 0
    echo "meanwhile the kernel ran no program in $((UNSEEN - before)) softirqs" >&2
    [ "$BATS_TEST_TRY_NUMBER" = 1 ] && [ "$(grep -c '^played again: ' "$AGAIN")" -lt 3 ] || return 0
    { echo "played again: $BATS_TEST_DESCRIPTION"; sed 's/^/  /' "$BATS_OUT"; } >>"$AGAIN"
    BATS_TEST_RETRIES=1
}

# ---- waiting -----------------------------------------------------------------

# until_true WHAT COMMAND...: polls; fails, naming WHAT, when patience is out.
until_true() {
    local what=$1 deadline=$((SECONDS + PATIENCE_S))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited in vain: $what" || return
        sleep 0.05
    done
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# ---- namespace ---------------------------------------------------------------

namespace_up() {
    NETNS=saga-$$-$BATS_TEST_NUMBER-$RANDOM
    ip netns add "$NETNS"
    ip -n "$NETNS" link set lo up
    INODE=$(stat -L -c %i "/run/netns/$NETNS")
}

namespace_down() {
    local name
    for name in $NETNS $OTHER; do
        ip netns del "$name"
    done
}

inside() { ip netns exec "$NETNS" "$@"; }

# set_sysctl NAME VALUE, of net.ipv4, inside.
set_sysctl() {
    # shellcheck disable=SC2016 # the inner shell expands them
    inside sh -c 'echo "$2" >"/proc/sys/net/ipv4/$1"' sh "$1" "$2"
}

# ---- tcpsaga -----------------------------------------------------------------

count_lines() { # TYPE
    grep -c "\"type\":\"$1\"" "$WORK/saga.json" || true
}

has_lines() { # TYPE COUNT
    [ "$(count_lines "$1")" -ge "$2" ]
}

# launch FILE VERB [WORD...]: starts tcpsaga, sets LAUNCHED; what it says is in
# FILE.json and FILE.err. Job control gives it an own process group and SIGINT
# at its default, as in a terminal: a plain background job would start with
# SIGINT ignored.
launch() {
    local file=$1 verb=$2
    shift 2
    # Now, and not when the child comes to it: what an earlier one said is not this one's.
    : >"$file.json"
    set -m
    # An agent that somebody runs on this host is not what is tested.
    [[ " $* " = *" -r "* || " $* " = *" --source "* ]] || set -- --source live "$@"
    "$TCPSAGA" "$verb" -o json ${TCPSAGA_HOOKS:+--hooks "$TCPSAGA_HOOKS"} "$@" \
        >"$file.json" 2>"$file.err" 3>&- &
    LAUNCHED=$!
    set +m
}

start_line_in() { grep -q '"type":"start"' "$1.json"; }

has_started() { is_gone "$1" || start_line_in "$2"; }

# await_start PID FILE. Exit status 3 is an honest answer to a hook that was
# asked for by name, and then FILE.refused says why; it is a failure when tcpsaga
# could choose for itself.
await_start() {
    local status=0
    until_true "the start line" has_started "$1" "$2" || return
    start_line_in "$2" && return
    wait "$1" || status=$?
    if [ "$status" = 3 ] && [ -n "${TCPSAGA_HOOKS:-}" ]; then
        echo "no --hooks $TCPSAGA_HOOKS here: $(head -n 1 "$2.err")" >"$2.refused"
    fi
    fail "tcpsaga ended with status $status before its start line"
}

skip_if_refused() { # FILE
    [ ! -s "$1.refused" ] || skip "$(cat "$1.refused")"
}

# await_end PID: after Ctrl-C it must end by itself, with status 0.
await_end() {
    local status=0
    until_true "the end of tcpsaga" is_gone "$1" || return
    wait "$1" || status=$?
    [ "$status" = 0 ] || fail "tcpsaga ended with status $status"
}

# watch VERB [WORD...]: starts tcpsaga on the namespace, from outside.
watch() {
    launch "$WORK/saga" "$1" netns "/run/netns/$NETNS" "${@:2}"
    SAGA_PID=$LAUNCHED
    await_start "$SAGA_PID" "$WORK/saga" && return
    SAGA_PID=''
    skip_if_refused "$WORK/saga"
    return 1
}

stop_watching() {
    local pid=$SAGA_PID
    kill -INT "$pid"
    await_end "$pid"
    SAGA_PID=''
}

# ---- the truth ---------------------------------------------------------------

# A moment after the traffic both know the same sockets, entry for entry, but for
# minisockets (ss has a timer of their own for them), which end a life that is told
# --at-close. note_ss is for before tcpsaga ends, agrees_with_ss for after it.
note_ss() {
    inside ss -Htano | awk '$1 != "LISTEN" && !/timer:\(timewait,/ { print $1, $4, $5 }' |
        sed -E 's/\[::ffff:([0-9.]+)\]/\1/g' | LC_ALL=C sort >"$WORK/quiet.ss"
}

agrees_with_ss() { # FILE, of flows --at-close -o json
    jq -r --argjson netns "$INODE" --argjson waits true -f "$HERE/truth.jq" "$1" | LC_ALL=C sort >"$WORK/quiet.told"
    diff "$WORK/quiet.ss" "$WORK/quiet.told" >&2 || fail "sockets that only ss knows (<), or only tcpsaga (>)"
}

# ---- traffic -----------------------------------------------------------------

# traffic_inside SCENARIO [OPTION...]: its lines in traffic.json; skips the test
# when it says that the kernel cannot do this.
traffic_inside() {
    local status=0
    inside "$TRAFFIC" "$@" >"$WORK/traffic.json" 2>"$WORK/traffic.err" 3>&- ||
        status=$?
    [ "$status" != 77 ] || skip "$(cat "$WORK/traffic.err")"
    [ "$status" = 0 ] || fail "traffic ended with status $status"
}

# ---- setup and teardown ------------------------------------------------------

common_setup() {
    WORK=$BATS_TEST_TMPDIR
    SAGA_PID='' TRAFFIC_PID='' NETNS='' OTHER='' NAME=''
    # bats looks at the stack before each command, so that it can tell the line
    # that failed. In a virtual machine that is half of a test's time.
    [ -z "${TCPSAGA_VM:-}" ] || set +o functrace
    [ -x "$TCPSAGA" ] || fail "no program to test: $TCPSAGA"
    [ -x "$TRAFFIC" ] || fail "no traffic maker: $TRAFFIC"
    count_unseen
    namespace_up
}

end_process() {
    [ -n "$1" ] || return 0
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

common_teardown() {
    [ -n "${BATS_TEST_COMPLETED:-}" ] || show_evidence
    end_process "${SAGA_PID:-}"
    end_process "${TRAFFIC_PID:-}"
    namespace_down
    [ -n "${BATS_TEST_COMPLETED:-}" ] || play_again
}

# shellcheck shell=bash
# lib.bash: what the system tests share. Each test has a network namespace of
# its own, one tcpsaga that watches it from outside, and traffic inside.
#
#   TCPSAGA        the program under test   (default: tcpsaga, top of the tree)
#   TRAFFIC        the traffic maker        (default: build/tests/traffic there)
#   TCPSAGA_HOOKS  passed on as --hooks, when set
#   TCPSAGA_VM     set in a virtual machine: slower, so fewer and more patient

HERE=$BATS_TEST_DIRNAME
TOP=$(cd "$HERE/../.." && pwd)
TCPSAGA=${TCPSAGA:-$TOP/tcpsaga}
TRAFFIC=${TRAFFIC:-$TOP/build/tests/traffic}
PATIENCE_S=${TCPSAGA_VM:+300}
PATIENCE_S=${PATIENCE_S:-20}

# A comparison made in a pipeline must not succeed because both sides failed.
set -o pipefail

source "$HERE/expected.bash"

# ---- failing -----------------------------------------------------------------

fail() {
    printf '%s\n' "$@" >&2
    return 1
}

# Whatever the program said, for the report of a failed test.
show_evidence() {
    local file
    for file in saga.err traffic.err; do
        [ -s "$WORK/$file" ] && sed "s/^/$file: /" "$WORK/$file" >&2
    done
    [ -s "$WORK/saga.json" ] && tail -n 3 "$WORK/saga.json" |
        sed 's/^/saga.json: /' >&2
    true
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
    inside ip link set lo up
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

has_started() { is_gone "$SAGA_PID" || has_lines start 1; }

# Exit status 3 is an honest answer to a hook that was asked for by name; it is
# a failure when tcpsaga could choose for itself.
explain_no_start() {
    local status=0
    wait "$SAGA_PID" || status=$?
    SAGA_PID=''
    if [ "$status" = 3 ] && [ -n "${TCPSAGA_HOOKS:-}" ]; then
        skip "no --hooks $TCPSAGA_HOOKS here: $(head -n 1 "$WORK/saga.err")"
    fi
    fail "tcpsaga ended with status $status before its start line"
}

# watch VERB [WORD...]: starts tcpsaga on the namespace, from outside. Job
# control gives it an own process group and SIGINT at its default, as in a
# terminal: a plain background job would start with SIGINT ignored.
watch() {
    local verb=$1
    shift
    set -m
    "$TCPSAGA" "$verb" -o json ${TCPSAGA_HOOKS:+--hooks "$TCPSAGA_HOOKS"} \
        netns "/run/netns/$NETNS" "$@" \
        >"$WORK/saga.json" 2>"$WORK/saga.err" 3>&- &
    SAGA_PID=$!
    set +m
    until_true "the start line" has_started
    has_lines start 1 || explain_no_start
}

# Ctrl-C: it must end by itself, with status 0.
stop_watching() {
    local pid=$SAGA_PID status=0
    kill -INT "$pid"
    until_true "the end of tcpsaga" is_gone "$pid"
    SAGA_PID=''
    wait "$pid" || status=$?
    [ "$status" = 0 ] || fail "tcpsaga ended with status $status"
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

# ---- comparing ---------------------------------------------------------------

# Both sides sorted: which of two connections is told first is not ours to say.
write_expected() { # FORM
    jq -n -r -L "$HERE" --arg form "$1" --arg rows "$ROWS" --arg name "$NAME" \
        -f "$HERE/expected.jq" "$WORK/traffic.json" |
        LC_ALL=C sort >"$WORK/expected.txt" || return
    [ -s "$WORK/expected.txt" ] || fail "nothing to compare with"
}

write_actual() { # FORM
    jq -n -r -L "$HERE" -f "$HERE/$1.jq" "$WORK/saga.json" >"$WORK/told.txt" &&
        awk -f "$HERE/lenient.awk" "$WORK/expected.txt" "$WORK/told.txt" |
        LC_ALL=C sort >"$WORK/actual.txt"
}

compare_texts() {
    diff -u "$WORK/expected.txt" "$WORK/actual.txt" >&2 ||
        fail "not as expected (- expected, + tcpsaga)"
}

# How many lines of tcpsaga's the expected text stands for.
expected_lines() { # FORM
    case $1 in
    lives) wc -l ;;
    transitions) grep -o '[A-Z0-9_]>[A-Z]' | wc -l ;;
    esac <"$WORK/expected.txt"
}

# What holds for every line, the first and the last, and the ledger.
check_sound() {
    local complaints
    complaints=$(jq -n -r --argjson netns "$INODE" --arg kernel "$(uname -r)" \
        -f "$HERE/sound.jq" "$WORK/saga.json") ||
        fail "a line that is no JSON" || return
    [ -z "$complaints" ] || fail "$(head -n 5 <<<"$complaints")"
}

# ---- whole tests -------------------------------------------------------------

# Lines that never come end the wait and not the test: the comparison that
# follows shows which.
finish_and_compare() { # FORM TYPE
    local count
    write_expected "$1"
    count=$(expected_lines "$1")
    until_true "$count lines of type $2" has_lines "$2" "$count" || true
    stop_watching
    check_sound
    write_actual "$1"
    compare_texts
}

finish() { # VERB
    case $1 in
    flows) finish_and_compare lives connection ;;
    trace) finish_and_compare transitions transition ;;
    esac
}

# check VERB SCENARIO [OPTION...]: the whole of an ordinary test.
check() {
    local verb=$1
    shift
    ROWS=$(expected_rows "$@")
    watch "$verb"
    traffic_inside "$@"
    finish "$verb"
}

is_reported() { grep -q '"who":"server"' "$WORK/traffic.json"; }

# check_killed VERB: ss -K ends the client while traffic waits for it.
check_killed() {
    local verb=$1 port status=0
    ROWS=$(expected_rows killed)
    watch "$verb"
    ip netns exec "$NETNS" "$TRAFFIC" killed \
        >"$WORK/traffic.json" 2>"$WORK/traffic.err" 3>&- &
    TRAFFIC_PID=$!
    until_true "traffic's lines" is_reported
    port=$(jq 'select(.who == "client") | .local.port' "$WORK/traffic.json")
    inside ss -t -4 -n -K "sport = :$port" >"$WORK/ss.out" 2>&1 || true
    grep -q ":$port" "$WORK/ss.out" || skip "ss -K: $(cat "$WORK/ss.out")"
    wait "$TRAFFIC_PID" || status=$?
    TRAFFIC_PID=''
    [ "$status" = 0 ] || fail "traffic ended with status $status"
    finish "$verb"
}

# check_beside_another VERB: the same traffic twice, the first time in a
# namespace that was not asked for.
check_beside_another() {
    local mine=$NETNS
    ROWS=$(expected_rows client-first)
    OTHER=$mine-other
    ip netns add "$OTHER"
    watch "$1"
    NETNS=$OTHER
    inside ip link set lo up
    traffic_inside client-first --client-port 5555
    NETNS=$mine
    traffic_inside client-first --client-port 5555
    finish "$1"
}

# ---- setup and teardown ------------------------------------------------------

common_setup() {
    WORK=$BATS_TEST_TMPDIR
    SAGA_PID='' TRAFFIC_PID='' NETNS='' OTHER='' NAME=''
    [ -x "$TCPSAGA" ] || fail "no program to test: $TCPSAGA"
    [ -x "$TRAFFIC" ] || fail "no traffic maker: $TRAFFIC"
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
}

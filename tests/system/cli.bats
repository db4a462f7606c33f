#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The command line: bad use gets one clear line on stderr and the exit status
# of DESIGN section 1; output that cannot be written, a reader that goes away,
# signals and limits end the program as they should. No traffic but a connect
# to a port where nobody listens.

bats_require_minimum_version 1.5.0
load lib.bash

MKREC=${MKREC:-$TOP/build/tests/mkrec}
QUIET='netns 1' # a filter that nothing on this host passes

setup() {
    WORK=$BATS_TEST_TMPDIR
    SAGA_PID=
    [ -x "$TCPSAGA" ] || fail "no program to test: $TCPSAGA"
    cd "$WORK" || return
    unset NO_COLOR
}

teardown() {
    end_process "${SAGA_PID:-}"
    [ -z "${SHARED:-}" ] || rm -rf "$SHARED"
}

need() { # COMMAND...
    local command
    for command; do
        command -v "$command" >/dev/null || skip "needs $command"
    done
}

need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

# make_recording: a refused connect, in some.rec
make_recording() {
    [ -x "$MKREC" ] || skip "needs mkrec to make recordings"
    "$MKREC" >some.rec <<'END'
info kernel=k tool=t source=live hooks="a=b" offset=0 start=0
birth t=+0.1 id=0x10 CLOSE>SYN_SENT 10.0.0.1:0 10.0.0.2:81 pid=42 comm="curl" flags=in_syscall
close t=+0.1 id=0x10 SYN_SENT>CLOSE 10.0.0.1:43210 10.0.0.2:81 error=111
stop t=+1
END
}

# says STATUS LINE WORD...: tcpsaga, given the words, says this one line on
# stderr, nothing on stdout, and ends with the status.
says() {
    local status_wanted=$1 line=$2
    shift 2
    run --separate-stderr timeout -k 5 20 "$TCPSAGA" "$@"
    [ "$status" = "$status_wanted" ] || fail "$*: status $status, not $status_wanted: $stderr" || return
    [ "$stderr" = "tcpsaga: $line" ] ||
        fail "$*: says: $stderr" "instead of: tcpsaga: $line" || return
    [ -z "$output" ] || fail "$*: prints $output"
}

# The same for live verbs, which say first what they watch.
says_last() {
    local status_wanted=$1 line=$2
    shift 2
    run --separate-stderr timeout -k 5 20 "$TCPSAGA" "$@"
    [ "$status" = "$status_wanted" ] || fail "$*: status $status, not $status_wanted: $stderr" || return
    [ "$(grep -v '^tcpsaga: watching the live kernel ' <<<"$stderr")" = "tcpsaga: $line" ] ||
        fail "$*: says: $stderr"
}

# points FILTER CARETS: the filter is refused in three lines, the second being
# the filter and the third the carets under the word.
points() {
    local filter=$1 carets=$2
    # shellcheck disable=SC2086 # words are what is wanted
    run --separate-stderr timeout -k 5 20 "$TCPSAGA" trace $filter
    [ "$status" = 2 ] || fail "$filter: status $status" || return
    [ "${#stderr_lines[@]}" = 3 ] || fail "$filter: $stderr" || return
    [[ ${stderr_lines[0]} == "tcpsaga: trace: filter: "?* ]] || fail "$filter: $stderr" || return
    [ "${stderr_lines[1]}" = "  $filter" ] || fail "$filter: ${stderr_lines[1]}" || return
    [ "${stderr_lines[2]}" = "  $carets" ] ||
        fail "$filter: a wrong place:" "${stderr_lines[1]}" "${stderr_lines[2]}"
}

# in_background WORD...: with its output in out and err. A shell starts what
# runs in the background with SIGINT ignored; a terminal does not.
in_background() {
    rm -f out err
    env --default-signal="${DEFAULTED:-INT}" "$TCPSAGA" "$@" >out 2>err 3>&- &
    SAGA_PID=$!
}

# start_live VERB [WORD...]: in the background, until its first line has come.
start_live() {
    in_background "$@"
    until_true "the first line of $*" has_begun
    ! is_gone "$SAGA_PID" || fail "$*: ended at once: $(cat err)"
}

has_begun() { is_gone "$SAGA_PID" || [ -s out ]; }

# ends_with STATUS: what was started has ended by itself, or does so soon.
ends_with() {
    local pid=$SAGA_PID status=0
    until_true "its end" is_gone "$pid"
    SAGA_PID=
    wait "$pid" || status=$?
    [ "$status" = "$1" ] || fail "status $status, not $1" "$(cat err)"
}

# A connect that is refused: two transitions, on any host.
knock() { (exec 4<>/dev/tcp/127.0.0.1/1) 2>/dev/null || true; }

# ---- wrong words ----------------------------------------------------------------

@test "a verb that does not exist is named, with the nearest one that does" {
    says 2 'unknown verb "trac": did you mean trace?' trac
    says 2 'unknown verb "flow": did you mean flows?' flow
    says 2 'unknown verb "quux": see tcpsaga --help' quux
    says 2 'unknown option --frob: a verb comes first, see tcpsaga --help' --frob
    says 2 'unknown option -o: a verb comes first, see tcpsaga --help' -o json trace
}

@test "without a verb the help goes to stderr, with status 2" {
    run -2 --separate-stderr "$TCPSAGA"
    [ -z "$output" ]
    [[ $stderr == "Usage: tcpsaga VERB "* ]]
}

@test "an option that does not exist is named, with the nearest one that does" {
    says 2 'trace: unknown option --durration: did you mean --duration?' trace --durration 3
    says 2 'flows: unknown option --frobnicate; see tcpsaga flows --help' flows --frobnicate
    says 2 'trace: unknown option --print; see tcpsaga trace --help' trace --print
    says 2 'trace: option --wide: takes no argument; see tcpsaga trace --help' trace --wide=1
    for verb in trace flows record probe; do
        run -2 --separate-stderr "$TCPSAGA" $verb -z
        [ "${#stderr_lines[@]}" = 1 ]
        [[ $stderr == "tcpsaga: $verb: "*'"-z"; see tcpsaga '"$verb --help" ]]
    done
}

@test "an option without its argument is named" {
    local option
    for option in --output --read --source --duration --count --hooks --pid --localport --remoteport; do
        says 2 "trace: option $option: wants an argument; see tcpsaga trace --help" trace $option
    done
    says 2 'probe: option --output: wants an argument; see tcpsaga probe --help' probe --output
    for option in -o -r -e -p -L -D; do
        run -2 --separate-stderr "$TCPSAGA" trace $option
        [ "${#stderr_lines[@]}" = 1 ]
        [[ $stderr == "tcpsaga: trace: "*"\"$option\""* ]]
    done
}

@test "a value that an option cannot have is quoted beside what it can" {
    local verb value
    for verb in trace flows probe; do
        says 2 "$verb: -o wants table or json, not \"xml\"" $verb -o xml
        says 2 "$verb: --hooks wants one of auto|fentry|kprobe|tracepoint, not \"kprobes\"" $verb --hooks kprobes
    done
    for value in 0 -1 x 1x '' 1.5 99999999999999999999; do
        says 2 "trace: --count wants a number above 0, not \"$value\"" trace --count "$value"
    done
    for value in 0 -1 x 1s '' nan inf 1e400; do
        says 2 "trace: --duration wants seconds above 0, not \"$value\"" trace --duration "$value"
    done
    for value in x '' syns transition, ,syn 'syn transition'; do
        says 2 "trace: -e wants kinds of: transition, syn, handshake, accept, timewait, bind, not \"$value\"" trace -e "$value"
    done
    says 2 'trace: --source wants auto, live, agent or agent:SOCKET, not "mars"' trace --source mars
    says 2 'trace: --source wants auto, live, agent or agent:SOCKET, not "agent:"' trace --source agent:
    says 2 'trace: -r and --source exclude each other: a recording is a source' trace -r some.rec --source live
    says 2 'trace: --ring-size is for a capture of its own: not with --source agent' \
        trace --source agent --ring-size 1M
}

@test "operands that a verb does not take, or lacks, are told" {
    says 2 'record: which file? try: tcpsaga record FILE' record
    says 2 'record: which file? try: tcpsaga record FILE' record --duration 1
    says 2 'probe takes no operands, not "x"' probe x
    says 2 'schema takes no arguments, not "x"' schema x
    says 2 'record: --print and a recording cannot both go to standard output: name a FILE' record - --print
}

@test "a wrong filter is told in three lines, with a caret under the word" {
    points 'prot 443' '^~~~'
    points 'port 443 and' '         ^~~'
    points 'port 443 and and pid 3' '         ^~~'
    points 'local port 99999' '           ^~~~~'
    points 'port' '^~~~'
    points 'host 10.0.0.256' '     ^~~~~~~~~~'
    points 'net 10.0.0.0/33' '    ^~~~~~~~~~~'
    points 'state listning' '      ^~~~~~~~'
    points 'pid nginx' '    ^~~~~'
    points 'role king' '     ^~~~'
    points '( port 443' '^'
    points 'port 443 )' '         ^'
    points 'not' '^~~'
    points '443' '^~~'
}

@test "a wrong value of -p, -L and -D is told as the filter that it is" {
    run -2 --separate-stderr "$TCPSAGA" trace -p nginx
    [ "${stderr_lines[1]}" = "  pid nginx" ]
    [ "${stderr_lines[2]}" = "      ^~~~~" ]
    run -2 --separate-stderr "$TCPSAGA" trace -L 80,x
    [ "${stderr_lines[1]}" = "  local port 80,x" ]
    run -2 --separate-stderr "$TCPSAGA" trace -D 0
    [ "${stderr_lines[2]}" = "              ^" ]
}

# Words come from scripts, and those from strangers.
@test "control bytes in a word neither reach the terminal nor break a line" {
    local word=$'a\nb\e[31m\tc\x7f' argv
    for argv in "$word" "trace -o $word" "trace --count $word" "trace -r $word" "trace $word" \
        "flows --${word}x" "probe $word" "schema $word" "record /nowhere/$word -r $word"; do
        IFS=' ' read -r -d '' -a words <<<"$argv" || true
        words[-1]=${words[-1]%$'\n'}
        run --separate-stderr timeout -k 5 20 "$TCPSAGA" "${words[@]}"
        [ "$status" = 1 ] || [ "$status" = 2 ] || fail "$argv: status $status"
        ! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' <<<"$stderr" || fail "raw: $(cat -v <<<"$stderr")"
        [ "$(grep -vc '^  ' <<<"$stderr")" = 1 ] || fail "not one line: $(cat -v <<<"$stderr")"
    done
    # C1: a terminal takes U+009B for ESC [.
    run --separate-stderr "$TCPSAGA" trace -r $'\xc2\x9b31m'
    ! LC_ALL=C grep -q $'\xc2\x9b' <<<"$stderr" || fail "raw: $(cat -v <<<"$stderr")"
}

# ---- help -------------------------------------------------------------------------

# tells_help WORD...: help on stdout, status 0, examples at its end.
tells_help() {
    run -0 --separate-stderr timeout -k 5 20 "$TCPSAGA" "$@"
    [ -z "$stderr" ] || fail "$*: $stderr" || return
    grep -q '^Examples:$' <<<"$output" || fail "$*: no examples: $output" || return
    [[ ${lines[-1]} == "  tcpsaga "* || ${lines[-1]} == "tcpsaga VERB --help tells a verb's options." ]] ||
        fail "$*: ends with: ${lines[-1]}"
}

@test "--help tells the verbs" {
    local verb
    tells_help --help
    for verb in trace flows queues record probe schema; do
        grep -q "^  $verb  *[a-z]" <<<"$output" || fail "nothing of $verb"
    done
    tells_help -h
    tells_help help
}

@test "--help of each verb ends with its examples" {
    local verb
    for verb in trace flows queues record probe schema; do
        tells_help $verb --help
        [[ $output == *"tcpsaga $verb "* ]] || fail "$verb: $output"
    done
    tells_help trace --help
    [[ $output == *"--events=KIND,..."* && $output == *"--duration=SECONDS"* ]]
}

@test "--version tells the version" {
    run -0 --separate-stderr "$TCPSAGA" --version
    [[ $output =~ ^tcpsaga\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
    [ -z "$stderr" ]
    run -0 "$TCPSAGA" -V
}

# ---- recordings -------------------------------------------------------------------

@test "a recording that cannot be read is told, with status 1" {
    make_recording
    says 1 'cannot read missing.rec: No such file or directory' trace -r missing.rec
    says 1 'cannot read .: Is a directory' flows -r .
    says 1 'cannot read some.rec/x: Not a directory' record x.rec -r some.rec/x
    : >empty.rec
    says 1 'empty.rec is empty, or cut within its head: no record in it' trace -r empty.rec
    says 1 'empty.rec is empty, or cut within its head: no record in it' trace -r empty.rec -o json
    says 1 '- is empty, or cut within its head: no record in it' trace -r - </dev/null
}

@test "a file that is no recording, or a damaged one, is told, with status 1" {
    local file
    make_recording
    echo "Dear diary" >diary
    head -c 4096 /dev/zero >zeros
    tail -c +2 some.rec >shifted.rec
    tr '\r' '\n' <some.rec >transferred.rec
    cp some.rec damaged.rec
    printf '\x55' | dd of=damaged.rec bs=1 seek=100 conv=notrunc status=none
    for file in diary zeros shifted.rec transferred.rec damaged.rec; do
        says 1 "$file is not a tcpsaga recording, or its head is damaged" trace -r $file
    done
    cp some.rec damaged.rec
    printf '\x55' | dd of=damaged.rec bs=1 seek=700 conv=notrunc status=none
    run -1 --separate-stderr "$TCPSAGA" trace -r damaged.rec
    [ "$stderr" = "tcpsaga: damaged.rec is damaged behind record 0, at byte 664: stopped there" ]
}

# The head's checksum, which cannot be made here, is known for this recording.
@test "a recording of a later version or of another byte order is told, with status 1" {
    make_recording
    [ "$(od -An -tx8 -j 16 -N 8 some.rec)" = " 01b4e74cec810b77" ] || skip "mkrec makes another head"
    cp some.rec later.rec
    printf '\x02' | dd of=later.rec bs=1 seek=8 conv=notrunc status=none
    printf '\xa4\x1b\xae\x09\xc7\x80\xe3\xa8' | dd of=later.rec bs=1 seek=16 conv=notrunc status=none
    says 1 'later.rec was made by a later tcpsaga, or on a machine of other byte order' trace -r later.rec
    cp some.rec big.rec
    printf '\x02' | dd of=big.rec bs=1 seek=10 conv=notrunc status=none
    printf '\x5c\x3e\x22\x65\x72\xf0\x89\x7b' | dd of=big.rec bs=1 seek=16 conv=notrunc status=none
    says 1 'big.rec was made by a later tcpsaga, or on a machine of other byte order' flows -r big.rec
}

@test "a recording is not read and written at once" {
    make_recording
    cp some.rec before.rec
    says 2 'record: some.rec would be read and written at once: name another FILE' record some.rec -r some.rec
    ln some.rec link.rec
    says 2 'record: link.rec would be read and written at once: name another FILE' record link.rec -r some.rec
    cmp some.rec before.rec
}

@test "a recording is its owner's alone" {
    make_recording
    umask 000
    "$TCPSAGA" record kept.rec -r some.rec 2>err
    [ "$(stat -c %a kept.rec)" = 600 ]
}

# ---- output that fails -------------------------------------------------------------

# fails_on_full WORD...: to a full device: one line, status 1.
fails_on_full() {
    local status=0
    timeout -k 5 20 "$TCPSAGA" "$@" >/dev/full 2>err || status=$?
    [ "$status" = 1 ] || fail "$*: status $status: $(cat err)" || return
    [ "$(grep -v '^tcpsaga: watching the live kernel ' err)" = \
        "tcpsaga: cannot write standard output: No space left on device" ] || fail "$*: $(cat err)"
}

@test "a full device is told, with status 1, also for help" {
    local verb
    make_recording
    fails_on_full trace -r some.rec
    fails_on_full trace -r some.rec -o json
    fails_on_full flows -r some.rec
    fails_on_full schema
    fails_on_full --version
    fails_on_full --help
    for verb in trace schema; do
        fails_on_full $verb --help
    done
}

@test "a full device is told live, with status 1" {
    need_root
    # shellcheck disable=SC2086 # words are what is wanted
    fails_on_full trace $QUIET
    # shellcheck disable=SC2086
    fails_on_full flows -o json $QUIET
    fails_on_full probe
    says_last 1 'cannot write /dev/full: No space left on device' record /dev/full
}

@test "a recording to a full device is told, with status 1" {
    make_recording
    says 1 'cannot write /dev/full: No space left on device' record /dev/full -r some.rec
    says 1 'cannot write nowhere/x: No such file or directory' record nowhere/x -r some.rec
}

@test "a closed standard output is told, with status 1" {
    local status=0
    make_recording
    timeout -k 5 20 "$TCPSAGA" trace -r some.rec >&- 2>err || status=$?
    [ "$status" = 1 ] || fail "status $status"
    [ "$(cat err)" = "tcpsaga: cannot write standard output: Bad file descriptor" ] || fail "$(cat err)"
}

# status_before READER WORD...: with which status it ends.
status_before() {
    local reader=$1
    shift
    { timeout -k 5 20 "$TCPSAGA" "$@" 2>err; echo $? >status; } | $reader >/dev/null || true
    cat status
}

# ends_quietly WORD...: its reader goes away before the first line, or after it.
ends_quietly() {
    local reader status
    for reader in 'head -n 1' true; do
        status=$(status_before "$reader" "$@")
        [ "$status" = 0 ] || fail "$* | $reader: status $status: $(cat err)" || return
        ! grep -v '^tcpsaga: watching the live kernel ' err >&2 || fail "$* | $reader: says something"
    done
}

@test "a reader that goes away ends it quietly" {
    local verb
    make_recording
    ends_quietly trace -r some.rec
    ends_quietly flows -r some.rec -o json
    ends_quietly schema
    ends_quietly --help
    for verb in trace schema; do
        ends_quietly $verb --help
    done
}

@test "a reader that goes away ends it quietly in a long recording" {
    [ -x "$MKREC" ] || skip "needs mkrec to make recordings"
    for ((id = 1; id < 3000; id++)); do
        echo "birth t=+0.1 id=$id CLOSE>SYN_SENT 10.0.0.1:0 10.0.0.2:81 pid=42 flags=in_syscall"
    done >long.txt
    echo "stop t=+1" >>long.txt
    "$MKREC" <long.txt >some.rec
    ends_quietly trace -r some.rec -o json
    ends_quietly flows -r some.rec
}

@test "a reader that goes away ends it soon on a quiet host" {
    need_root
    # shellcheck disable=SC2086 # words are what is wanted
    for verb in trace 'trace -o json' flows 'flows -o json'; do
        ends_quietly $verb $QUIET
    done
    ends_quietly probe
}

# ---- this kernel, these privileges -------------------------------------------------

# as_nobody COMMAND...: without privileges, with a copy of the program that
# nobody may read as well.
as_nobody() {
    need setpriv
    SHARED=$(mktemp -d)
    chmod 755 "$SHARED"
    cp "$TCPSAGA" "$SHARED/tcpsaga"
    chmod 755 "$SHARED/tcpsaga"
    setpriv --reuid=65534 --clear-groups --inh-caps=-all --bounding-set=-all true 2>/dev/null ||
        skip "setpriv cannot drop privileges here"
    TCPSAGA="$SHARED/unprivileged"
    printf '#!/bin/sh\nexec setpriv --reuid=65534 --clear-groups --inh-caps=-all --bounding-set=-all %s "$@"\n' \
        "$SHARED/tcpsaga" >"$TCPSAGA"
    chmod 755 "$TCPSAGA"
}

@test "without privileges it says which it wants, with status 3" {
    local verb refusal="not permitted to load BPF programs: run as root, or with CAP_BPF and CAP_PERFMON"
    need_root
    as_nobody
    for verb in trace flows probe "record $SHARED/x.rec" 'trace -o json' 'probe -o json'; do
        # shellcheck disable=SC2086 # words are what is wanted
        says 3 "$refusal" $verb
    done
}

@test "without privileges a recording can be read" {
    need_root
    make_recording
    as_nobody
    cp some.rec "$SHARED/some.rec"
    run -0 --separate-stderr "$TCPSAGA" trace -r "$SHARED/some.rec"
    [ "${#lines[@]}" = 3 ]
    [ -z "$stderr" ]
    chmod 600 "$SHARED/some.rec"
    says 1 "cannot read $SHARED/some.rec: Permission denied" trace -r "$SHARED/some.rec"
    # What is wrong in the words comes first.
    says 2 'trace: -o wants table or json, not "xml"' trace -o xml
}

@test "a kernel without BTF is told what it needs, with status 3" {
    need_root
    need unshare mount
    [ -d /sys/kernel/btf ] || skip "this kernel has no BTF anyway"
    cat >hidden <<'END'
#!/bin/sh
mount -t tmpfs none /sys/kernel/btf || exit 77
exec "$0.program" "$@"
END
    chmod 755 hidden
    ln -s "$TCPSAGA" hidden.program
    cat >without <<END
#!/bin/sh
exec unshare --mount "$WORK/hidden" "\$@"
END
    chmod 755 without
    TCPSAGA=$WORK/without
    run "$TCPSAGA" schema
    [ "$status" != 77 ] || skip "cannot mount here"
    # libbpf looks for a kernel image with BTF as well.
    ! ls /boot/vmlinux* /lib/modules/*/vmlinux* >/dev/null 2>&1 || skip "a kernel image with BTF is here"
    for verb in trace flows probe 'record x.rec'; do
        # shellcheck disable=SC2086 # words are what is wanted
        run --separate-stderr timeout -k 5 20 "$TCPSAGA" $verb
        [ "$status" = 3 ] || fail "$verb: status $status: $stderr"
        [ "${#stderr_lines[@]}" = 1 ] && [[ $stderr == *"no BTF"*CONFIG_DEBUG_INFO_BTF* ]] ||
            fail "$verb: $stderr"
    done
    [ ! -e x.rec ]
}

@test "accept() is seen where no tracefs is mounted, as in ip netns exec" {
    need_root
    run unshare --mount sh -c 'umount -a -t tracefs; umount -a -t debugfs; ! [ -d /sys/kernel/tracing/events ]'
    [ "$status" = 0 ] || skip "cannot hide tracefs here"
    run -0 unshare --mount sh -c 'umount -a -t tracefs; umount -a -t debugfs
        exec "$@"' sh "$TCPSAGA" probe --hooks tracepoint -o json
    [ "$(jq -r '.hooks[] | select(.hook == "accept") | .kind' <<<"$output")" = syscall ]
    # ... and nothing is mounted for it.
    [ "$(grep -c tracefs /proc/self/mountinfo)" = "$(grep -c tracefs /proc/$PPID/mountinfo)" ]
}

@test "function hooks that were asked for and are refused: status 3, or they work" {
    need_root
    run --separate-stderr timeout -k 5 20 "$TCPSAGA" trace --hooks fentry --duration 0.1
    [ "$status" = 0 ] || [ "$status" = 3 ] || fail "status $status: $stderr"
    [ "$status" = 0 ] || { [ "${#stderr_lines[@]}" = 1 ] && [[ $stderr == "tcpsaga: --hooks fentry: "* ]]; }
    run -0 "$TCPSAGA" trace --hooks tracepoint --duration 0.1
}

# ---- its end -----------------------------------------------------------------------

# libbpf would read, copy and index them once more, at each start (user/source/linker.h).
@test "the kernel's types are read once" {
    TCPSAGA_DEBUG=1 "$TCPSAGA" timewait --source live --duration 0.1 $QUIET >out 2>err
    grep -q "^libbpf: .*on_state" err
    ! grep "loading kernel BTF" err
}

@test "SIGINT, SIGTERM and SIGHUP end it with its stop line, status 0" {
    local signal DEFAULTED=INT,HUP # who runs this may ignore SIGHUP
    need_root
    for signal in INT TERM HUP; do
        # shellcheck disable=SC2086 # words are what is wanted
        start_live trace -o json $QUIET
        kill -$signal "$SAGA_PID"
        ends_with 0
        [ "$(tail -n 1 out | jq -r .type)" = stop ] || fail "$signal: $(cat out)"
        [ "$(head -n 1 out | jq -r .type)" = start ]
        ! grep -v '^tcpsaga: watching the live kernel ' err >&2
    done
}

@test "SIGINT ends record with its count and a whole recording" {
    need_root
    in_background record kept.rec
    until_true "the recording" test -s kept.rec
    kill -INT "$SAGA_PID"
    ends_with 0
    grep -qE '^tcpsaga: [0-9]+ records in kept\.rec$' err || fail "$(cat err)"
    run -0 --separate-stderr "$TCPSAGA" trace -r kept.rec -o json
    [ -z "$stderr" ] || fail "$stderr"
    [ "$(jq -r .type <<<"${lines[-1]}")" = stop ]
}

@test "SIGINT ends it while it waits for a recording on a pipe" {
    make_recording
    mkfifo pipe
    exec 5<>pipe
    cat some.rec >&5
    start_live trace -r pipe -o json
    kill -INT "$SAGA_PID"
    ends_with 0
    exec 5>&-
    [ "$(tail -n 1 out | jq -r .type)" = stop ]
    [ ! -s err ] || fail "$(cat err)"
}

# nohup: who starts it so wants it to go on.
@test "a SIGHUP that was ignored at its start stays ignored" {
    need_root
    trap '' HUP
    # shellcheck disable=SC2086 # words are what is wanted
    start_live trace -o json $QUIET
    trap - HUP
    (($((0x$(awk '/^SigIgn:/ { print $2 }' "/proc/$SAGA_PID/status"))) & 1)) || fail "SIGHUP is not ignored"
    kill -HUP "$SAGA_PID"
    kill -INT "$SAGA_PID"
    ends_with 0
}

@test "--duration ends it by itself, however short" {
    local seconds begin
    need_root
    for seconds in 0.3 0.001 1e-9 1e-12; do
        begin=${EPOCHREALTIME/./}
        # shellcheck disable=SC2086 # words are what is wanted
        timeout -k 5 20 "$TCPSAGA" trace --source live -o json --duration $seconds $QUIET >out 2>err || fail "$seconds: status $?"
        [ "$(jq -r .type out | tr '\n' ' ')" = "start stop " ] || fail "$(cat out)"
    done
    begin=${EPOCHREALTIME/./}
    # shellcheck disable=SC2086
    "$TCPSAGA" flows --source live --duration 0.5 $QUIET >out 2>err
    [ $((${EPOCHREALTIME/./} - begin)) -ge 500000 ] || fail "too soon"
}

@test "--count ends it by itself" {
    need_root
    start_live trace -o json --count 3 remote port 1
    until_true "three transitions" eval 'knock; is_gone "$SAGA_PID"'
    ends_with 0
    [ "$(jq -r .type out | tr '\n' ' ')" = "start transition transition transition stop " ] || fail "$(cat out)"
}

@test "the first line comes at once" {
    local begin ms
    need_root
    begin=${EPOCHREALTIME/./}
    # shellcheck disable=SC2086 # words are what is wanted
    "$TCPSAGA" trace --source live -o json --duration 5 $QUIET 2>err | head -n 1 >first
    # head ends with the first line, tcpsaga a little later: the line's own time
    # says when it had begun.
    ms=$(jq -r --argjson begin "$begin" \
        '(.ts[0:19] + "Z" | fromdate) * 1000 + (.ts[20:23] | tonumber) - $begin / 1000 | floor' first)
    echo "# the start line came $ms ms after the start of the program" >&3
    [ "$ms" -lt 5000 ]
}

# ---- a terminal --------------------------------------------------------------------

# on_terminal COLUMNS WORD...: what it writes to a terminal of so many columns,
# in out.
on_terminal() {
    local columns=$1
    shift
    need script
    printf '#!/bin/sh\nstty cols %s\nexec %s "$@"\n' "$columns" "$TCPSAGA" >as-seen
    chmod 755 as-seen
    SHELL=/bin/sh script -qec "./as-seen $*" /dev/null </dev/null >out 2>&1 || fail "$*: $(cat out)"
}

@test "colour is for terminals, and NO_COLOR is heard" {
    make_recording
    on_terminal 120 trace -r some.rec
    grep -q $'\e\[[0-9]' out || fail "no colour on a terminal: $(cat -v out)"
    "$TCPSAGA" trace -r some.rec >plain
    ! grep -q $'\e' plain
    sed $'s/\e\\[[0-9;]*m//g; s/\r$//' out | diff plain - >&2 || fail "colour is all that differs"
    NO_COLOR=1 on_terminal 120 trace -r some.rec
    ! grep -q $'\e' out || fail "colour: $(cat -v out)"
    # no-color.org: "when present and not an empty string".
    NO_COLOR= on_terminal 120 trace -r some.rec
    grep -q $'\e\[[0-9]' out || fail "an empty NO_COLOR was heard"
    on_terminal 120 trace -o json -r some.rec
    ! grep -q $'\e' out || fail "colour in JSON: $(cat -v out)"
}

@test "trace and flows fit a terminal of 80 columns" {
    make_recording
    export NO_COLOR=1
    on_terminal 80 trace -r some.rec
    [ "$(tr -d '\r' <out | wc -L)" -le 80 ] || fail "$(cat out)"
    for columns in 80 100; do
        on_terminal $columns flows -r some.rec
        [ "$(tr -d '\r' <out | wc -L)" -le $columns ] || fail "$(cat out)"
    done
}

@test "queues fits a terminal of 80 columns, and one of 128 in one line each" {
    local columns
    "$MKREC" <"$TOP/tests/replay/scenarios/blocked-clients.txt" >queues.rec
    export NO_COLOR=1
    for columns in 80 127 128; do
        on_terminal $columns queues -r queues.rec
        sed -i $'s/\e\\[[HJ]//g; s/\r$//' out
        grep -q '^~ sampled' out || fail "$(cat out)"
        [ "$(wc -L <out)" -le $columns ] || fail "$(cat out)"
    done
    "$TCPSAGA" queues -r queues.rec >plain
    [ "$(head -n 2 plain)" = "$(head -n 2 out)" ]
}

# A file has it all in one line, a terminal has two where one is too short.
@test "port fits a terminal of 80 columns" {
    local holder=$TOP/build/tests/holder listener port door
    [ -x "$holder" ] || fail "no program to test: $holder"
    mkfifo in
    "$holder" hold listening v4-address 0 <in >port 3>&- &
    listener=$!
    exec {door}>in
    until_true "the listener" test -s port
    port=$(<port)
    on_terminal 80 port "$port" --source live
    "$TCPSAGA" port "$port" --source live >wide
    exec {door}>&-
    wait "$listener"
    [ "$(tr -d '\r' <out | wc -L)" -le 80 ] || fail "$(cat out)"
    grep LISTEN wide | grep -q ' holder/'
    tr -d '\r' <out | grep -A1 LISTEN | grep -q '^    holder/' || fail "$(cat out)"
}

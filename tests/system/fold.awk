# fold.awk: what load.bats expects, then what it got (both `N SEQUENCE`), each sorted by
# who reads it. Prints what it got, with the few lives that lack a step counted to the
# sequence that they lack it of. At most `skips` of them: see load.bats.

# Whether these steps are some of those, in their order.
function is_part(some, all,    step, place, i, n) {
    n = split(some, step, /[ ,]/)
    for (i = 1; i <= n; i++) {
        place = index(all, step[i])
        if (!place) return 0
        all = substr(all, place + length(step[i]))
    }
    return 1
}

# A life of flows says itself that it is incomplete; one of trace lacks a step.
function lacks_of(sequence,    whole) {
    if (sequence ~ / incomplete=/ && sequence !~ / incomplete=true/) return ""
    sub(/^(never closed|born unseen): /, "", sequence)
    for (whole in expected) {
        if (whole !~ / incomplete=/ && is_part(sequence, whole)) return whole
        if (whole ~ / incomplete=/ && substr(whole, 1, 7) == substr(sequence, 1, 7)) return whole
    }
    return ""
}

{ count = $1; sub(/^[0-9]+ /, "") }
FNR == NR { expected[$0]; next }
$0 in expected { got[$0] += count; next }
{ other[$0] = count }

END {
    for (sequence in other) {
        whole = other[sequence] <= skips ? lacks_of(sequence) : ""
        if (whole == "") { got[sequence] += other[sequence]; continue }
        skips -= other[sequence]
        got[whole] += other[sequence]
        print other[sequence] " lack a step: " sequence >"/dev/stderr"
    }
    for (sequence in got) print got[sequence], sequence
}

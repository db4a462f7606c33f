# count_lives.awk: load.jq's transitions (conn, is this a birth, text) gathered
# into lives; prints how many lives went through the same sequence.
BEGIN { FS = "\t" }

$2 == "true" {
    if ($1 in open) count["never closed: " open[$1]]++
    open[$1] = $3
}
$2 != "true" {
    if (!($1 in open)) open[$1] = "born unseen:"
    open[$1] = open[$1] " " $3
}
/>CLOSE( |$)/ {
    count[open[$1]]++
    delete open[$1]
}

END {
    for (conn in open) count["never closed: " open[conn]]++
    for (sequence in count) print count[sequence], sequence
}

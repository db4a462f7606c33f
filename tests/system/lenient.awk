# lenient.awk: reads expected.txt, then actual.txt. Where an expected owner has a
# `?` before it and tcpsaga names none, the expected one is put in; all else of
# actual.txt is printed as it is.
function before_owner(line) { return substr(line, 1, index(line, " owner=")) }
function its_owner(line) { return substr(line, index(line, " owner=") + 7) }

FNR == NR {
    if (its_owner($0) ~ /^\?/) optional[before_owner($0)] = its_owner($0)
    next
}
{
    key = before_owner($0)
    owner = its_owner($0)
    if (key in optional)
        $0 = key "owner=" (owner == "-" ? optional[key] : "?" owner)
    print
}

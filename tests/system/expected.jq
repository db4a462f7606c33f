# expected.jq: from traffic's own lines and the rows of expected.bash, the text
# that lives.jq and transitions.jq must give. $rows are the rows, $form is
# `lives`, `transitions` or `lenient` (the owners that may be missing).
include "common";

def table: $rows | split("\n") | map(select(. != "") | [splits(" +")]
  | {who: .[0], role: .[1], states: (.[2] | split(",")), first: .[3],
     how: .[4], error: .[5], owner: (.[6:] | join(" "))});

def comm_of($column):
  $column | ltrimstr("?") | if . == "$name" then $name else . end;

def owner_text($column): {pid, comm: comm_of($column), uid: 0} | owner;

def life($row):
  [ $row.role, "tcp/\(.family)", tuple, ($row.states | join(",")),
    "first=\($row.first)", "how=\($row.how)", "error=\($row.error)",
    "sent=\(.sent)", "received=\(.received)",
    "handshake=\(if $row.role == "server" then "-"
                 elif $row.states | index("ESTABLISHED") then "yes"
                 else "no" end)",
    "incomplete=false", "owner=\(owner_text($row.owner))" ] | join(" ");

def pairs($states): [range($states | length - 1) as $i
  | "\($states[$i])>\($states[$i + 1])"] | join(" ");

def transitions($row):
  [ $row.role, "tcp/\(.family)", tuple,
    (if $row.states[0] == "SYN_SENT"
     then if .bound then "bound" else "unbound" end else empty end),
    pairs([if $row.states[0] == "SYN_SENT" then "CLOSE" else "LISTEN" end]
          + $row.states),
    "owner=\(owner_text($row.owner))" ] | join(" ");

def listener: "listener tcp/\(.family) \(tuple) CLOSE>LISTEN LISTEN>CLOSE "
  + "owner=\(owner_text(if $name == "" then "traffic" else "$name" end))";

def rows_of($all): . as $e | $all | map(select(.who == $e.who));

table as $all
| if $form == "lenient" then
    [inputs | . as $e | rows_of($all)[] | select(.owner | startswith("?"))
     | . as $row | {key: ($e | tuple), value: ($e | owner_text($row.owner))}]
    | from_entries
  else
    inputs | . as $e
    | if .who == "listener" or .who == "loser"
      then if $form == "transitions" then listener else empty end
      else rows_of($all)
        | if . == [] then "no row for \($e.who)" else .[] end
        | if type == "string" then .
          elif $form == "lives" then . as $row | $e | life($row)
          else . as $row | $e | transitions($row) end
      end
  end

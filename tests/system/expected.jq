# expected.jq: from traffic's own lines and the rows of expected.bash, the text
# that lives.jq and transitions.jq must give. $form is `lives` or `transitions`.
# An owner that may be missing has a `?` before it, for `lenient`.
include "common";

def expected($form; $rows; $name):

  def table: $rows | split("\n") | map(select(. != "")
    | split(" ") | map(select(. != "")) # far cheaper than splits(" +")
    | {who: .[0], role: .[1], states: (.[2] | split(",")), first: .[3],
       how: .[4], error: .[5], owner: (.[6:] | join(" "))});

  def comm_of($column):
    $column | ltrimstr("?") | if . == "$name" then $name else . end;

  def owner_text($column):
    (if $column | startswith("?") then "?" else "" end)
    + ({pid, comm: comm_of($column), uid: 0} | owner);

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

  def changes($row):
    [ $row.role, "tcp/\(.family)", tuple,
      (if $row.states[0] == "SYN_SENT"
       then if .bound then "bound" else "unbound" end else empty end),
      pairs([if $row.states[0] == "SYN_SENT" then "CLOSE" else "LISTEN" end]
            + $row.states),
      "owner=\(owner_text($row.owner))"
      + (if $row.how == "killed" then " killer=ss" else "" end) ] | join(" ");

  def listener: "listener tcp/\(.family) \(tuple) CLOSE>LISTEN LISTEN>CLOSE "
    + "owner=\(owner_text(if $name == "" then "traffic" else "$name" end))";

  def text($all):
    . as $e
    | if .who == "listener" or .who == "loser"
      then if $form == "transitions" then listener else empty end
      else ($all | map(select(.who == $e.who))) as $mine
        | if $mine == [] then "no row for \(.who)" else $mine[] as $row
          | if $form == "lives" then life($row) else changes($row) end end
      end;

  table as $all | .[] | text($all);

# Puts the expected owner into a line that names none, where `?` allows that;
# where one is named, the `?` stays to be compared.
def lenient($expected):
  def split_owner: index(" owner=") as $at | [.[:$at], .[$at + 7:]];
  (reduce ($expected[] | split_owner | select(.[1] // "" | startswith("?")))
     as $line ({}; .[$line[0]] = $line[1])) as $optional
  | map(split_owner as [$key, $owner]
    | if $optional[$key] == null then .
      else $key + " owner="
        + if $owner == "-" then $optional[$key] else "?" + $owner end end);

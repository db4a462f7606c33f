# transitions.jq: the `transition` lines gathered into lives, one line each. A
# life begins where a socket leaves CLOSE or where a listener's child appears.
include "common";

def begins: .old == "CLOSE" or (.old == "LISTEN" and .new == "SYN_RECV");

def gather:
  reduce (.[] | select(.type == "transition")) as $t ({now: {}, lives: []};
    if ($t | begins) or .now[$t.conn] == null
    then .now[$t.conn] = (.lives | length) | .lives += [[$t]]
    else .lives[.now[$t.conn]] += [$t] end)
  | .lives[];

# An unbound client's port is not known at CLOSE>SYN_SENT: that line says no
# more than its remote end. All others must agree on the whole tuple.
def tuples:
  if .[0].new == "SYN_SENT" and (.[0].local.port // 0) == 0 and length > 1
  then .[0].remote as $r | if .[1].remote == $r then .[1:] else . end
  else . end
  | map(tuple) | unique | join(" and ");

def kind:
  if .[0].new == "LISTEN" then "listener"
  else map(.role) | unique | map(. // "-") | join("+") end;

# One owner for a whole life, however many processes it met on its way: most
# of what happens to a socket happens in the context of another task. A client's
# is known from connect() on. Who kills a connection (ss -K) acts on it and is
# named in that transition, but does not own it.
def owners:
  map(select(.error != "ECONNABORTED") | .process | select(. != null) | owner) | unique as $named
  | if $named == [] then null else $named | join("+") end;

def killer:
  map(select(.error == "ECONNABORTED") | " killer=\(.process.comm)") | join("");

def owner_at_connect:
  if .[0].new == "SYN_SENT" and .[0].process == null
  then "(none at connect())" else "" end;

def transitions: gather
| [ kind,
    (map("\(.proto)/\(.family)") | unique | join("+")),
    tuples,
    (if .[0].new != "SYN_SENT" then empty
     elif (.[0].local.port // 0) == 0 then "unbound" else "bound" end),
    (map("\(.old)>\(.new)") | join(" ")),
    "owner=\(owners // "-")\(owner_at_connect)\(killer)"
  ] | join(" ");

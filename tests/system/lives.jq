# lives.jq: each `connection` as one line of compact text. $lenient maps a tuple
# to the owner that may be missing there.
include "common";

inputs | select(.type == "connection")
| (.history | map(.state)) as $states
| tuple as $tuple
| [ .role,
    "\(.proto)/\(.family)",
    $tuple,
    ($states | join(",")),
    "first=\(.closed_first)",
    "how=\(.how)",
    "error=\(.error // "-")",
    "sent=\(.bytes_sent)",
    "received=\(.bytes_received)",
    "handshake=\(if .role == "server" then "-"
                 elif has("handshake_us") then "yes" else "no" end)",
    "incomplete=\(.incomplete)",
    "owner=\(if .process then .process | owner
             else $lenient[$tuple] // "-" end)"
  ] | join(" ")

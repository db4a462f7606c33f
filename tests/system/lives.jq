# lives.jq: each `connection` as one line of compact text.
include "common";

inputs | select(.type == "connection")
| (.history | map(.state)) as $states
| [ .role,
    "\(.proto)/\(.family)",
    tuple,
    ($states | join(",")),
    "first=\(.closed_first)",
    "how=\(.how)",
    "error=\(.error // "-")",
    "sent=\(.bytes_sent)",
    "received=\(.bytes_received)",
    "handshake=\(if .role == "server" then "-"
                 elif has("handshake_us") then "yes" else "no" end)",
    "incomplete=\(.incomplete)",
    "owner=\(.process | owner)"
  ] | join(" ")

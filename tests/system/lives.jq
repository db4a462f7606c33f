# lives.jq: `connection` lines to compact text, one line each.
include "common";

def lives: .[] | select(.type == "connection")
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
  ] | join(" ");

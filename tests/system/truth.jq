# Open connections as tcpsaga tells them at the end, in the words of ss: a line
# "STATE LOCAL:PORT REMOTE:PORT" each. Minisockets are known as lives only where
# function hooks tell how they end; $waits says so.
def word: {"SYN_SENT": "SYN-SENT", "SYN_RECV": "SYN-RECV", "ESTABLISHED": "ESTAB", "FIN_WAIT1": "FIN-WAIT-1",
    "FIN_WAIT2": "FIN-WAIT-2", "TIME_WAIT": "TIME-WAIT", "CLOSE_WAIT": "CLOSE-WAIT", "LAST_ACK": "LAST-ACK",
    "CLOSING": "CLOSING", "LISTEN": "LISTEN"}[.];
def place: (if .addr | test(":") then "[\(.addr)]" else .addr end) + ":\(.port)";
select(.type == "connection" and .netns == $netns and (has("end") or has("wait_end") or .end_unseen | not) and .role != "listener")
| select($waits or (.state | IN("TIME_WAIT", "FIN_WAIT2") | not))
| "\(.state | word) \(.local | place) \(.remote | place)"

# load.jq: what transitions.jq and lives.jq tell with addresses, told without,
# for count_lives.awk and for `sort | uniq -c`. $form is `trace` (conn, is this
# a birth, text: separated by tabs) or `flows` (text). An end that is not known
# is named. What sound.jq has to complain about comes along, as lines of their
# own that nobody expects.
import "sound" as sound;

def known: if (.port // 0) == 0 or (.addr // "") == "" then "unknown" else "known" end;

def begins: .old == "CLOSE" or (.old == "LISTEN" and .new == "SYN_RECV");

# What need not be known: an unbound client's port before it has one, and the
# remote end of a listener.
def gap:
  if .old != "CLOSE" and (.local | known) == "unknown"
  then " (no local end)" else "" end
  + if .new != "LISTEN" and (.old != "LISTEN" or .new == "SYN_RECV")
       and (.remote | known) == "unknown"
    then " (no remote end)" else "" end;

def trace:
  [ .conn, begins,
    (if .new == "LISTEN" then "listener " elif begins then "\(.role) " else "" end)
    + "\(.old)>\(.new)" + gap ] | map(tostring) | join("\t");

# A server that only received a RST did nothing in a system call of its owner,
# who may be unknown.
def owner: .process.comm // if .how == "reset_received" then "traffic" else "-" end;

def flows:
  [ .role, "\(.proto)/\(.family)", "\(.local | known)/\(.remote | known)",
    (.history | map(.state) | join(",")),
    "first=\(.closed_first)", "how=\(.how)", "error=\(.error // "-")",
    "sent=\(.bytes_sent)", "received=\(.bytes_received)",
    "incomplete=\(.incomplete)", "comm=\(owner)" ] | join(" ");

def text:
  if $form == "trace" then select(.type == "transition") | trace
  else select(.type == "connection") | flows end;

sound::complaints(sound::batches; .[] | text; {"\($netns)": true}; $kernel)

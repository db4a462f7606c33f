# sound.jq: what must be true of every line, whatever happened: one complaint
# per line of output, nothing when all is well. $netns is the namespace's inode,
# $kernel what uname says.

def complain($what): "\($what): \(tojson)";

def is_time: type == "string"
  and test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6,9}Z$");

def is_end: . == null or ((.addr // "" | test("^[0-9a-f.:]*$"))
  and ((.port // 0) | . >= 0 and . < 65536));

def envelope:
  if .v != 1 then complain("v is not 1") else empty end,
  if .ts | is_time | not then complain("ts is no RFC 3339 time") else empty end;

def socket:
  if .conn // "" | test("^0x[0-9a-f]+$") | not
  then complain("conn") else empty end,
  if .netns != $netns then complain("netns") else empty end,
  if (.local | is_end) and (.remote | is_end) | not
  then complain("an end of it") else empty end,
  if [.local.addr, .remote.addr] | map(. // "" | test("::ffff:")) | any
  then complain("a v4-mapped address") else empty end;

def transition:
  if .old == .new then complain("no change of state") else empty end,
  if .old != "CLOSE" and .new != "SYN_RECV" and (.in_old_us // -1) < 0
  then complain("in_old_us") else empty end;

def established_at: .history | map(select(.state == "ESTABLISHED")) | .[0].at_us;

def connection:
  (.history | map(.at_us)) as $at
  | if $at[0] != 0 then complain("history does not start at 0") else empty end,
    if $at != ($at | sort) then complain("history goes back") else empty end,
    if .history[-1].state != "CLOSE" then complain("no CLOSE") else empty end,
    if .duration_us != $at[-1] then complain("duration_us") else empty end,
    if (.start | is_time) and (.end | is_time) and .start <= .end | not
    then complain("start and end") else empty end,
    if .role != "server" and .handshake_us != established_at
    then complain("handshake_us") else empty end,
    if (.retransmits // 0) < 0 then complain("retransmits") else empty end;

def line:
  envelope,
  if .type == "transition" then socket, transition
  elif .type == "connection" then socket, connection
  elif .type | IN("start", "stop", "syn", "handshake", "accept", "timewait",
                  "reset", "bind") then empty
  else complain("a line of no expected type") end;

def first_line:
  if .type == "start" and .source == "live" and has("version")
     and (.hooks | has("state")) and (.kernel as $k | $kernel | startswith($k))
  then empty else complain("no start line, or not of this kernel") end;

# The law: attempted = delivered + lost, and here nothing may be lost.
def last_line($transitions):
  if .type != "stop" then complain("no stop line")
  elif .ledger | .lost != {} or .attempted != .delivered
       or .delivered < $transitions
  then complain("the ledger") else empty end;

reduce inputs as $line
  ({first: null, last: null, ends: 0, transitions: 0, complaints: []};
   .first //= $line | .last = $line
   | if $line.type == "start" or $line.type == "stop" then .ends += 1
     elif $line.type == "transition" then .transitions += 1 else . end
   | .complaints += [$line | line])
| .transitions as $transitions
| (.first | first_line), (.last | last_line($transitions)),
  if .ends != 2 then "more than one start and one stop" else empty end,
  .complaints[]

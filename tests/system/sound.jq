# sound.jq: what must be true of every line, whatever happened, and of the first,
# the last and the ledger: one complaint per line of output, nothing when all is
# well. Works through batches, because a regular expression costs jq far more
# than all else here: first one for all strings of a batch, and only when that
# fails one for each.

def complain($what): "\($what): \(tojson)";

def time_re: "\"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6,9}Z\"";
def conn_re: "\"0x[0-9a-f]+\"";
def addr_re: "\"(?!.*::ffff:)[0-9a-f.:]*\""; # a v4-mapped one is not told

# As JSON: no string of many lines, no number instead of a string. In jq ^ is
# the beginning of each line, but $ is the end of all.
def all_match($re):
  length == 0 or (map(tojson + "\n") | add | test("^(?!\($re)\\n)") | not);

def is_socket: .type == "transition" or .type == "connection";
def times: .ts, (select(.type == "connection") | .start, .end);
def conns: select(is_socket) | .conn;
def addrs: select(is_socket) | (.local.addr // ""), (.remote.addr // "");

def well_written:
  (map(times) | all_match(time_re)) and (map(conns) | all_match(conn_re))
  and (map(addrs) | all_match(addr_re));

def badly_written:
  if [times] | all_match(time_re) | not
  then complain("no RFC 3339 time") else empty end,
  if [conns] | all_match(conn_re) | not then complain("conn") else empty end,
  if [addrs] | all_match(addr_re) | not
  then complain("an address, or a v4-mapped one") else empty end;

def is_end: (.port // 0) | . >= 0 and . < 65536;

# $netns: an object whose keys are the inodes of namespaces that were asked for.
def socket($netns):
  if $netns["\(.netns)"] then empty else complain("netns") end,
  if (.local | is_end) and (.remote | is_end) then empty
  else complain("a port") end;

def transition:
  if .old == .new then complain("no change of state") else empty end,
  if .old != "CLOSE" and .new != "SYN_RECV" and (.in_old_us // -1) < 0
  then complain("in_old_us") else empty end;

def established_at: .history | map(select(.state == "ESTABLISHED")) | .[0].at_us;

def its_end:
  if .end_unseen then if .incomplete then empty else complain("no end, and complete") end
  else
    if .history[-1].state != "CLOSE" then complain("no CLOSE") else empty end,
    if .duration_us != .history[-1].at_us then complain("duration_us") else empty end,
    if .start <= .end then empty else complain("start and end") end
  end;

def connection:
  (.history | map(.at_us)) as $at
  | if $at[0] != 0 then complain("history does not start at 0") else empty end,
    if $at != ($at | sort) then complain("history goes back") else empty end,
    its_end,
    if .role != "server" and .handshake_us != established_at
    then complain("handshake_us") else empty end,
    if (.retransmits // 0) < 0 then complain("retransmits") else empty end;

def line($netns):
  if .v != 1 then complain("v is not 1") else empty end,
  if .type == "transition" then socket($netns), transition
  elif .type == "connection" then socket($netns), connection
  elif .type | IN("start", "stop", "states", "syn", "handshake", "accept", "timewait",
                  "reset", "bind") then empty
  else complain("a line of no expected type") end;

# Of a batch: an array of lines.
def line_complaints($netns):
  (.[] | line($netns)), if well_written then empty else .[] | badly_written end;

def first_line($kernel):
  if .type == "start" and .source == "live" and has("version")
     and (.hooks | has("state")) and (.kernel as $k | $kernel | startswith($k))
  then empty else complain("no start line, or not of this kernel") end;

# The law: attempted = delivered + lost, and here nothing may be lost. Only where function
# hooks are refused the kernel was seen to run no program now and then.
def last_line($transitions; $skips):
  if .type != "stop" then complain("no stop line")
  elif .ledger | .lost != {} or .attempted != .delivered
       or .delivered < $transitions or (.unrecorded and ($skips | not))
  then complain("the ledger") else empty end;

def count_type($types): map(select(.type | IN($types[]))) | length;

# Of all that tcpsaga told, `batches` in their order; `also` comes of each batch
# besides the complaints.
def complaints(batches; also; $netns; $kernel):
  foreach (batches, null) as $batch
    ({first: null, last: null, ends: 0, transitions: 0};
     if $batch == null then . else
       .first //= $batch[0] | .last = ($batch[-1] // .last)
       | .ends += ($batch | count_type(["start", "stop"]))
       | .transitions += ($batch | count_type(["transition"])) end;
     if $batch != null then $batch | line_complaints($netns), also
     else .transitions as $transitions | ((.first.hooks.syn // "none") == "none") as $skips
       | (.first | first_line($kernel)), (.last | last_line($transitions; $skips)),
         if .ends != 2 then "more than one start and one stop" else empty end
     end);

# The input, some lines at a time: under load it is long.
def batches:
  foreach (inputs, null) as $line ([];
    (if length == 200 then [] else . end)
    | if $line == null then . else . + [$line] end;
    if $line == null or length == 200 then . else empty end);

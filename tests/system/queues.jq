# queues.jq: what tcpsaga told about handshakes and queues, and what knock and
# the kernel's counters say: what differs, one line "PLAY<tab>COMPLAINT" each.
#
# Input: knock's JSON lines, a file N.json per play. $plays: a line "N KIND CAUSE"
# each; $saga: all of tcpsaga's lines; $once: those of each `queues --once`;
# $ss: lines "STAGE N LINE" of ss; $hooks: those that work.

# One play's view: its knock's lines, tcpsaga's about its namespace, the stage
# looked at, the cause of drops that no counter names, what ss said.
def verdict($knock; $saga; $stage; $other; $ss; $forms):

def rows: to_entries[] | select(.value != 0) | "\(.key) \(.value)";

# A report is a block of lines that ends in the sums; a stage that was held has
# one before the test looked and one behind.
def reports: reduce $knock[] as $line ([[]];
  .[-1] += [$line] | if $line.who == "knock" then . + [[]] else . end) | .[:-1];
def at_stage($stage): [reports[] | select(.[-1].stage == $stage)];
def sums($stage): at_stage($stage)[-1][-1];
def listeners($stage): at_stage($stage)[-1][] | select(.who == "listener");
def callers: at_stage("done")[-1][] | select(.who == "caller");

(sums("house").counters) as $zero
| (sums($stage).counters | with_entries(.value -= $zero[.key])) as $moved |

# ---- complaints ----

def complain($what): "\($what): \(tojson)";

def within($value; $least; $most; $what):
  if $value != null and $value >= $least and $value <= $most then empty
  else "\($what): \($value) is not within \($least)..\($most)" end;

# ---- events, counted ----

# SyncookiesRecv counts before it is known whether the accept queue has room.
def by_cookie($k): $moved.SyncookiesRecv - $k.cookie_acks_dropped;

# ListenOverflows counts SYNs and third ACKs, ListenDrops all of those and every
# other loss of a SYN, and requests that an ICMP error ends; TCPReqQFullDrop only
# SYNs. EmbryonicRsts counts requests that a segment ended.
def syn_drops($k): {
  accept_queue_full: ($moved.ListenOverflows - $k.acks_dropped),
  syn_queue_full: $moved.TCPReqQFullDrop,
  ($other): ($moved.ListenDrops - $moved.ListenOverflows - $moved.TCPReqQFullDrop - $k.unreachable)
};

def queued($k): $k.answered - $moved.SyncookiesSent - $k.fastopen;

def expected_events: sums("done") as $k | {
  "syn queued": queued($k),
  "syn cookie": $moved.SyncookiesSent,
  "syn fastopen": $k.fastopen,
  "handshake completed syn_queue": ($k.completed - $k.fastopen - by_cookie($k)),
  "handshake completed cookie": by_cookie($k),
  "handshake accept_queue_full": $k.acks_dropped,
  "handshake reset": ($moved.EmbryonicRsts + $k.unreachable),
  "handshake timed_out": $k.timed_out,
  "handshake listener_closed": $k.listener_closed,
  "handshake synack_retransmitted": $k.synack_retransmits,
  "accept": $k.accepted
} + (syn_drops($k) | with_entries(.key |= "syn dropped \(.)")) | rows;

def actual_events: $saga
  | map(if .type == "syn" then [.type, .outcome, .cause]
        elif .type == "handshake" then [.type, .outcome, .via]
        elif .type == "accept" then [.type] else empty end
        | map(. // empty) | join(" "))
  | group_by(.) | map({key: .[0], value: length}) | from_entries | rows;

# ---- the laws between knock's view and the counters ----

def laws: sums("done") as $k
  | if ($k.syns != $k.answered + (syn_drops($k) | add))
    then "SYNs are not answered + dropped" else empty end,
    if queued($k) != $k.completed - $k.fastopen - by_cookie($k) + $k.timed_out
      + $moved.EmbryonicRsts + $k.unreachable + $k.listener_closed + $k.requests
    then "queued are not completed + timed out + reset + abandoned" else empty end,
    if $k.reset + $k.refused != $moved.EmbryonicRsts
    then "EmbryonicRsts are not resets + refusals" else empty end;

# ---- caller by caller ----

def end_of_caller: "\(.addr):\(.port)";

def expected_callers: callers
  | "\(.local | end_of_caller) syns=\(.syns) \({aborted: "accepted", unreachable: "reset"}[.fate] // .fate)";

def fate: map(select(.type == "handshake") | .outcome) as $ends
  | if any(.type == "accept") then "accepted"
    elif any(.outcome == "completed") then "child_closed"
    elif $ends | any(. == "accept_queue_full") and any(. == "reset") then "refused"
    elif $ends | any(IN("timed_out", "reset", "listener_closed"))
    then $ends | map(select(IN("timed_out", "reset", "listener_closed"))) | last
    elif any(.outcome == "cookie") then "cookie"
    elif any(.outcome == "fastopen") then "child_closed"
    elif any(.outcome == "queued") then "queued"
    else "dropped" end;

def actual_callers: $saga | map(select((.type | IN("syn", "handshake", "accept")) and .remote)) | group_by(.remote)[]
  | "\(.[0].remote | end_of_caller) syns=\(map(select(.type == "syn")) | length) \(fate)";

# ---- listeners ----

# While a stage is held timers go on: how often they repeated a SYN-ACK is held
# against both reports, in `still`.
def but_timers($stage): if $stage == "done" then . else del(.synack_retransmits) end;

# One sum over all the listeners of the test.
def expected_sums($stage): sums($stage) as $k | {
  syns: $k.syns,
  queued: queued($k),
  cookies: $moved.SyncookiesSent,
  fastopen: $k.fastopen,
  dropped: ($k.syns - $k.answered),
  completed: ($k.completed - $k.fastopen - by_cookie($k)),
  completed_by_cookie: by_cookie($k),
  timed_out: $k.timed_out,
  reset: ($moved.EmbryonicRsts + $k.unreachable),
  listener_closed: $k.listener_closed,
  pending: $k.requests,
  third_ack_dropped: $k.acks_dropped,
  synack_retransmits: $k.synack_retransmits,
  accepted: $k.accepted,
  "syn_queue.len": $k.requests,
  "accept_queue.len": $k.accept_queue
} | but_timers($stage) | rows;

def expected_causes($stage): syn_drops(sums($stage)) | with_entries(.key |= "dropped.\(.)") | rows;

# Of each listener its last line, as of now.
def last_lines: $saga | map(select(.type == "queue" and .listener and .local.port == 8080))
  | group_by(.listener) | map(last);

def actual_sums: last_lines | . as $all
  | ["syns", "queued", "cookies", "fastopen", "completed", "completed_by_cookie", "timed_out",
     "reset", "listener_closed", "pending", "third_ack_dropped", "synack_retransmits", "accepted"]
  | map({key: ., value: (. as $key | $all | map(.[$key]) | add)}) | from_entries
  | . + {
      dropped: ($all | map(.dropped | add // 0) | add),
      "syn_queue.len": ($all | map(.syn_queue.len) | add),
      "accept_queue.len": ($all | map(.accept_queue.len) | add)
    } | but_timers($stage) | rows;

def actual_causes: last_lines | map(.dropped // {} | to_entries) | add // []
  | group_by(.key) | map({key: "dropped.\(.[0].key)", value: (map(.value) | add)}) | from_entries | rows;

# What two reports of a stage must agree on, and what tcpsaga told in between.
def still: at_stage($stage)[-2:] as [$before, $behind]
  | ($before[-1] | del(.at, .synack_retransmits, .counters.TCPTimeouts)) as $was
  | if $behind[-1] | del(.at, .synack_retransmits, .counters.TCPTimeouts) == $was | not
    then "it did not hold still: \($before[-1]) and \($behind[-1])" else empty end,
    if (last_lines | length > 0 and all(.synack_retransmits != null)) then
      within(last_lines | map(.synack_retransmits) | add; $before[-1].synack_retransmits;
        $behind[-1].synack_retransmits; "synack_retransmits")
    else empty end;

# The sum law, in every line at any time.
def balance: $saga[] | select(.type == "queue" and .syns != null)
  | if .syns != .queued + .cookies + .fastopen + (.dropped | add // 0)
    then complain("SYNs are not queued + cookies + dropped") else empty end,
    if .queued != .completed + .timed_out + .reset + .listener_closed + .pending
    then complain("queued are not completed + timed out + reset + closed + pending") else empty end;

# Each listener by itself; the order of a group's is nobody's.
def one($accepted; $address; $process): "listener \($address.addr):\($address.port) "
  + "\($process.comm)/\($process.pid) accepted=\($accepted) accept_queue=\(.accept_queue.len)"
  + "/\(.accept_queue.limit) backlog=\(.backlog.listen // "?")>\(.backlog.effective)";

# A second listen() makes no transition: its argument is not known.
def asked: if $knock[0].scenario == "both-full" then null else .backlog end;

def expected_listeners($stage): listeners($stage)
  | .accepted as $accepted | .local as $local | {comm: "knock", pid} as $process
  | {accept_queue: {len: .accept_queue, limit}, backlog: {listen: asked, effective: .limit}}
  | one($accepted; $local; $process);

def actual_listeners: last_lines[] | one(.accepted; .local; .process);

# Without function hooks: what sock_diag knows.
def expected_sample($stage): listeners($stage)
  | "listener \(.local.addr):\(.local.port) accept_queue=\(.accept_queue)/\(.limit) drops=\(.drops)";
def actual_sample: last_lines[]
  | "listener \(.local.addr):\(.local.port) accept_queue=\(.accept_queue.len)/\(.accept_queue.limit)"
    + " drops=\(.sk_drops)";

# ---- what ss says: State Recv-Q Send-Q ----

def expected_ss: $ss | split("\n")[] | select(. != "") | [splits(" +")] | "\(.[1])/\(.[2])";
def actual_ss: last_lines[] | "\(.accept_queue.len)/\(.accept_queue.limit)";

# ---- complaints about single lines ----

def is_depth: type == "object" and (.len | type) == "number" and (.limit | type) == "number";

def step($pid):
  if .listener // "" | test("^0x[0-9a-f]+$") | not then complain("listener") else empty end,
  if .proto != "tcp" or .role != "server" then complain("proto or role") else empty end,
  if .local.port != 8080 then complain("local") else empty end,
  if .remote.port == null then complain("remote") else empty end,
  if .local.addr | test("^(192\\.0\\.2\\.1|2001:db8:2::1)$") | not
  then complain("the address that was knocked at") else empty end,
  if .family != (if .local.addr | test(":") then 6 else 4 end) then complain("family") else empty end,
  if .accept_queue | is_depth | not then complain("accept_queue") else empty end,
  if .type != "accept" and (.syn_queue | is_depth | not) then complain("syn_queue") else empty end,
  if .type != "accept" and (.process | {pid, comm, uid}) != {pid: $pid, comm: "knock", uid: 0}
  then complain("the listener's owner") else empty end;

def complaints: $knock[0].pid as $pid
  | $saga[]
  | (select(.type | IN("syn", "handshake", "accept")) | step($pid)),
    (select(.type == "handshake" and .outcome == "completed" and .via == "syn_queue")
      | if (.took_us // -1) < 0 or .synack_retransmits == null
        then complain("how long it took") else empty end),
    (select(.type == "accept")
      | if (.waited_us // -1) < 0 then complain("how long it waited") else empty end,
        if .process.comm | IN("knock", "acceptor") | not then complain("who accepted") else empty end);

# One id per request, from its SYN to accept(), one listener. A caller whose TIME_WAIT
# is over has had two requests.
def identities: $saga | map(select(.type | IN("syn", "handshake", "accept")) | select(.remote))
  | group_by(.remote)[]
  | if map(.listener) | unique | length > 1 then .[0] | complain("two listeners") else empty end,
    if (map(.conn // empty) | unique | length) > ([1, (map(select(.type == "syn" and .outcome != "dropped")) | length)] | max)
    then .[0] | complain("two ids") else empty end;

# A life knows what the events of its connection told.
def life_times: ($saga | map(select(.type == "connection" and .role == "server")) | INDEX("\(.remote)"))
  as $lives
  | $saga[]
  | (select(.type == "handshake" and .outcome == "completed" and .via == "syn_queue")
      | if $lives["\(.remote)"].handshake_us == null then complain("a life without handshake_us")
        else empty end),
    (select(.type == "accept")
      | if $lives["\(.remote)"].accept_wait_us == null then complain("a life without accept_wait_us")
        else empty end);

# ---- times within knock's bounds ----

def waits: $knock[] | select(.who == "accept") | .remote as $remote | . as $k
  | ($saga | map(select(.type == "accept" and .remote == $remote)) | first) as $a
  | if $a.process.pid != $k.pid or $a.process.comm != $k.comm
    then "accepted by \($a.process), not by \($k.comm)/\($k.pid)" else empty end,
    if $k.waited_min_us == null then empty
    else within($a.waited_us; $k.waited_min_us; $k.waited_max_us; "waited_us") end;

def handshake_times: $knock[] | select(.who == "handshake") | . as $k
  | ($saga | map(select(.type == "handshake" and .outcome == "completed")) | first) as $h
  | within($h.took_us; $k.took_min_us; $k.took_max_us; "took_us"),
    if $h.synack_retransmits != $k.synack_retransmits
    then "synack_retransmits: \($h.synack_retransmits)" else empty end;

# ---- lives ----

# A passive life starts at the SYN; a request that got no further is one too.
def expected_lives: callers
  | "\(.local | end_of_caller) " + ({
      accepted: "SYN_RECV,ESTABLISHED,CLOSE reset_received",
      aborted: "SYN_RECV,ESTABLISHED,CLOSE abort",
      child_closed: "SYN_RECV,ESTABLISHED,CLOSE listener_closed",
      timed_out: "SYN_RECV,CLOSE timeout",
      reset: "SYN_RECV,CLOSE reset_received",
      unreachable: "SYN_RECV,CLOSE reset_received",
      refused: "SYN_RECV,CLOSE dropped",
      listener_closed: "SYN_RECV,CLOSE listener_closed"
    }[.fate] // empty),
    # Its first life: the server had closed first.
    if $knock[0].scenario == "timewait-syn"
    then "\(.local | end_of_caller) SYN_RECV,ESTABLISHED,FIN_WAIT1,FIN_WAIT2,\(
      if $hooks.timewait then "TIME_WAIT," else "" end)CLOSE close" else empty end;

def actual_lives: $saga[] | select(.type == "connection" and .role == "server" and .how != null)
  | select(.history | map(.state) | .[0] == "SYN_RECV")
  | "\(.remote | end_of_caller) \(.history | map(.state) | join(",")) \(.how)";

# ---- the verdict ----

# Both sides of a form, as lists of lines.
def sides($form):
  if $form == "events" then [[expected_events], [actual_events]]
  elif $form == "callers" then [[expected_callers], [actual_callers]]
  elif $form == "lives" then [[expected_lives], [actual_lives]]
  elif $form == "accepts" then [[sums("done").accepted], [$saga | map(select(.type == "accept")) | length]]
  elif $form == "sums" then
    [[expected_sums($stage), expected_causes($stage)], [actual_sums, actual_causes]]
  elif $form == "listeners" then
    [[expected_sums($stage), expected_causes($stage), expected_listeners($stage)],
     [actual_sums, actual_causes, actual_listeners]]
  elif $form == "sample" then [[expected_sample($stage)], [actual_sample]]
  elif $form == "ss" then [[expected_ss], [actual_ss]]
  else error("no such form: \($form)") end;

def counts: reduce (.[] | tostring) as $line ({}; .[$line] += 1);

def differences($form): sides($form) as [$expected, $actual]
  | ($expected | counts) as $e | ($actual | counts) as $a
  | if $expected == [] and $form != "lives" then "\($form): nothing to compare with" else empty end,
    ($e + $a | keys[] | select($e[.] != $a[.])
      | "\($form): " + if ($e[.] // 0) > ($a[.] // 0) then "- expected \(.)" else "+ told     \(.)" end);

# Nothing, when all is as it must be.
$forms | split(" ")[]
| if . == "laws" then laws
  elif . == "lines" then complaints, identities, life_times, waits, handshake_times
  elif . == "waits" then waits
  elif . == "balance" then balance
  elif . == "still" then still
  else differences(.) end;

# ---- all plays -----------------------------------------------------------------

def own($netns): .["\($netns)"] // [];

# What `queues` told of each listener while a stage was held: its second look. The
# time of a look is when it began; before the first, events may not have been read
# yet, and the last may have lasted until the stage was over.
def within_stage($knock; $stage): [$knock[] | select(.who == "knock" and .stage == $stage) | .at][-2:]
  as [$from, $until] | map(select(.type == "queue" and .ts > $from and .ts < $until));
def second_look: group_by(.listener) | map(.[1] // empty);

# How many lines there are beside start and stop: an empty capture passes for none.
($saga | map(select(.netns)) | group_by(.netns) | map({key: "\(.[0].netns)", value: .}) | from_entries) as $told
| ($once | map(select(.netns)) | group_by(.netns)
    | map({key: "\(.[0].netns)", value: .}) | from_entries) as $looked
| (reduce inputs as $line ({}; .[input_filename | split("/")[-1] | rtrimstr(".json")] += [$line])) as $knocks
| $plays | split("\n")[] | select(. != "") | split(" ") as [$n, $kind, $other]
| $knocks[$n] as $knock | ($knock | last.netns) as $netns | ($told | own($netns)) as $lines
| (if $knock | any(.who == "caller") then " callers lives" else "" end) as $listed
| if ($knock | last | .stage) != "done" then "it did not come to its end"
  elif $kind == "flood" then
    if $hooks.syn then verdict($knock; $lines; "done"; $other; ""; "laws sums balance") else empty end
  elif $kind == "accepts" then verdict($knock; $lines; "done"; $other; ""; "accepts waits")
  else
    (if $hooks.syn then
      verdict($knock; $lines; "done"; $other; ""; "laws lines events sums balance\($listed)")
    else empty end),
    (if $kind == "held" then ("held", "closing") as $stage
      | select($knock | any(.stage == $stage))
      | ($ss | split("\n") | map(select(startswith("\($stage) \($n) ")) | split(" ")[2:] | join(" "))
          | join("\n")) as $ss
      | (verdict($knock; $lines | within_stage($knock; $stage) | second_look; $stage; $other; $ss;
          if $hooks.syn then "still listeners ss" else "still sample ss" end),
        verdict($knock; $looked | own($netns) | within_stage($knock; $stage); $stage; $other; $ss;
          "sample ss"))
      | "\($stage): \(.)"
    else empty end)
  end
| "\($n)\t\(.)"

# common.jq: words shared by the filters that turn tcpsaga's JSON into compact
# text, one line per life.

# 127.0.0.1:8080, or - when the port is not known.
def endpoint: if (.port // 0) == 0 then "-" else "\(.addr):\(.port)" end;

def tuple: "\(.local // {} | endpoint) > \(.remote // {} | endpoint)";

# Names are hostile: as JSON, so that a line stays a line.
def owner: if . == null then "-" else "\(.pid)/\(.comm | @json)/\(.uid)" end;

# shellcheck shell=bash
# expected.bash: what the kernel does in each scenario of traffic.c, one row
# per kind of endpoint:
#
#   WHO  ROLE  HISTORY  CLOSED_FIRST  HOW  ERROR  OWNER
#
# A row stands for every endpoint that traffic names WHO. OWNER is the name of
# the process that must be known; `?` before it means that it may be unknown
# as well, but never another (nothing this endpoint did ran in a system call of
# its owner). flows.bats compares the rows with lives; trace.bats derives the
# transitions from the same histories.

# Short names: client or server, closing first or second, or reset.
CLIENT_1ST=SYN_SENT,ESTABLISHED,FIN_WAIT1,FIN_WAIT2,CLOSE
CLIENT_2ND=SYN_SENT,ESTABLISHED,CLOSE_WAIT,LAST_ACK,CLOSE
CLIENT_RST=SYN_SENT,ESTABLISHED,CLOSE
SERVER_1ST=SYN_RECV,ESTABLISHED,FIN_WAIT1,FIN_WAIT2,CLOSE
SERVER_2ND=SYN_RECV,ESTABLISHED,CLOSE_WAIT,LAST_ACK,CLOSE
SERVER_RST=SYN_RECV,ESTABLISHED,CLOSE

client_closes_first() {
    echo "client client $CLIENT_1ST local  close - ${1:-traffic}"
    echo "server server $SERVER_2ND remote close - ${1:-traffic}"
}

server_closes_first() {
    echo "client client $CLIENT_2ND remote close - ${1:-traffic}"
    echo "server server $SERVER_1ST local  close - ${2:-traffic}"
}

client_resets() {
    echo "client client $CLIENT_RST local  abort - traffic"
    echo "server server $SERVER_RST remote reset_received ECONNRESET ?traffic"
}

server_resets() {
    echo "client client $CLIENT_RST remote reset_received ECONNRESET traffic"
    echo "server server $SERVER_RST local  abort - traffic"
}

never_connected() { # HOW ERROR
    echo "client client SYN_SENT,CLOSE none $1 $2 traffic"
}

# Dispatch on a scenario and its --by.
expected_rows() {
    case $1 in
    client-first | ipv6 | v4-mapped | v6socket-to-v4 | retransmit)
        client_closes_first ;;
    mptcp) # its subflows; the server's is closed by a worker of the kernel's
        client_closes_first | sed 's/^server .* /&?/' ;;
    named) # $NAME may hold anything: expected.jq puts it in
        # shellcheck disable=SC2016
        client_closes_first '$name' ;;
    server-first)
        server_closes_first ;;
    accept-in-child)
        server_closes_first caller acceptor ;;
    handover)
        server_closes_first traffic heir ;;
    half-close | shutdown-both)
        echo "client client $CLIENT_1ST local  shutdown - traffic"
        echo "server server $SERVER_2ND remote close    - traffic" ;;
    simultaneous-close)
        echo "client client SYN_SENT,ESTABLISHED,FIN_WAIT1,CLOSING,CLOSE both shutdown - traffic"
        echo "server server SYN_RECV,ESTABLISHED,FIN_WAIT1,CLOSING,CLOSE both shutdown - traffic" ;;
    self-connect)
        echo "self both SYN_SENT,SYN_RECV,ESTABLISHED,FIN_WAIT1,CLOSING,CLOSE both close - traffic" ;;
    simultaneous-open)
        echo "left  client SYN_SENT,SYN_RECV,ESTABLISHED,FIN_WAIT1,FIN_WAIT2,CLOSE local  close - traffic"
        echo "right client SYN_SENT,SYN_RECV,ESTABLISHED,CLOSE_WAIT,LAST_ACK,CLOSE remote close - traffic" ;;
    refused)     never_connected refused ECONNREFUSED ;;
    timeout)     never_connected timeout ETIMEDOUT ;;
    unreachable) never_connected unreachable EHOSTUNREACH ;;
    cancelled)   never_connected cancelled - ;;
    no-port)
        client_closes_first
        echo "no-port client SYN_SENT,CLOSE none no_port - traffic" ;;
    reset)
        if [ "${3:-client}" = client ]; then client_resets; else server_resets; fi ;;
    fin-then-reset) # its FIN came first, and the FIN was shutdown()'s
        echo "client client $CLIENT_1ST local shutdown - traffic"
        echo "server server SYN_RECV,ESTABLISHED,CLOSE_WAIT,CLOSE remote reset_received EPIPE ?traffic" ;;
    broken-pipe)
        echo "client client $CLIENT_1ST local close - traffic"
        echo "server server SYN_RECV,ESTABLISHED,CLOSE_WAIT,CLOSE remote reset_received EPIPE ?traffic" ;;
    listener-closed)
        echo "client client $CLIENT_RST remote reset_received ECONNRESET traffic"
        echo "child  server $SERVER_RST local  listener_closed - ?traffic" ;;
    unspec)
        client_resets
        client_closes_first | sed 's/^client/client2/; s/^server/server2/' ;;
    killed)
        echo "client client $CLIENT_RST local  killed ECONNABORTED traffic"
        echo "server server $SERVER_RST remote reset_received ECONNRESET ?traffic" ;;
    failed-listen | sctp)
        ;;
    *)
        echo "expected.bash knows no scenario $1" >&2
        return 1 ;;
    esac
}

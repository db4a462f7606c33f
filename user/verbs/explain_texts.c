// SPDX-License-Identifier: BSD-2-Clause
/*
 * The texts behind `tcpsaga explain`. What they say of the kernel was read in its
 * sources (net/ipv4/tcp_input.c, tcp_minisocks.c, inet_connection_sock.c, af_inet.c)
 * and holds from 5.10 on; where kernels differ the text says so.
 */
#include "verbs/explain_texts.h"

const struct explain_topic explain_topics[] = {
	{ "handshake", "three-way connect syn", "three segments, two queues",
	  "A client's connect() sends a SYN and waits in SYN_SENT. The server's kernel notes the request in "
	  "the SYN queue of the listener and answers with a SYN-ACK. The client is ESTABLISHED as soon as "
	  "that arrives, and sends the third segment, an ACK. When this reaches the server, the kernel makes "
	  "a socket and puts it into the accept queue, where it waits until the program calls accept().\n\n"
	  "So connect() succeeds before the server's program knows anything of it, and data can be sent to a "
	  "program that never calls accept().\n\n"
	  "A SYN without an answer is sent again {tcp_syn_retries} times, after 1, 3, 7 s and so on; a SYN-ACK "
	  "{tcp_synack_retries} times. A handshake of just over 1 or 3 s is a lost or dropped segment, not a slow "
	  "network.\n\n"
	  "Now: {#SYN_SENT} in SYN_SENT, {#SYN_RECV} in SYN_RECV, {#ESTABLISHED} in ESTABLISHED.\n\n"
	  "Look: tcpsaga trace, tcpsaga queues." },
	{ "queues", "backlog accept-queue syn-queue somaxconn tcp_max_syn_backlog overflow",
	  "SYN queue, accept queue, and both meanings of backlog",
	  "A listener has two queues. The SYN queue holds requests whose third segment has not come "
	  "(SYN_RECV). The accept queue holds finished connections (ESTABLISHED) that the program has not "
	  "taken with accept().\n\n"
	  "listen(fd, backlog) sets one number, cut down to net.core.somaxconn (here {somaxconn}), and on Linux "
	  "it limits both. The manuals speak of the accept queue only, but a SYN is also judged by it:\n\n"
	  "- Accept queue: the kernel lets one more than the backlog wait. When it is full, new SYNs are dropped, and "
	  "so is the third ACK of requests that are already in the SYN queue. The client believes that it is "
	  "connected; the server sends its SYN-ACK again. With tcp_abort_on_overflow=1 (here "
	  "{tcp_abort_on_overflow}) the client gets a RST instead.\n\n"
	  "- SYN queue: when it holds as many requests as the backlog, further SYNs are answered with a cookie "
	  "(tcp_syncookies, here {tcp_syncookies}: 0 never, 1 when full, 2 always) or, without cookies, "
	  "dropped.\n\n"
	  "- tcp_max_syn_backlog (here {tcp_max_syn_backlog}) is not the size of a queue. It counts only where "
	  "cookies are off: then the last quarter of it is kept for peers that the kernel remembers.\n\n"
	  "To make a queue longer, raise both: the number in the program's configuration and somaxconn; the smaller "
	  "one rules. Then restart the program or let it call listen() again, because a listener keeps what it has got. "
	  "A longer queue helps with bursts. It does not help a program that calls accept() too slowly: the queue fills "
	  "later, and everyone in it waits longer.\n\n"
	  "Now: {#LISTEN} listeners, {#SYN_RECV} half-open requests.\n\n"
	  "Look: tcpsaga queues, tcpsaga diagnose." },
	{ "syn-cookies", "syncookies cookie syn-flood", "how a full SYN queue still lets people in",
	  "With tcp_syncookies=1 a listener whose SYN queue is full still answers: what it must remember is "
	  "hidden in the sequence number of its SYN-ACK, and nothing is kept. If the third ACK comes back with "
	  "that number, the connection is made as always.\n\n"
	  "The price: window scaling and selective acknowledgement survive only where the client sends time stamps, "
	  "and a lost SYN-ACK is not sent again. A cookie does not help against a full accept queue.\n\n"
	  "Cookies on a host that is not attacked mean that the backlog is too small for its bursts. In an attack, "
	  "few of the SYNs are ever completed, and their sources are many or made up.\n\n"
	  "Here: tcp_syncookies is {tcp_syncookies} (0 never, 1 when full, 2 always).\n\n"
	  "Look: tcpsaga queues, tcpsaga diagnose." },
	{ "teardown", "close fin shutdown closing-sequence",
	  "who closes first, and what both sides go through",
	  "Each direction is closed by a FIN of its own, and each FIN is acknowledged.\n\n"
	  "- The side that closes first (active close): ESTABLISHED, FIN_WAIT1 (FIN sent), FIN_WAIT2 (it was "
	  "acknowledged), TIME_WAIT (the peer's FIN came too), gone after 60 s.\n\n"
	  "- The other side (passive close): ESTABLISHED, CLOSE_WAIT (the FIN came; the program reads end of "
	  "file), LAST_ACK (the program has closed too), gone with the last ACK.\n\n"
	  "- If both close at the same time: FIN_WAIT1, CLOSING, TIME_WAIT, on both sides.\n\n"
	  "TIME_WAIT stays with the side that closes first, be it client or server. close() while data is still unread, or "
	  "with SO_LINGER of 0 s, sends a RST: both ends go to CLOSE at once, and data on its way is lost.\n\n"
	  "Now: FIN_WAIT1 {#FIN_WAIT1}, FIN_WAIT2 {#FIN_WAIT2}, CLOSING {#CLOSING}, TIME_WAIT {#TIME_WAIT}, "
	  "CLOSE_WAIT {#CLOSE_WAIT}, LAST_ACK {#LAST_ACK}.\n\n"
	  "Look: tcpsaga flows (closed_first and how tell it of every connection)." },
	{ "states", "state", "every state in one line each, with how many there are now",
	  "- LISTEN: waits for connections. Now {#LISTEN}.\n\n"
	  "- SYN_SENT: connect() was called, no answer yet. Now {#SYN_SENT}.\n\n"
	  "- SYN_RECV: a SYN came and was answered; waits for the third segment. Now {#SYN_RECV}.\n\n"
	  "- ESTABLISHED: both may send. Now {#ESTABLISHED}.\n\n"
	  "- FIN_WAIT1: we have closed; our FIN is not acknowledged. Now {#FIN_WAIT1}.\n\n"
	  "- FIN_WAIT2: it is acknowledged; the peer has not closed. Now {#FIN_WAIT2}.\n\n"
	  "- CLOSE_WAIT: the peer has closed; our program has not. Now {#CLOSE_WAIT}.\n\n"
	  "- LAST_ACK: both have closed, the peer first; our FIN is not acknowledged. Now {#LAST_ACK}.\n\n"
	  "- CLOSING: both closed at once; our FIN is not acknowledged. Now {#CLOSING}.\n\n"
	  "- TIME_WAIT: all is done; we closed first, and the addresses rest for 60 s. Now {#TIME_WAIT}.\n\n"
	  "- CLOSE: no connection." },
	{ "LISTEN", "listener", "a socket that waits for connections",
	  "listen() puts a bound socket into LISTEN. It never carries data: accept() makes a new socket for each "
	  "connection, and that one shares the listener's port. When the listener is closed, those that wait in its "
	  "queues are reset; those already accepted live on and still hold the port (see port-reuse).\n\n"
	  "Now: {#LISTEN}.\n\nLook: tcpsaga queues, tcpsaga port N." },
	{ "SYN_SENT", NULL, "a connect() without an answer",
	  "The client has sent a SYN. The answer is a SYN-ACK (ESTABLISHED), a RST (connection refused: nobody listens "
	  "there) or nothing: a firewall, a dead host, or a listener whose queues are full and that drops the SYN. The "
	  "SYN is sent again {tcp_syn_retries} times (tcp_syn_retries), then connect() fails with a timeout.\n\n"
	  "Now: {#SYN_SENT}.\n\nLook: tcpsaga trace state syn-sent." },
	{ "SYN_RECV", "half-open", "half open: a SYN was answered, the third segment has not come",
	  "Such a request is no socket yet: some 300 bytes in the SYN queue of its listener, without a process. "
	  "The SYN-ACK is sent again {tcp_synack_retries} times (tcp_synack_retries), then the request is dropped. Many of them "
	  "that stay: lost answers, a SYN flood, or an accept queue that is full, so that third segments are "
	  "dropped.\n\n"
	  "Now: {#SYN_RECV}.\n\nLook: tcpsaga queues." },
	{ "ESTABLISHED", NULL, "both sides may send",
	  "A server's connection is ESTABLISHED before accept(): it may wait in the accept queue, belong to no process, and "
	  "receive data. An idle one stays for ever, unless the program asks for SO_KEEPALIVE (then the first "
	  "probe is sent after {tcp_keepalive_time} s, tcp_keepalive_time) or has a timeout of its own. Unacknowledged data is sent "
	  "again {tcp_retries2} times (tcp_retries2), about 15 minutes with 15, before the connection is given up.\n\n"
	  "Now: {#ESTABLISHED}.\n\nLook: tcpsaga flows --once." },
	{ "FIN_WAIT1", NULL, "we have closed; the peer has not acknowledged it",
	  "The FIN stands behind everything that is still to be sent: a peer that does not read keeps its window closed, and "
	  "the socket stays here. After close() nobody owns it (an orphan), and it is given up after tcp_orphan_retries "
	  "(here {tcp_orphan_retries}; 0 stands for 8). Many that stay: peers that vanished, or do not read.\n\n"
	  "Now: {#FIN_WAIT1}." },
	{ "FIN_WAIT2", "fin-wait tcp_fin_timeout", "we have closed; the peer has not",
	  "Our FIN was acknowledged and the peer's is missing: its program has not called close(), so over there the connection "
	  "is in CLOSE_WAIT. The fault is the peer's.\n\n"
	  "After close() the kernel waits for tcp_fin_timeout (here {tcp_fin_timeout} s), then drops the "
	  "socket. After shutdown() of one direction it waits without end: the program still holds the socket "
	  "and may read. This is all that tcp_fin_timeout does; it has nothing to do with TIME_WAIT.\n\n"
	  "The kernel keeps most closed ones as the same small object as TIME_WAIT, and some tools count them together.\n\n"
	  "Now: {#FIN_WAIT2}.\n\nLook: tcpsaga timewait, tcpsaga diagnose." },
	{ "CLOSE_WAIT", NULL, "the peer has closed; our program has not",
	  "The peer's FIN came, read() returns 0 after the last byte, and the kernel now waits for our program to call "
	  "close(). It waits for ever: no sysctl ends a CLOSE_WAIT. Where the program has set SO_KEEPALIVE, a probe after "
	  "{tcp_keepalive_time} s may find that the peer knows the connection no more; the descriptor stays open even then.\n\n"
	  "A short CLOSE_WAIT is normal: each passive close goes through it, and a program may have an answer to send. "
	  "Many that grow older are a leak of descriptors: an error path without close(), a connection pool that does not check "
	  "what it holds, a thread that hangs in something else. At the end accept() and open() fail with EMFILE.\n\n"
	  "What to do: find the process, see whether data is unread there (it does not read at all) or not (it read the end, "
	  "and forgot to close); fix the program; restart it meanwhile.\n\n"
	  "Now: {#CLOSE_WAIT}.\n\nLook: tcpsaga diagnose, tcpsaga flows --once state close-wait." },
	{ "LAST_ACK", NULL, "both have closed; our FIN is not acknowledged",
	  "The passive side's last state. It ends with an ACK, within a round trip, or after some retransmissions when the "
	  "peer is gone. Many that stay: the peer's host or the way there is dead.\n\nNow: {#LAST_ACK}." },
	{ "CLOSING", NULL, "both closed at the same time",
	  "Both FINs crossed on the way. Ends in TIME_WAIT on both sides, with the ACK of our FIN. Rare and harmless.\n\n"
	  "Now: {#CLOSING}." },
	{ "TIME_WAIT", "time-wait timewait tw 2msl tcp_tw_reuse tcp_max_tw_buckets tcp_tw_recycle",
	  "why it is there, when it hurts, what helps and what does not",
	  "The side that closes first keeps the connection's addresses and ports for 60 s. If the last ACK was lost, the "
	  "peer's FIN comes again and is still answered; and segments that wander about are not taken for those of a new "
	  "connection with the same ports. The 60 s are a constant of the kernel (TCP_TIMEWAIT_LEN); no sysctl "
	  "changes it.\n\n"
	  "It costs little: some 250 bytes, no process, no descriptor. Tens of thousands are fine. It hurts in three cases:\n\n"
	  "- A client that closes first runs out of ports. For one destination (address and port) there are {ports} "
	  "ports here, so more than {rate60} such connections a second, for longer than 60 s, and connect() fails with "
	  "EADDRNOTAVAIL.\n\n"
	  "- More than tcp_max_tw_buckets (here {tcp_max_tw_buckets}) at once: further ones are not kept, and "
	  "the connection ends without that protection.\n\n"
	  "- bind() to a port with TIME_WAIT on it fails without SO_REUSEADDR (see port-reuse).\n\n"
	  "What helps, best first: keep connections open and use them again (keep-alive, a pool); let the side close first "
	  "that does not run out; more ports (ip_local_port_range), more addresses on either side; tcp_tw_reuse=1 on the "
	  "host that calls connect() (here {tcp_tw_reuse}; 2 is for loopback only): it takes a port again after one second, "
	  "where both sides use time stamps.\n\n"
	  "What does not help: tcp_tw_reuse on a server, which does not connect; tcp_fin_timeout, which is about "
	  "FIN_WAIT2; tcp_tw_recycle, which broke clients behind NAT and is gone since Linux 4.12; a smaller tcp_max_tw_buckets, "
	  "which only takes away the protection.\n\n"
	  "Now: {#TIME_WAIT} in TIME_WAIT.\n\nLook: tcpsaga timewait, tcpsaga diagnose." },
	{ "ephemeral-ports", "ports ip_local_port_range port-exhaustion eaddrnotavail",
	  "the ports that connect() chooses from",
	  "A connection is known by four values: both addresses and both ports. connect() chooses a local port from "
	  "net.ipv4.ip_local_port_range without ip_local_reserved_ports: {ports} here. A port can be used at the same time for "
	  "different destinations, so this limits connections to one address and port, not all of them. A "
	  "bind() with port 0 before connect() takes the port for every destination, unless the program sets "
	  "IP_BIND_ADDRESS_NO_PORT.\n\n"
	  "When none is left, connect() fails with EADDRNOTAVAIL: \"Cannot assign requested address\". "
	  "TIME_WAIT holds each port for 60 s.\n\n"
	  "Now: {#ESTABLISHED} in ESTABLISHED, {#TIME_WAIT} in TIME_WAIT, on both sides and of all services.\n\n"
	  "Look: tcpsaga timewait (ports left), tcpsaga diagnose." },
	{ "port-reuse", "reuseaddr reuseport so_reuseaddr so_reuseport bind eaddrinuse address-in-use",
	  "\"Address already in use\", SO_REUSEADDR and SO_REUSEPORT",
	  "bind() asks whether another socket has the same port with an address that overlaps (0.0.0.0 overlaps with all; "
	  ":: also with IPv4, unless IPV6_V6ONLY). If so, for TCP:\n\n"
	  "- The other one listens: refused, whatever SO_REUSEADDR says, unless both have SO_REUSEPORT and the same user. "
	  "Then the kernel spreads new connections over all the listeners.\n\n"
	  "- Connections that came from a listener of the past, or TIME_WAIT: allowed when both sides have SO_REUSEADDR; "
	  "accepted connections inherit it from their listener. So the program must have set it also in its previous run. Otherwise the "
	  "port is free 60 s after the last close.\n\n"
	  "- Bound and nothing more: allowed when both have SO_REUSEADDR; but only one of them may listen.\n\n"
	  "SO_REUSEADDR does not let two programs listen at once on one address and port, as it does elsewhere. For UDP it does let "
	  "two sockets share a port, and only one of them gets a unicast datagram.\n\n"
	  "A refusal can come from listen() too, and ports below 1024 (ip_unprivileged_port_start, here "
	  "{ip_unprivileged_port_start}) need CAP_NET_BIND_SERVICE: that error is \"Permission denied\".\n\n"
	  "Now: {#LISTEN} listeners, {#TIME_WAIT} in TIME_WAIT.\n\n"
	  "Look: tcpsaga port N --bind ADDR --reuseaddr." },
	{ "tcp-udp-port", "tcp-udp udp same-port shared-port", "why TCP and UDP can share a port number",
	  "A port belongs to a protocol. An IP packet says first which protocol it carries (6 is TCP, 17 is UDP); only then "
	  "the kernel looks for the port, in a table of that protocol. TCP port 53 and UDP port 53 are two things "
	  "that happen to have the same number; different programs may hold them, and a bind() of one never meets the other.\n\n"
	  "So \"port 53 is in use\" is half a sentence. DNS and HTTP/3 beside HTTP/2 use both on purpose.\n\n"
	  "Look: tcpsaga port 53 lists both." },
	{ "RST", "reset rst econnreset", "the end without good-bye",
	  "A reset ends a connection at once; the other program gets ECONNRESET, or EPIPE at its next write. It is sent when a "
	  "segment comes for no socket (nobody listens; the process died; the connection was given up), when a program closes "
	  "with data unread, when it set SO_LINGER to 0 s, when data comes after close(), or when the accept queue is full and "
	  "tcp_abort_on_overflow is 1 (here {tcp_abort_on_overflow}). Firewalls and load balancers send them in the name of others.\n\n"
	  "No TIME_WAIT follows. To end connections this way to save TIME_WAIT loses data.\n\n"
	  "Look: tcpsaga flows (how: abort, reset_received), tcpsaga diagnose." },
};

const size_t explain_topic_count = sizeof(explain_topics) / sizeof(explain_topics[0]);

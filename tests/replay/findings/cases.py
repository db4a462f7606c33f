# SPDX-License-Identifier: BSD-2-Clause
"""The cases: what happens on a host, and which findings must come of it, each
raised once. Whatever else is raised is wrong, too."""
from story import ALL_HOOKS, APP, FEW_HOOKS, NETNS, NGINX, PHP, POSTGRES, Process, Story, every

CASES = []


def case(*expected, cleared=None):
    """expected: ids. cleared: those of them that must be over in the end (all)."""
    def add(make):
        CASES.append((make.__name__.replace("_", "-"), make.__doc__, sorted(expected),
                      sorted(expected if cleared is None else cleared), make))
        return make
    return add


DB = "10.0.0.9:5432"
WEB = "10.0.0.1:80"
HERE = "10.0.0.1"

# ---- TIME_WAIT storms ----------------------------------------------------------


@case("timewait-storm-client")
def storm_of_a_client():
    "php-fpm opens 400 connections a second to its database, and closes each first"
    story = Story()
    story.settings()
    for time in every(2.1, 5, 400):
        story.client(time, HERE, DB, PHP)
    return story.text(1)


@case("timewait-storm-client")
def storm_of_many_workers():
    "the same, by fifty workers of one name"
    story = Story()
    story.settings()
    for i, time in enumerate(every(2.3, 5, 400)):
        story.client(time, HERE, DB, Process("php-fpm", 811 + i % 50))
    return story.text(1)


@case("timewait-storm-client")
def storm_without_hooks():
    "seen with tracepoints only: no record tells of a minisocket"
    story = Story(FEW_HOOKS)
    story.settings()
    for time in every(2.1, 5, 400):
        story.client(time, HERE, DB, PHP)
    return story.text(6)


@case("timewait-storm-client")
def storm_in_a_narrow_range():
    "60 connections a second are a storm where there are 2,000 ports"
    story = Story()
    story.settings(port_low=40000, port_high=41999, ephemeral_ports=2000)
    for time in every(2.1, 5, 60):
        story.client(time, HERE, DB, PHP)
    return story.text(1)


@case("timewait-storm-client")
def storm_of_ipv6():
    "the same over IPv6"
    story = Story()
    story.settings()
    for time in every(2.1, 4, 400):
        story.client(time, "[2001:db8::1]", "[2001:db8::9]:5432", PHP)
    return story.text(1)


@case()
def no_storm_one_burst():
    "400 connections in a tenth of a second, and nothing more"
    story = Story()
    story.settings()
    for time in every(2.1, 0.1, 4000):
        story.client(time, HERE, DB, PHP)
    return story.text(8)


@case()
def no_storm_below_half():
    "200 a second come to 12,000 of 28,232 ports"
    story = Story()
    story.settings()
    for time in every(2.1, 6, 200):
        story.client(time, HERE, DB, PHP)
    return story.text(1)


@case()
def no_storm_many_services():
    "500 a second, spread over 50 services: each has ports of its own"
    story = Story()
    story.settings()
    for i, time in enumerate(every(2.1, 5, 500)):
        story.client(time, HERE, f"10.0.1.{1 + i % 50}:443", PHP)
    return story.text(1)


@case()
def no_storm_server_closes():
    "400 a second, but the other side closes first and keeps the TIME_WAIT"
    story = Story()
    story.settings()
    for time in every(2.1, 5, 400):
        story.client(time, HERE, DB, PHP, first=False)
    return story.text(1)


@case("timewait-storm-server")
def storm_of_a_server():
    "nginx answers and hangs up, 200 times a second"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 5, 200)):
        story.serve(time, listener, WEB, f"10.1.{i % 20}.{i % 250}:{20000 + i}", NGINX)
    return story.text(1)


@case("timewait-storm-server")
def storm_of_health_checks():
    "150 connections a second that never send a byte"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 5, 150)):
        story.serve(time, listener, WEB, f"10.1.0.1:{20000 + i}", NGINX, received=0)
    return story.text(1)


@case()
def no_server_storm_clients_close():
    "200 a second, and the clients close first"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 5, 200)):
        story.serve(time, listener, WEB, f"10.1.{i % 20}.{i % 250}:{20000 + i}", NGINX, first=False)
    return story.text(1)


@case()
def no_server_storm_two_thirds():
    "the server closes first for two thirds only"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 5, 300)):
        story.serve(time, listener, WEB, f"10.1.{i % 20}.{i % 250}:{20000 + i}", NGINX, first=i % 3 != 0)
    return story.text(1)


# ---- CLOSE_WAIT ----------------------------------------------------------------


@case("close-wait-leak", cleared=[])
def leak_of_a_server():
    "app forgets close() for each of its clients, one every three seconds"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP)
    for i, time in enumerate(every(2, 120, 1 / 3)):
        story.serve(time, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", APP, first=False, after=None)
    return story.text(1)


@case("close-wait-leak", cleared=[])
def leak_with_unread_data():
    "a look at the kernel's tables tells that app does not read, either"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP)
    peers = [f"10.1.0.1:{20000 + i}" for i in range(15)]
    for i, peer in enumerate(peers):
        story.serve(2 + i, listener, "10.0.0.1:8080", peer, APP, first=False, after=None)
    for time in every(20, 80, 1 / 10):
        for i, peer in enumerate(peers):
            story.add(time, f"unread id={0x900000 + i} 10.0.0.1:8080 {peer} bytes={301 if i % 5 else i % 2}")
    return story.text(1)


@case("close-wait-leak", cleared=[])
def leak_of_a_client():
    "app forgets close() for connections to its database"
    story = Story()
    story.settings()
    for time in every(2, 120, 1 / 3):
        ident = story.connect(time, HERE, DB, APP)
        story.leave_second(time + 0.1, ident, APP, after=None)
    return story.text(1)


@case("close-wait-leak")
def leak_that_ends():
    "the leaking process is restarted: all its sockets go"
    story = Story()
    story.settings()
    for time in every(2, 100, 1 / 3):
        ident = story.connect(time, HERE, DB, APP)
        story.leave_second(time + 0.1, ident, APP, after=130 - time)
    return story.text(6)


@case()
def no_leak_short_close_wait():
    "200 connections pass through CLOSE_WAIT in a second, each for a moment"
    story = Story()
    story.settings()
    for time in every(2, 10, 100):
        story.client(time, HERE, DB, APP, first=False)
    return story.text(90)


@case()
def no_leak_idle_pool():
    "the database restarts: 20 pooled connections stay in CLOSE_WAIT until their pool looks at them"
    story = Story()
    story.settings()
    for i in range(20):
        ident = story.connect(2 + i / 10, HERE, DB, APP)
        story.leave_second(10 + i / 1000, ident, APP, after=150)
    return story.text(1)


@case()
def no_leak_few():
    "five old ones: they may be waiting for a reason"
    story = Story()
    story.settings()
    for i in range(5):
        ident = story.connect(2 + 7 * i, HERE, DB, APP)
        story.leave_second(3 + 7 * i, ident, APP, after=None)
    return story.text(120)


# ---- the accept queue ----------------------------------------------------------


def overflowing(story, backlog, asked, somaxconn, drops=40, end=6):
    listener = story.listen(1.5, "0.0.0.0:8080", APP, backlog=backlog, asked=asked, somaxconn=somaxconn)
    for i, time in enumerate(every(2.1, end - 2, drops / (end - 2))):
        story.syn(time, listener, "10.0.0.1:8080", f"10.1.0.{i % 200 + 1}:{20000 + i}", "dropped",
                  "accept_queue_full", queue=backlog + 1, limit=backlog)
        story.serve(time + 0.01, listener, "10.0.0.1:8080", f"10.2.0.{i % 200 + 1}:{20000 + i}", APP, waited=0.05,
                    first=False)
    return listener


@case("accept-queue-overflow")
def overflow_of_the_backlog():
    "the backlog of listen() binds"
    story = Story()
    story.settings()
    overflowing(story, 5, 5, 4096)
    return story.text(15)


@case("accept-queue-overflow")
def overflow_of_somaxconn():
    "somaxconn binds: a larger backlog would not help"
    story = Story()
    story.settings(somaxconn=128)
    overflowing(story, 128, 511, 128)
    return story.text(15)


@case("accept-queue-overflow")
def overflow_of_third_acks():
    "third ACKs are dropped, SYNs are not"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP, backlog=5)
    for i, time in enumerate(every(2.1, 3, 5)):
        ident = story.new_id()
        story.syn(time, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", "queued", ident=ident, queue=5, limit=5)
        story.third_ack(time + 0.01, ident, listener, "accept_queue_full", queue=6, limit=5)
    story.sample(6, listener, "0.0.0.0:8080", APP, limit=5)
    return story.text(15)


@case("accept-queue-overflow")
def overflow_without_hooks():
    "samples tell: the listener drops, and its namespace counts overflows"
    story = Story(FEW_HOOKS)
    story.settings()
    for i in range(20):
        drops = 12 * min(max(i - 3, 0), 5)
        story.add(2 + i - 0.001, f"netstat ListenOverflows={drops} ListenDrops={drops}")
        story.sample(2 + i, 0x77, "0.0.0.0:8080", APP, queue=6 if 3 < i < 9 else 0, limit=5, drops=drops)
    return story.text(2)


@case()
def no_overflow_other_drops():
    "a listener's own counter rises, but not for its accept queue"
    story = Story(FEW_HOOKS)
    story.settings()
    for i in range(12):
        story.add(2 + i - 0.001, "netstat ListenOverflows=0 ListenDrops=9")
        story.sample(2 + i, 0x77, "0.0.0.0:8080", APP, limit=5, drops=3 * i)
    return story.text(2)


@case()
def no_overflow_full_but_no_drop():
    "a burst fills the queue to its limit, and is accepted"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP, backlog=128)
    for i, time in enumerate(every(2.1, 0.05, 2500)):
        story.serve(time, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", APP, waited=0.03, first=False)
    return story.text(15)


@case("slow-acceptor")
def slow_to_accept():
    "each connection waits 300 ms for accept()"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP)
    for i, time in enumerate(every(2.1, 5, 10)):
        story.serve(time, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", APP, waited=0.3, first=False)
    return story.text(15)


@case("slow-acceptor")
def stuck_acceptor():
    "three connections wait, and nobody calls accept()"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP)
    for i in range(3):
        story.serve(2 + i / 10, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", APP, accepted=False, ends=False)
    for i in range(10):
        story.sample(2.5 + i, listener, "0.0.0.0:8080", APP, queue=3)
    for i in range(6):
        story.sample(12.5 + i, listener, "0.0.0.0:8080", APP, queue=0)
    return story.text(1)


@case()
def no_slow_acceptor():
    "a tenth of the connections wait 150 ms"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP)
    for i, time in enumerate(every(2.1, 5, 20)):
        story.serve(time, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", APP,
                    waited=0.15 if i % 10 == 0 else 0.0002, first=False)
    return story.text(5)


# ---- FIN_WAIT2 -----------------------------------------------------------------


def half_closed(story, time, source, service, process, ends=None):
    "we shut down, the peer acknowledges and keeps its side open"
    ident = story.connect(time, source, service, process)
    story.add(time + 0.01, f"owned id={ident} ESTABLISHED>FIN_WAIT1 {process} flags=in_syscall")
    story.add(time + 0.0102, f"trans id={ident} FIN_WAIT1>FIN_WAIT2")
    if ends is not None:
        story.add(ends, f"close id={ident} FIN_WAIT2>CLOSE sent=10 received=0 flags=no_socket")


@case("fin-wait2-pileup", cleared=[])
def fin_wait2_of_shutdown():
    "80 connections were shut down, and their server does not close"
    story = Story()
    story.settings()
    for time in every(2, 8, 10):
        half_closed(story, time, HERE, "10.0.0.9:9000", APP)
    return story.text(20)


@case("fin-wait2-pileup")
def fin_wait2_of_clients():
    "nginx has closed, and 90 of its clients do not; after a minute the kernel gives up"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2, 9, 10)):
        ident = story.serve(time, listener, WEB, f"10.1.0.1:{20000 + i}", NGINX, ends=False)
        story.add(time + 0.1, f"owned id={ident} ESTABLISHED>FIN_WAIT1 {NGINX} flags=in_syscall,file_closed")
        story.add(time + 0.11, f"trans id={ident} FIN_WAIT1>FIN_WAIT2 flags=no_socket")
        story.add(time + 0.11, f"timewait id={ident} substate=fin_wait2")
        story.add(time + 0.11, f"close id={ident} FIN_WAIT2>CLOSE sent=10 received=10 flags=no_socket")
        story.add(time + 60, f"timewait id={ident} phase=end substate=fin_wait2 end=expired")
    return story.text(6)


@case()
def no_fin_wait2_slow_answer():
    "200 half-closed connections get their answer after five seconds"
    story = Story()
    story.settings()
    for time in every(2, 10, 20):
        half_closed(story, time, HERE, "10.0.0.9:9000", APP, time + 5)
    return story.text(5)


@case()
def no_fin_wait2_few():
    "20 peers have vanished"
    story = Story()
    story.settings()
    for time in every(2, 10, 2):
        half_closed(story, time, HERE, "10.0.0.9:9000", APP)
    return story.text(30)


# ---- local ports ---------------------------------------------------------------


@case("ephemeral-ports-exhausted", "ephemeral-ports-low", cleared=["ephemeral-ports-exhausted"])
def ports_exhausted():
    "40 ports are open, and there are no more"
    story = Story()
    story.settings(port_low=40000, port_high=40039, ephemeral_ports=40)
    for i in range(40):
        story.connect(2 + i / 100, HERE, "10.0.0.9:6379", APP)
    for time in every(3, 3, 4):
        story.fail(time, HERE, "10.0.0.9:6379", APP, 0.00001, 0, port=0)
    return story.text(15)


@case("timewait-storm-client", "ephemeral-ports-exhausted", "ephemeral-ports-low")
def storm_until_ports_are_exhausted():
    "a storm in a narrow range: first it threatens, then connect() fails"
    story = Story()
    story.settings(port_low=40000, port_high=40399, ephemeral_ports=400)
    for i, time in enumerate(every(2.1, 7, 80)):
        if i < 400:
            story.client(time, HERE, DB, PHP)
        else:
            story.fail(time, HERE, DB, PHP, 0.00001, 0, port=0)
    return story.text(62)


@case("ephemeral-ports-low", cleared=[])
def ports_low_at_rest():
    "97 of 100 ports are in use by a pool that is too large"
    story = Story()
    story.settings(port_low=40000, port_high=40099, ephemeral_ports=100)
    for time in every(2, 9.7, 10):
        story.connect(time, HERE, "10.0.0.9:6379", APP)
    return story.text(5)


@case()
def no_ports_low_large_pool():
    "a pool holds 80 of 100 ports, and does not grow"
    story = Story()
    story.settings(port_low=40000, port_high=40099, ephemeral_ports=100)
    for time in every(2, 80, 1):
        story.connect(time, HERE, "10.0.0.9:6379", APP)
    return story.text(30)


@case()
def no_port_failure_cancelled():
    "connects that are given up at once, with a port"
    story = Story()
    story.settings()
    for time in every(2, 3, 4):
        story.fail(time, HERE, "10.0.0.9:6379", APP, 0.2, 0)
    return story.text(15)


@case("timewait-table-full")
def timewait_table_is_full():
    "tcp_max_tw_buckets is 5, and 60 connections should wait"
    story = Story()
    story.settings(tcp_max_tw_buckets=5)
    for i, time in enumerate(every(2.1, 3, 20)):
        ident = story.connect(time, HERE, DB, PHP)
        story.add(time + 0.01, f"owned id={ident} ESTABLISHED>FIN_WAIT1 {PHP} flags=in_syscall,file_closed")
        story.add(time + 0.0102, f"trans id={ident} FIN_WAIT1>FIN_WAIT2 flags=no_socket")
        story.add(time + 0.0103, f"timewait id={ident} {'phase=refused' if i > 5 else 'substate=fin_wait2'}")
        story.add(time + 0.0103, f"close id={ident} FIN_WAIT2>CLOSE flags=no_socket")
    return story.text(15)


@case("timewait-table-full")
def timewait_table_is_full_by_counter():
    "tracepoints only: the namespace counts TCPTimeWaitOverflow, 7 more a second"
    story = Story(FEW_HOOKS)
    story.settings(tcp_max_tw_buckets=5)
    for second in range(10):
        count = 100 + 7 * min(max(second - 2, 0), 3)
        story.add(1.5 + second, f"netstat netns={NETNS} TCPTimeWaitOverflow={count}")
    return story.text(15)


@case()
def no_full_table_of_long_ago():
    "the counter stands at 100 since yesterday"
    story = Story(FEW_HOOKS)
    for second in range(10):
        story.add(1.5 + second, f"netstat netns={NETNS} TCPTimeWaitOverflow=100")
    return story.text(15)


@case()
def no_full_table_just_enough():
    "tcp_max_tw_buckets is 60, and 60 connections wait"
    story = Story()
    story.settings(tcp_max_tw_buckets=60)
    for time in every(2.1, 3, 20):
        story.client(time, HERE, DB, PHP)
    return story.text(15)


# ---- the SYN queue -------------------------------------------------------------


@case("syn-queue-overflow")
def syn_queue_too_small():
    "a burst of real clients gets cookies, for the backlog is 8"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX, backlog=8)
    for i, time in enumerate(every(2.1, 3, 30)):
        place = f"10.1.0.{i % 200 + 1}:{20000 + i}"
        if i % 2:
            ident = story.new_id()
            story.syn(time, listener, WEB, place, "cookie", ident=ident, limit=8, half_open=9)
            story.add(time + 0.03, f"handshake id={ident} listener={listener} {WEB} {place} outcome=completed"
                                   " via=cookie syn_queue=5 limit=8")
        else:
            story.serve(time, listener, WEB, place, NGINX, took=0.2, first=False)
    return story.text(15)


@case("syn-queue-overflow")
def syn_queue_without_cookies():
    "tcp_syncookies is off: SYNs are dropped"
    story = Story()
    story.settings(tcp_syncookies=0)
    listener = story.listen(1.5, "0.0.0.0:80", NGINX, backlog=8)
    for i, time in enumerate(every(2.1, 3, 30)):
        place = f"10.1.0.{i % 200 + 1}:{20000 + i}"
        if i % 3 == 0:
            story.syn(time, listener, WEB, place, "dropped", "syn_queue_full", limit=8, half_open=9)
        else:
            story.serve(time, listener, WEB, place, NGINX, took=0.2, first=False)
    return story.text(15)


def flood(story, listener, start, seconds, rate, sources, outcome="cookie", **more):
    for i, time in enumerate(every(start, seconds, rate)):
        source = f"198.18.{i % sources // 250}.{i % sources % 250 + 1}:{1024 + i % 60000}"
        story.syn(time, listener, WEB, source, outcome, limit=128, half_open=129, **more)


@case("syn-flood")
def flood_of_forged_syns():
    "500 SYNs a second from everywhere, and no third ACK"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    flood(story, listener, 2.1, 4, 500, 2000)
    return story.text(15)


@case("syn-flood")
def flood_from_one_source():
    "100 SYNs a second from one address"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    flood(story, listener, 2.1, 4, 100, 1)
    return story.text(15)


@case("syn-flood")
def flood_among_clients():
    "a flood, while real clients are served"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    flood(story, listener, 2.1, 4, 500, 2000)
    for i, time in enumerate(every(2.1, 4, 20)):
        story.serve(time, listener, WEB, f"10.1.0.1:{20000 + i}", NGINX, first=False)
    return story.text(15)


@case("syn-flood")
def flood_without_cookies():
    "tcp_syncookies is off: the flood costs real clients their SYNs"
    story = Story()
    story.settings(tcp_syncookies=0)
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    flood(story, listener, 2.1, 4, 300, 1200, "dropped", cause="syn_queue_full")
    return story.text(15)


@case()
def no_syn_overflow_cookies_for_all():
    "tcp_syncookies is 2: each SYN gets a cookie, though the queue is empty"
    story = Story()
    story.settings(tcp_syncookies=2)
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 3, 50)):
        place, ident = f"10.1.0.1:{20000 + i}", story.new_id()
        story.syn(time, listener, WEB, place, "cookie", ident=ident)
        story.add(time + 0.001, f"handshake id={ident} listener={listener} {WEB} {place} outcome=completed"
                                " via=cookie limit=128")
    return story.text(5)


@case()
def no_syn_overflow_few_cookies():
    "five SYNs of a burst get cookies"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX, backlog=8)
    for i in range(5):
        place, ident = f"10.1.0.1:{20000 + i}", story.new_id()
        story.syn(2 + i / 1000, listener, WEB, place, "cookie", ident=ident, limit=8, half_open=9)
        story.add(2.1, f"handshake id={ident} listener={listener} {WEB} {place} outcome=completed"
                       " via=cookie limit=8")
    return story.text(15)


@case()
def no_flood_port_scan():
    "a scanner knocks 60 times and never goes on; the queue has room"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 3, 20)):
        ident = story.new_id()
        story.syn(time, listener, WEB, f"198.18.0.1:{20000 + i}", "queued", ident=ident, half_open=20)
        story.add(time + 0.02, f"handshake id={ident} listener={listener} outcome=reset by=peer limit=128")
    return story.text(15)


# ---- connect() -----------------------------------------------------------------


@case("connect-refused")
def refused_by_a_service():
    "app tries ten times a second to reach a service that is not there"
    story = Story()
    story.settings()
    for time in every(2.1, 5, 10):
        story.fail(time, HERE, "10.0.0.9:8080", APP, 0.0003, 111)
    return story.text(15)


@case()
def no_refused_patient_retry():
    "one attempt a second is how to wait for a service"
    story = Story()
    story.settings()
    for time in every(2.1, 30, 0.8):
        story.fail(time, HERE, "10.0.0.9:8080", APP, 0.0003, 111)
    return story.text(15)


@case()
def no_refused_scan():
    "a scanner is refused by 300 ports, once each"
    story = Story()
    story.settings()
    for i, time in enumerate(every(2.1, 5, 60)):
        story.fail(time, HERE, f"10.0.0.9:{1000 + i}", APP, 0.0003, 111)
    return story.text(15)


@case("connect-timeout")
def silent_destination():
    "eight connects get no answer and run into their timeout"
    story = Story()
    story.settings()
    for i in range(8):
        story.fail(2.1 + i, HERE, "10.0.9.9:443", APP, 20, 110)
    return story.text(20)


@case("connect-timeout")
def silent_destination_impatient_client():
    "the client gives up after two seconds itself, five times"
    story = Story()
    story.settings()
    for i in range(5):
        story.fail(2.1 + i, HERE, "10.0.9.9:443", APP, 2, 0)
    return story.text(20)


@case("connect-timeout")
def unreachable_destination():
    "routers say that the host cannot be reached"
    story = Story()
    story.settings()
    for i in range(6):
        story.fail(2.1 + i, HERE, "10.0.9.9:443", APP, 3, 113)
    return story.text(20)


@case()
def no_timeout_single():
    "one connect times out"
    story = Story()
    story.settings()
    story.fail(2.1, HERE, "10.0.9.9:443", APP, 30, 110)
    return story.text(20)


@case()
def no_timeout_happy_eyeballs():
    "a browser gives up the slower of two addresses after 250 ms"
    story = Story()
    story.settings()
    for i in range(20):
        story.fail(2.1 + i / 2, HERE, "10.0.9.9:443", APP, 0.25, 0)
    return story.text(20)


# ---- slow handshakes -----------------------------------------------------------


@case("handshake-slow")
def slow_handshakes_at_a_server():
    "a fifth of the clients need a second SYN-ACK"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 6, 10)):
        slow = i % 5 == 0
        story.serve(time, listener, WEB, f"10.1.0.1:{20000 + i}", NGINX, took=1.1 if slow else 0.02,
                    retransmits=int(slow), first=False)
    return story.text(15)


@case("handshake-slow")
def slow_handshakes_of_a_client():
    "every fourth connect needs a second SYN"
    story = Story()
    story.settings()
    for i, time in enumerate(every(2.1, 6, 5)):
        story.connect(time, HERE, "10.0.0.9:443", APP, took=1.03 if i % 4 == 0 else 0.02)
    return story.text(15)


@case()
def no_slow_handshake_satellite():
    "every handshake takes 700 ms, and nothing is sent again"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 6, 10)):
        story.serve(time, listener, WEB, f"10.1.0.1:{20000 + i}", NGINX, took=0.7, first=False)
    return story.text(15)


@case()
def no_slow_handshake_rare_loss():
    "six of 300 handshakes need a second SYN-ACK"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 6, 50)):
        slow = i % 50 == 0
        story.serve(time, listener, WEB, f"10.1.0.1:{20000 + i}", NGINX, took=1.1 if slow else 0.02,
                    retransmits=int(slow), first=False)
    return story.text(15)


@case()
def no_slow_handshake_of_a_client_once():
    "one connect of sixty needs a second SYN"
    story = Story()
    story.settings()
    for i, time in enumerate(every(2.1, 6, 10)):
        story.connect(time, HERE, "10.0.0.9:443", APP, took=1.03 if i == 7 else 0.02)
    return story.text(15)


# ---- resets --------------------------------------------------------------------


def cut(story, time, ident, by, process):
    if by == "us":
        story.add(time, f"close id={ident} ESTABLISHED>CLOSE sent=10 received=10 {process}"
                        " flags=in_syscall,file_closed")
    else:
        story.add(time, f"close id={ident} ESTABLISHED>CLOSE sent=10 received=10 error=104")


@case("reset-storm")
def resets_by_us():
    "a server closes with unread data: each connection ends with its reset"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP)
    for i, time in enumerate(every(2.1, 5, 20)):
        ident = story.serve(time, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", APP, ends=False)
        cut(story, time + 0.01, ident, "us", APP)
    return story.text(15)


@case("reset-storm")
def resets_by_a_service():
    "a service resets what its clients have opened"
    story = Story()
    story.settings()
    for time in every(2.1, 5, 20):
        cut(story, time + 0.01, story.connect(time, HERE, "10.0.0.9:443", APP), "them", APP)
    return story.text(15)


@case("reset-storm")
def resets_by_clients():
    "clients lose patience and reset"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP)
    for i, time in enumerate(every(2.1, 5, 20)):
        ident = story.serve(time, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", APP, ends=False)
        cut(story, time + 0.5, ident, "them", APP)
    return story.text(15)


@case()
def no_resets_one_in_ten():
    "a tenth of a browser's connections are aborted"
    story = Story()
    story.settings()
    for i, time in enumerate(every(2.1, 6, 50)):
        ident = story.connect(time, HERE, "10.0.0.9:443", APP)
        if i % 10 == 0:
            cut(story, time + 0.01, ident, "us", APP)
        else:
            story.leave_second(time + 0.01, ident, APP)
    return story.text(15)


@case()
def no_resets_of_health_checks():
    "a load balancer checks twice a second, and resets"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:8080", APP)
    for i, time in enumerate(every(2.1, 30, 2)):
        ident = story.serve(time, listener, "10.0.0.1:8080", f"10.1.0.1:{20000 + i}", APP, ends=False)
        cut(story, time + 0.01, ident, "them", APP)
    return story.text(5)


# ---- two causes at once --------------------------------------------------------


@case("timewait-storm-client", "close-wait-leak", cleared=["timewait-storm-client"])
def mix_storm_and_leak():
    "php-fpm makes a storm while app leaks sockets"
    story = Story()
    story.settings()
    for time in every(2, 110, 1 / 3):
        story.leave_second(time + 0.1, story.connect(time, HERE, "10.0.0.7:3306", APP), APP, after=None)
    for time in every(100.1, 5, 400):
        story.client(time, HERE, DB, PHP, wait=None)
    return story.text(6)


@case("timewait-storm-server", "accept-queue-overflow")
def mix_server_storm_and_overflow():
    "nginx hangs up 200 times a second, and app's accept queue overflows"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 5, 200)):
        story.serve(time, listener, WEB, f"10.1.{i % 20}.{i % 250}:{20000 + i}", NGINX)
    overflowing(story, 5, 5, 4096)
    return story.text(15)


@case("connect-refused", "connect-timeout")
def mix_refused_and_silent():
    "of two services one refuses and one is silent"
    story = Story()
    story.settings()
    for time in every(2.1, 5, 10):
        story.fail(time, HERE, "10.0.0.9:8080", APP, 0.0003, 111)
    for i in range(8):
        story.fail(2.1 + i, HERE, "10.0.9.9:443", APP, 20, 110)
    return story.text(20)


@case("timewait-storm-client", "timewait-storm-client")
def mix_two_storms_in_two_namespaces():
    "the same storm in two network namespaces is two findings"
    story = Story()
    story.settings()
    story.settings(netns=4026532001)
    for time in every(2.1, 5, 400):
        story.client(time, HERE, DB, PHP)
        story.client(time + 0.0001, HERE, DB, PHP, netns=4026532001)
    return story.text(1)


@case("timewait-storm-client", "timewait-storm-server")
def mix_both_ends_of_two_storms():
    "a host whose client closes first to one service, and whose server closes first to its clients"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2.1, 5, 400)):
        story.client(time, HERE, DB, PHP)
        if i % 2:
            story.serve(time, listener, WEB, f"10.1.{i % 20}.{i % 250}:{20000 + i}", NGINX)
    return story.text(1)


# ---- workloads in which nothing is wrong ----------------------------------------


@case()
def benign_idle_host():
    "an idle host: ssh, and a time server once a minute"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:22", Process("sshd", 700, 0))
    story.serve(3, listener, "10.0.0.1:22", "10.9.0.1:50000", Process("sshd", 701, 0), ends=False)
    for time in every(5, 240, 1 / 60):
        story.client(time, HERE, "10.0.0.2:4460", Process("chronyd", 400, 101), lasts=0.2)
    return story.text(60)


@case()
def benign_database_pool():
    "40 pooled clients of a database, for two minutes"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:5432", POSTGRES)
    for i in range(40):
        story.serve(2 + i / 20, listener, "10.0.0.1:5432", f"10.1.0.1:{20000 + i}", POSTGRES, lasts=118, first=False)
    return story.text(5)


@case()
def benign_keep_alive_server():
    "a web server with keep-alive: 300 connections open, some come and go"
    story = Story()
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX, backlog=511)
    for i, time in enumerate(every(2, 30, 40)):
        story.serve(time, listener, WEB, f"10.1.{i % 7}.9:{20000 + i}", NGINX, lasts=8, first=i % 3 == 0)
    return story.text(5)


@case()
def benign_many_time_waits():
    "30,000 TIME_WAITs over 60 services, with ports to spare for each"
    story = Story()
    story.settings()
    for i, time in enumerate(every(2, 25, 1200)):
        story.client(time, HERE, f"10.0.1.{1 + i % 60}:443", APP, wait=None)
    return story.text(2)


@case()
def benign_browser():
    "a browser: bursts of connections to many places, some given up, some refused"
    story = Story()
    story.settings()
    browser = Process("firefox", 2000, 1000)
    for page in range(12):
        for i in range(18):
            time, site = 2 + page * 4 + i / 30, f"203.0.113.{(page * 7 + i) % 90 + 1}:443"
            if i == 17:
                story.fail(time, HERE, site, browser, 0.25, 0)
            elif i == 16:
                story.fail(time, HERE, site, browser, 0.01, 111)
            else:
                story.client(time, HERE, site, browser, lasts=3 + i / 10, first=i % 2 == 0)
    return story.text(5)


@case()
def benign_graceful_restart():
    "a server is restarted: it drains, and the new one listens on the same port"
    story = Story()
    story.settings()
    old = story.listen(1.5, "0.0.0.0:80", NGINX)
    for i, time in enumerate(every(2, 10, 20)):
        story.serve(time, old, WEB, f"10.1.0.1:{20000 + i}", NGINX, lasts=12 - time + 0.5, first=True)
    story.add(12, f"close id={old} LISTEN>CLOSE 0.0.0.0:80 {NGINX} flags=in_syscall,file_closed")
    new = story.listen(12.01, "0.0.0.0:80", Process("nginx", 4300, 0))
    for i, time in enumerate(every(12.1, 10, 20)):
        story.serve(time, new, WEB, f"10.1.0.1:{30000 + i}", Process("nginx", 4300, 0), first=False)
    return story.text(5)


@case()
def benign_backup():
    "three bulk transfers, one after the other"
    story = Story()
    story.settings()
    for i in range(3):
        story.client(2 + 40 * i, HERE, "10.0.0.8:873", Process("rsync", 3000 + i, 0), lasts=39)
    return story.text(5)


@case()
def benign_monitoring():
    "a scraper visits 100 hosts every 15 seconds, a connection each"
    story = Story()
    story.settings()
    for round_ in range(4):
        for i in range(100):
            story.client(2 + 15 * round_ + i / 50, HERE, f"10.2.0.{i + 1}:9100", Process("prometheus", 1500, 104),
                         lasts=0.4)
    return story.text(5)


@case()
def benign_service_start():
    "a service starts: its client is refused five times, then served"
    story = Story()
    story.settings()
    for i in range(5):
        story.fail(2 + i / 2, HERE, "10.0.0.9:8080", APP, 0.0003, 111)
    for time in every(5, 20, 2):
        story.client(time, HERE, "10.0.0.9:8080", APP, first=False)
    return story.text(15)


@case()
def benign_cron_burst():
    "at the full minute 60 jobs connect at once to one database and close"
    story = Story()
    story.settings()
    for minute in range(3):
        for i in range(60):
            story.client(2 + 60 * minute + i / 100, HERE, DB, Process(f"job{i % 5}", 5000 + i), lasts=1.5)
    return story.text(5)


# ---- refused bind() ---------------------------------------------------------------

OTHER = Process("caddy", 5150, 0)


@case("bind-conflict")
def bind_to_a_listener():
    "caddy is started five times while nginx listens on the port"
    story = Story()
    story.settings()
    story.listen(1.5, "0.0.0.0:80", NGINX)
    for i in range(5):
        refusal = story.refused(2.2 + i, "[::]:80", Process("caddy", 5150 + i, 0), options=1)
        story.holder(refusal, "0.0.0.0:80", NGINX, reuseaddr="yes", reuseport="no")
    return story.text(15)


@case("bind-conflict")
def bind_in_time_wait():
    "a server without SO_REUSEADDR is restarted over its own TIME_WAITs"
    story = Story()
    story.settings()
    for i in range(4):
        refusal = story.refused(2.2 + 2 * i, "0.0.0.0:8080", Process("app", 7000 + i, 1000))
        story.holder(refusal, "10.0.0.1:8080 10.1.0.1:40000", count=17, state="TIME_WAIT", mini=1, expires_ms=41000)
    return story.text(15)


@case("bind-conflict")
def bind_beside_a_child():
    "the listener is gone, a connection that it accepted is not"
    story = Story()
    story.settings()
    refusal = story.refused(2.2, "0.0.0.0:8080", APP, options=1)
    story.holder(refusal, "10.0.0.1:8080 10.1.0.1:40000", Process("worker", 6999, 1000), count=3,
                 state="ESTABLISHED")
    return story.text(15)


@case("bind-conflict")
def bind_refused_by_nobody():
    "seen with tracepoints only, and a moment later nobody is found"
    story = Story(FEW_HOOKS)
    refusal = story.refused(2.2, "10.0.0.1:8080", APP)
    story.holder(refusal)
    return story.text(15)


@case("bind-conflict")
def bind_to_a_privileged_port():
    "EACCES, and nobody need be looked for"
    story = Story()
    story.refused(2.2, "0.0.0.0:80", APP, error=13)
    return story.text(15)


@case("bind-conflict")
def bind_to_an_absent_address():
    "EADDRNOTAVAIL: the floating address is elsewhere"
    story = Story()
    story.refused(2.2, "10.9.9.9:80", NGINX, error=99)
    return story.text(15)


@case("bind-conflict")
def listen_refused():
    "two sockets have bound the port with SO_REUSEADDR, and both listen()"
    story = Story()
    refusal = story.refused(2.2, "0.0.0.0:8080", APP, options=1, call="listen")
    story.holder(refusal, "0.0.0.0:8080", OTHER, reuseaddr="yes")
    return story.text(15)


@case("bind-conflict", "bind-conflict")
def two_binds_to_two_holders():
    "two services, each in the way of another one"
    story = Story()
    for port, process in (80, NGINX), (5432, POSTGRES):
        refusal = story.refused(2.2, f"0.0.0.0:{port}", OTHER)
        story.holder(refusal, f"0.0.0.0:{port}", process)
    return story.text(15)


@case("bind-conflict", "timewait-storm-client")
def refused_in_a_storm():
    "a storm, and a service that cannot start in its midst"
    story = Story()
    story.settings()
    for time in every(2.1, 5, 400):
        story.client(time, HERE, DB, PHP)
    refusal = story.refused(3.2, "0.0.0.0:80", OTHER)
    story.holder(refusal, "0.0.0.0:80", NGINX)
    return story.text(15)


@case()
def bind_tried_again_at_once():
    "a graceful restart: refused twice, then the old one has let go"
    story = Story()
    story.settings()
    for i in range(2):
        refusal = story.refused(2.2 + i / 4, "0.0.0.0:80", OTHER)
        story.holder(refusal, "0.0.0.0:80", NGINX)
    story.listen(2.7, "0.0.0.0:80", OTHER)
    return story.text(15)


@case()
def bind_takes_the_next_port():
    "a development server finds its port taken and goes on to the next"
    story = Story()
    refusal = story.refused(2.2, "127.0.0.1:3000", APP)
    story.holder(refusal, "127.0.0.1:3000", Process("node", 6500, 1000))
    story.listen(2.21, "127.0.0.1:3001", APP)
    return story.text(15)


def connects_from(story, time, port, process):
    """From a port that it has bound before: known at its connect() already."""
    ident = story.new_id()
    story.add(time, f"birth id={ident} CLOSE>SYN_SENT {HERE}:{port} {DB} {process} flags=in_syscall")
    story.add(time + 0.0003, f"trans id={ident} SYN_SENT>ESTABLISHED")
    story.leave_first(time + 3, ident, process)


@case()
def bind_walks_the_reserved_ports():
    "bindresvport(): one reserved port after the other is refused, until one is free, and the client connects"
    story = Story()
    for i in range(4):
        refusal = story.refused(2.2 + i / 10000, f"0.0.0.0:{1023 - i}", APP)
        story.holder(refusal, f"{HERE}:{1023 - i} {DB}", OTHER, state="ESTABLISHED")
    connects_from(story, 2.21, 1019, APP)
    return story.text(15)


@case("bind-conflict")
def bind_refused_to_a_client_of_others():
    "a server is refused its port, and then connects to its database: that is no port for its clients"
    story = Story()
    refusal = story.refused(2.2, "0.0.0.0:8080", APP)
    story.holder(refusal, "0.0.0.0:8080", OTHER)
    story.client(2.3, HERE, DB, APP, lasts=5)
    connects_from(story, 2.4, 40000, APP)
    return story.text(15)


@case()
def answers_kept_out_by_a_filter():
    "a filter of local ports has let the SYNs of clients in, and not what became of them"
    story = Story(ALL_HOOKS + " answers=some")
    for i in range(20):
        ident = story.new_id()
        story.add(2 + i / 10, f"birth id={ident} CLOSE>SYN_SENT {HERE}:0 {DB} {PHP} flags=in_syscall")
    return story.text(15)


def counted(story, seconds, listener=None, queue=0, **rises):
    """What the namespace counts, once a second from 2 on; rises are by the second."""
    for i in range(seconds):
        words = " ".join(f"{name}={rise * i}" for name, rise in rises.items())
        if listener:
            story.add(2 + i, f"listener id={listener} 0.0.0.0:80 limit=128 somaxconn=4096 syn_queue={queue} {NGINX}")
        story.add(2 + i, f"netstat netns={NETNS} {words}")
        story.add(2 + i, f"sampled netns={NETNS}")


@case("syn-flood", cleared=[])
def flood_by_counters():
    "tracepoints only: the namespace sends 50 cookies a second, and none comes back"
    story = Story(FEW_HOOKS)
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    counted(story, 15, listener, 129, TCPReqQFullDoCookies=50, SyncookiesSent=50, SyncookiesRecv=0)
    return story.text()


@case("syn-queue-overflow")
def small_syn_queue_by_counters():
    "tracepoints only: of 20 cookies a second nearly all come back, for five seconds"
    story = Story(FEW_HOOKS)
    story.settings()
    listener = story.listen(1.5, "0.0.0.0:80", NGINX)
    counted(story, 6, listener, 9, TCPReqQFullDoCookies=20, SyncookiesSent=20, SyncookiesRecv=19)
    return story.text(20)


@case("syn-queue-overflow", cleared=[])
def dropped_syns_by_counters():
    "tracepoints only, no cookies: SYNs are dropped; a flood or not, nobody can say"
    story = Story(FEW_HOOKS)
    story.settings(tcp_syncookies=0)
    counted(story, 12, TCPReqQFullDrop=5)
    return story.text()


@case()
def no_flood_by_counters_cookies_for_all():
    "tracepoints only: tcp_syncookies is 2, and each SYN counts as if its queue were full"
    story = Story(FEW_HOOKS)
    story.settings(tcp_syncookies=2)
    counted(story, 12, TCPReqQFullDoCookies=50, SyncookiesSent=50, SyncookiesRecv=0)
    return story.text()


@case()
def no_flood_by_counters_of_long_ago():
    "tracepoints only: the counters are high since yesterday, and rest"
    story = Story(FEW_HOOKS)
    story.settings()
    for i in range(12):
        story.add(2 + i, f"netstat netns={NETNS} TCPReqQFullDoCookies=90000 SyncookiesSent=90000 SyncookiesRecv=5")
    return story.text()


@case()
def flood_by_counters_where_syns_are_seen():
    "all hooks: the counters are not asked, for the SYNs themselves tell"
    story = Story()
    story.settings()
    counted(story, 12, TCPReqQFullDoCookies=50, SyncookiesSent=50, SyncookiesRecv=0)
    return story.text()

# SPDX-License-Identifier: BSD-2-Clause
"""The cases: what happens on a host, and which findings must come of it, each
raised once. Whatever else is raised is wrong, too."""
from story import APP, FEW_HOOKS, NETNS, NGINX, PHP, POSTGRES, Process, Story, every

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

# shellcheck shell=bash
# plays.bash: what capture plays, each case in a network namespace of its own.
#
#   a_case NAME EXPECTED [WORD...] -- WHAT
#
# EXPECTED are the findings that must be raised, once each, joined by commas; "-"
# for none. The words: needs=HOOK, played only where it works (syn, timewait);
# set=RULE.THRESHOLD=VALUE, where the preset would need traffic by the thousand;
# only=FILTER, what of the traffic is recorded, its blanks as commas.
# The function NAME plays it with the words below (serve, call, hold...).

# ---- TIME_WAIT storms ----------------------------------------------------------

a_case storm-of-a-client timewait-storm-client -- \
    "eight connections a second, which the client closes first, where there are 600 ports"
storm-of-a-client() {
    ports 40000 40599
    serve db 8080 end=second
    call app 8080 count=40 rate=8
}

a_case storm-of-a-client-ipv6 timewait-storm-client -- "the same over IPv6"
storm-of-a-client-ipv6() {
    ports 40000 40599
    serve db 8080 end=second at=::1
    call app 8080 count=40 rate=8 at=::1
}

a_case storm-without-reuse timewait-storm-client -- \
    "12 a second, 720 in a minute where there are 600 ports, and tcp_tw_reuse is off: critical"
storm-without-reuse() {
    ports 40000 40599
    setting ipv4/tcp_tw_reuse 0
    serve db 8080 end=second
    call app 8080 count=48 rate=12
}

a_case no-storm-below-half - -- "four a second come to 240 of 600 ports"
no-storm-below-half() {
    ports 40000 40599
    serve db 8080 end=second
    call app 8080 count=28 rate=4
}

a_case no-storm-one-burst - -- "40 connections at once, and nothing more"
no-storm-one-burst() {
    ports 40000 40599
    serve db 8080 end=second
    call app 8080 count=40 burst=40
}

a_case no-storm-server-closes - -- "12 a second, but the server closes first and keeps the TIME_WAITs"
no-storm-server-closes() {
    ports 40000 40599
    serve db 8080
    call app 8080 count=48 rate=12 end=second
}

a_case no-storm-many-services - -- "12 a second, over four services: each has 600 ports of its own"
no-storm-many-services() {
    ports 40000 40599
    for port in 8080 8081 8082 8083; do
        serve "db$port" "$port" end=second
        call_beside app "$port" count=12 rate=3
    done
    await_callers
}

a_case storm-of-a-server timewait-storm-server set=timewait-storm-server.rate=10 only=local,port,8080 -- \
    "nginx-like: it answers and hangs up, 16 times a second"
storm-of-a-server() {
    serve web 8080
    call app 8080 count=72 rate=16 end=second
}

a_case storm-of-health-checks timewait-storm-server set=timewait-storm-server.rate=10 only=local,port,8080 -- \
    "16 connections a second that never send a byte; the server gives each a tenth of a second"
storm-of-health-checks() {
    serve web 8080 idle=100
    call checker 8080 count=72 rate=16 requests=0 end=second
}

a_case storm-of-idle-timeouts timewait-storm-server set=timewait-storm-server.rate=8 only=local,port,8080 -- \
    "the server's keep-alive timeout, 2.5 s, is shorter than its clients'"
storm-of-idle-timeouts() {
    serve web 8080 idle=2500
    call app 8080 count=72 rate=12 end=second
}

a_case no-server-storm-clients-close - set=timewait-storm-server.rate=10 only=local,port,8080 -- \
    "16 a second, and the clients close first"
no-server-storm-clients-close() {
    serve web 8080 end=second
    call app 8080 count=64 rate=16
}

a_case no-server-storm-two-thirds - set=timewait-storm-server.rate=10 only=local,port,8080 -- \
    "12 of 18 a second are closed by the server first, the others by their clients"
no-server-storm-two-thirds() {
    serve web 8080 lasts=30
    call_beside app 8080 count=60 rate=12 end=second
    call browser 8080 count=30 rate=6
    await_callers
}

# ---- CLOSE_WAIT, FIN_WAIT2 -------------------------------------------------------

a_case leak-of-a-server close-wait-leak -- "the server forgets close() for each client, one a second"
leak-of-a-server() {
    serve leaky 8080 end=never
    call app 8080 count=13 rate=1 hold=$AGE_MS
}

a_case leak-of-a-client close-wait-leak -- "the client forgets close() for connections that its service has closed"
leak-of-a-client() {
    serve db 8080
    call leaky 8080 count=13 rate=1 end=never hold=$AGE_MS
}

a_case leak-with-unread-data close-wait-leak -- "the server never reads what its clients sent before they closed"
leak-with-unread-data() {
    serve stuck 8080 read=0
    call app 8080 count=13 rate=1 send=300 mute=1
    idle "$AGE_MS"
}

a_case no-leak-few - -- "five old ones: they may be waiting for a reason"
no-leak-few() {
    serve slow 8080 end=never
    call app 8080 count=5 rate=1 hold=$AGE_MS
}

a_case no-leak-young - -- "30 clients close, and the server takes ten seconds to see it"
no-leak-young() {
    serve slow 8080 end=second late=10000
    call app 8080 count=30 rate=3 hold=11000
}

a_case no-leak-idle-pool - -- \
    "15 pooled connections whose server was restarted stay in CLOSE_WAIT until the pool looks, 65 s later"
no-leak-idle-pool() {
    serve db 8080 end=second
    call_beside pool 8080 count=15 burst=15 late=65000 end=second
    idle 2000
    end_server db
    await_callers
}

a_case fin-wait2-of-shutdown fin-wait2-pileup -- "60 connections were shut down, and their server does not close"
fin-wait2-of-shutdown() {
    serve deaf 8080 end=never
    call_beside app 8080 count=60 burst=20 end=shutdown
    idle 14000
    end_callers
}

a_case fin-wait2-of-a-server fin-wait2-pileup needs=timewait -- "the server has closed, and 60 of its clients do not"
fin-wait2-of-a-server() {
    serve web 8080
    call leaky 8080 count=60 burst=20 end=never hold=14000
}

a_case no-fin-wait2-few - -- "20 peers do not close"
no-fin-wait2-few() {
    serve deaf 8080 end=never
    call_beside app 8080 count=20 burst=20 end=shutdown
    idle 14000
    end_callers
}

a_case no-fin-wait2-slow-answer - -- "60 half-closed connections are closed after five seconds"
no-fin-wait2-slow-answer() {
    serve slow 8080 end=second late=5000
    call app 8080 count=60 burst=20 end=shutdown hold=9000
}

# ---- queues ---------------------------------------------------------------------

a_case overflow-of-the-backlog accept-queue-overflow only=local,port,8080 -- "ten clients at once, a backlog of two, and an acceptor that comes late"
overflow-of-the-backlog() {
    serve busy 8080 backlog=2 after=3500
    call app 8080 count=10 burst=10 end=second
    idle 9000
}

a_case overflow-of-somaxconn accept-queue-overflow only=local,port,8080 -- "the same, but it is somaxconn that allows two"
overflow-of-somaxconn() {
    setting core/somaxconn 2
    serve busy 8080 backlog=500 after=3500
    call app 8080 count=10 burst=10 end=second
    idle 9000
}

a_case no-overflow-full-but-no-drop - -- "nine clients fill a queue of eight, and are accepted a moment later"
no-overflow-full-but-no-drop() {
    serve busy 8080 backlog=8 after=400
    call app 8080 count=9 burst=9 end=second
}

a_case slow-to-accept slow-acceptor -- "16 clients at once, of which one is accepted each 150 ms"
slow-to-accept() {
    serve slow 8080 pause=150
    call app 8080 count=16 burst=16 end=second lasts=2500
}

a_case no-slow-acceptor - -- "16 clients at once, of which one is accepted each 8 ms"
no-slow-acceptor() {
    serve quick 8080 pause=8
    call app 8080 count=16 burst=16 end=second
}

a_case forged-syns syn-flood needs=syn -- "150 SYNs from everywhere, and no third ACK"
forged-syns() {
    knock syn-flood --syns 150 --backlog 16 --rate 40
}

a_case forged-syns-without-cookies syn-flood needs=syn -- "tcp_syncookies is off: they are dropped"
forged-syns-without-cookies() {
    knock tcp_syncookies=0 syn-flood --syns 150 --backlog 16 --rate 40
}

a_case no-flood-room-for-all - needs=syn -- "60 SYNs that never go on, into a queue of 128"
no-flood-room-for-all() {
    knock tcp_synack_retries=0 syn-flood --syns 60 --backlog 128
}

a_case syn-queue-too-small syn-queue-overflow needs=syn -- "30 clients knock before the first one goes on; the backlog is eight"
syn-queue-too-small() {
    knock crowd --callers 30 --backlog 8 --stay 2500
}

a_case no-syn-overflow-few-cookies - needs=syn -- "15 clients: a few get a cookie"
no-syn-overflow-few-cookies() {
    knock crowd --callers 15 --backlog 8 --stay 2500
}

a_case no-syn-overflow-cookies-for-all - needs=syn -- "tcp_syncookies is 2: each SYN gets a cookie, though the queue is empty"
no-syn-overflow-cookies-for-all() {
    setting ipv4/tcp_syncookies 2
    serve web 8080 end=second
    call app 8080 count=30 rate=10
}

a_case slow-handshakes handshake-slow needs=syn -- "the answers of seven clients come after a second SYN-ACK"
slow-handshakes() {
    knock crowd --callers 7 --backlog 64 --late 1 --stay 2500
}

a_case no-slow-handshakes-few - needs=syn -- "those of three clients"
no-slow-handshakes-few() {
    knock crowd --callers 3 --backlog 64 --late 1 --stay 2500
}

# ---- connect() -------------------------------------------------------------------

a_case refused-by-a-service connect-refused -- "six attempts a second at a service that is not there"
refused-by-a-service() {
    call app 8080 count=24 rate=6
}

a_case no-refused-patient-retry - -- "one attempt a second is how to wait for a service"
no-refused-patient-retry() {
    call app 8080 count=9 rate=1
}

a_case no-refused-scan - -- "a scanner is refused by 30 ports, once each"
no-refused-scan() {
    for ((port = 9000; port < 9030; port++)); do
        call scanner "$port"
    done
}

a_case silent-destination connect-timeout -- "eight connects that nobody answers, each given up after four seconds"
silent-destination() {
    far_away
    call app 8080 count=8 rate=4 patience=4000 at=198.51.100.9
}

a_case unreachable-destination connect-timeout -- "the host is not there: EHOSTUNREACH after three seconds"
unreachable-destination() {
    next_door
    call app 8080 count=6 rate=6 at=198.51.100.9
}

a_case no-timeout-single - -- "one connect that nobody answers"
no-timeout-single() {
    far_away
    call app 8080 count=1 patience=6000 at=198.51.100.9
}

a_case no-timeout-happy-eyeballs - -- "a browser gives the slower of two addresses up after 250 ms, six times"
no-timeout-happy-eyeballs() {
    far_away
    serve web 8080 end=second
    call_beside browser 8080 count=6 rate=2 patience=250 at=198.51.100.9
    call browser 8080 count=6 rate=2
    await_callers
}

a_case ports-exhausted ephemeral-ports-exhausted,ephemeral-ports-low -- "40 connections that stay open, where there are 30 ports"
ports-exhausted() {
    ports 40000 40029
    serve db 8080 end=second
    call_beside pool 8080 count=40 rate=10 lasts=60000
    idle 7000
}

a_case no-ports-low-large-pool - -- "a pool of 22 holds three quarters of 30 ports, and does not grow"
no-ports-low-large-pool() {
    ports 40000 40029
    serve db 8080 end=second
    call_beside pool 8080 count=22 burst=22 lasts=60000
    idle 8000
}

a_case timewait-table-is-full timewait-table-full -- "tcp_max_tw_buckets is 5, and 40 connections should wait"
timewait-table-is-full() {
    setting ipv4/tcp_max_tw_buckets 5
    serve db 8080 end=second
    call_beside app 8080 count=40 rate=10
    await_callers
    idle 12000
}

a_case no-full-table-just-enough - -- "tcp_max_tw_buckets is 60, and 40 connections wait"
no-full-table-just-enough() {
    setting ipv4/tcp_max_tw_buckets 60
    serve db 8080 end=second
    call app 8080 count=40 rate=10
    idle 12000
}

# ---- resets ------------------------------------------------------------------------

a_case resets-by-us reset-storm only=local,port,8080 -- "the server resets each of its connections, 20 a second"
resets-by-us() {
    serve rude 8080 end=abort
    call app 8080 count=70 rate=20 end=second
}

a_case resets-by-clients reset-storm only=local,port,8080 -- "clients lose patience and reset, 20 a second"
resets-by-clients() {
    serve web 8080 end=second
    call impatient 8080 count=70 rate=20 end=abort
}

a_case resets-by-a-service reset-storm only=remote,port,8080 -- "seen from the clients' side only"
resets-by-a-service() {
    serve rude 8080 end=abort
    call app 8080 count=70 rate=20 end=second
}

a_case no-resets-of-health-checks - -- "a load balancer checks three times a second, and resets"
no-resets-of-health-checks() {
    serve web 8080 end=second
    call balancer 8080 count=24 rate=3 requests=0 end=abort
}

# ---- bind() -------------------------------------------------------------------------

a_case bind-to-a-listener bind-conflict -- "a second server is started where one listens"
bind-to-a-listener() {
    serve web 8080 end=second
    cannot_serve copy 8080
    idle 2500
}

a_case bind-in-time-wait bind-conflict -- "a server without SO_REUSEADDR is started again over its own TIME_WAITs"
bind-in-time-wait() {
    serve old 8080 reuse=0
    call app 8080 count=3 rate=10 end=second
    end_server old
    cannot_serve new 8080 reuse=0
    idle 2500
}

a_case bind-beside-a-child bind-conflict -- "the listener is gone, a connection that it accepted is not"
bind-beside-a-child() {
    serve old 8080 end=second reuse=0 accepts=1 retires=1
    call_beside app 8080 count=1 lasts=6000
    idle 1500
    cannot_serve new 8080 reuse=0
    idle 2500
}

a_case bind-to-an-absent-address bind-conflict -- "EADDRNOTAVAIL: the floating address is elsewhere"
bind-to-an-absent-address() {
    cannot_serve web 8080 at=192.0.2.77
    idle 2500
}

a_case bind-to-a-privileged-port bind-conflict -- "EACCES: a user without the right to port 80"
bind-to-a-privileged-port() {
    cannot_serve_as_nobody web 80
    idle 2500
}

a_case no-bind-takes-the-next-port - -- "a development server finds its port taken and goes on to the next"
no-bind-takes-the-next-port() {
    serve web 8080 end=second
    serve dev 8080 end=second tries=5 finds=8081
    idle 2500
}

a_case no-bind-reserved-ports - -- \
    "a client from a reserved port finds the highest ones taken and goes on to the next, as bindresvport() does"
no-bind-reserved-ports() {
    serve mount 8080 end=second
    call mounter 8080 count=6 rate=2 reserved=1 lasts=4000
}

# ---- mixes ----------------------------------------------------------------------------

a_case mix-storm-and-leak close-wait-leak,timewait-storm-client -- "a storm at one service, a leak at another"
mix-storm-and-leak() {
    ports 40000 40599
    serve leaky 8081 end=never
    serve db 8080 end=second
    call_beside patron 8081 count=13 rate=1 hold=$AGE_MS
    call app 8080 count=32 rate=8
    await_callers
}

a_case mix-refused-and-silent connect-refused,connect-timeout -- "of two services one refuses and one is silent"
mix-refused-and-silent() {
    far_away
    call_beside app 8080 count=5 rate=5 patience=4500 at=198.51.100.9
    call app 8081 count=20 rate=6
    await_callers
}

a_case mix-storm-until-exhausted ephemeral-ports-exhausted,ephemeral-ports-low,timewait-storm-client -- \
    "a storm where there are 40 ports: first it threatens, then connect() fails"
mix-storm-until-exhausted() {
    ports 40000 40039
    setting ipv4/tcp_tw_reuse 0
    serve db 8080 end=second
    call app 8080 count=48 rate=9
}

a_case mix-bind-and-storm bind-conflict,timewait-storm-client -- "a storm, and a service that cannot start in its midst"
mix-bind-and-storm() {
    ports 40000 40599
    serve db 8080 end=second
    call_beside app 8080 count=40 rate=8
    cannot_serve copy 8080
    await_callers
}

a_case mix-overflow-and-resets accept-queue-overflow,reset-storm only=local,port,8080,or,local,port,8081 -- \
    "one server does not accept in time, another one resets"
mix-overflow-and-resets() {
    serve busy 8081 backlog=2 after=3500
    serve rude 8080 end=abort
    call_beside app 8081 count=10 burst=10 end=second
    call app 8080 count=70 rate=20 end=second
    await_callers
    idle 9000
}

# ---- benign -----------------------------------------------------------------------------

a_case benign-idle-host - -- "a listener, and one connection in ten seconds"
benign-idle-host() {
    serve ssh 22 end=second
    call client 22 count=1 lasts=3000
    idle 8000
}

a_case benign-database-pool - -- "twelve pooled clients of a database, with a query every half a second"
benign-database-pool() {
    serve postgres 5432 end=second
    call pool 5432 count=12 burst=12 requests=16 gap=500
}

a_case benign-nginx-keep-alive - needs=nginx -- "nginx from its package, ten connections of wrk that stay open"
benign-nginx-keep-alive() {
    web_server 8080
    load 8080 10 4
}

a_case benign-nginx-restart - needs=nginx -- "nginx is told to read its files again, under load"
benign-nginx-restart() {
    web_server 8080
    load 8080 10 2
    web_server_again
    load 8080 10 2
}

a_case benign-restart-on-the-port - -- "a server with SO_REUSEADDR is restarted between its clients"
benign-restart-on-the-port() {
    serve old 8080
    call app 8080 count=10 rate=5 end=second
    end_server old
    serve new 8080
    call app 8080 count=10 rate=5 end=second
}

a_case benign-browser - -- "bursts to four servers, one address refused, one too slow"
benign-browser() {
    far_away
    for port in 8080 8081 8082 8083; do
        serve "web$port" "$port" end=second
        call_beside browser "$port" count=9 burst=3 rate=1 requests=3 gap=50 lasts=500
    done
    call_beside browser 8089 count=2 rate=1
    call_beside browser 8080 count=2 rate=1 patience=300 at=198.51.100.9
    await_callers
}

a_case benign-backup - -- "three bulk transfers, one after the other"
benign-backup() {
    serve store 873 end=second reply=1
    for _ in 1 2 3; do
        call backup 873 requests=100 send=60000 gap=10
    done
}

a_case benign-monitoring - -- "a scraper visits ten services every two seconds"
benign-monitoring() {
    for ((port = 9100; port < 9110; port++)); do
        serve "exporter" "$port" end=second
        call_beside scraper "$port" count=4 rate=1
    done
    await_callers
}

a_case benign-service-start - -- "a service starts: its client is refused five times, then served"
benign-service-start() {
    call app 8080 count=5 rate=2
    serve late 8080 end=second
    call app 8080 count=10 rate=5
}

a_case benign-cron-burst - -- "at the full minute 50 jobs connect at once to one database"
benign-cron-burst() {
    serve db 5432 end=second
    call job 5432 count=50 burst=50 requests=2 gap=20
    idle 5000
}

a_case benign-long-poll - -- "15 clients wait ten seconds for news, then leave in order"
benign-long-poll() {
    serve chat 8080 end=second
    call phone 8080 count=15 burst=15 lasts=10000
}

a_case benign-busy-web - only=local,port,8080 -- "25 short connections a second, closed by either side"
benign-busy-web() {
    serve web 8080 lasts=4
    call_beside app 8080 count=40 rate=10 end=second
    call browser 8080 count=60 rate=15
    await_callers
}

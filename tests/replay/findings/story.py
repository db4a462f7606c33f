# SPDX-License-Identifier: BSD-2-Clause
"""Stories for mkrec: what connections do, told in the records that the kernel's
hooks give. Each method adds lines at a time; text() puts them in order."""

NETNS = 4026531840
ALL_HOOKS = "state=tp_btf syn=fentry handshake=fentry accept=fentry listen=fentry timewait=fentry bind=fentry"
# A restricted kernel: tracepoints only.
FEW_HOOKS = "state=tp_btf syn=none handshake=none accept=syscall listen=none timewait=none bind=syscall"


class Process:
    def __init__(self, comm, pid, uid=33):
        self.comm, self.pid, self.uid = comm, pid, uid

    def __str__(self):
        return f'pid={self.pid} uid={self.uid} comm="{self.comm}"'


PHP = Process("php-fpm", 811)
NGINX = Process("nginx", 4242, 0)
POSTGRES = Process("postgres", 900, 70)
APP = Process("app", 7000, 1000)


class Story:
    def __init__(self, hooks=ALL_HOOKS, kernel="6.12.107"):
        self.head = f'info kernel={kernel} hooks="{hooks}"'
        self.lines = []
        self.last_id = 0x1000
        self.last_port = {}
        self.sees_waits = "timewait=fentry" in hooks
        self.end = 1

    def add(self, time, line):
        kind, rest = line.split(" ", 1) if " " in line else (line, "")
        self.lines.append((time, len(self.lines), f"{kind} t={time:.9f} {rest}"))
        self.end = max(self.end, time)

    def text(self, quiet=0):
        lines = sorted(self.lines)
        out = [self.head] + [line for _, _, line in lines]
        out.append(f"stop t={self.end + quiet:.9f}")
        return "\n".join(out) + "\n"

    def new_id(self):
        self.last_id += 1
        return self.last_id

    def port(self, key, low=32768, high=60999):
        port = self.last_port.get(key, low - 1) + 1
        self.last_port[key] = low if port > high else port
        return self.last_port[key]

    def settings(self, time=1, netns=NETNS, **values):
        preset = {
            "somaxconn": 4096, "tcp_max_syn_backlog": 512, "tcp_syncookies": 1,
            "tcp_synack_retries": 5, "tcp_syn_retries": 6, "tcp_abort_on_overflow": 0,
            "tcp_tw_reuse": 2, "tcp_fin_timeout": 60, "tcp_max_tw_buckets": 65536,
            "port_low": 32768, "port_high": 60999, "ephemeral_ports": 28232,
        }
        preset.update(values)
        words = " ".join(f"{name}={value}" for name, value in preset.items())
        self.add(time, f"settings netns={netns} {words}")

    # ---- listeners -------------------------------------------------------

    def listen(self, time, place, process, backlog=128, asked=None, somaxconn=4096, netns=NETNS):
        ident = self.new_id()
        asked = backlog if asked is None else asked
        self.add(time, f"birth id={ident} CLOSE>LISTEN {place} {process} backlog={backlog} asked={asked}"
                       f" somaxconn={somaxconn} netns={netns} flags=in_syscall")
        return ident

    def sample(self, time, ident, place, process, queue=0, limit=128, drops=0, somaxconn=4096, netns=NETNS):
        self.add(time, f"listener id={ident} {place} accept_queue={queue} limit={limit} drops={drops}"
                       f" somaxconn={somaxconn} netns={netns} {process}")

    def syn(self, time, listener, local, remote, outcome, cause="", ident=0, queue=0, limit=128, half_open=0,
            netns=NETNS):
        cause = f" cause={cause}" if cause else ""
        ident = f" id={ident}" if ident else ""
        self.add(time, f"syn{ident} listener={listener} {local} {remote} outcome={outcome}{cause}"
                       f" syn_queue={half_open} accept_queue={queue} limit={limit} netns={netns}")

    def third_ack(self, time, ident, listener, outcome="completed", retransmits=0, queue=0, limit=128,
                  half_open=1):
        self.add(time, f"handshake id={ident} listener={listener} outcome={outcome} retransmits={retransmits}"
                       f" syn_queue={half_open} accept_queue={queue} limit={limit}")

    def refused(self, time, place, process, error=98, options=0, call="bind", netns=NETNS):
        """bind() or listen() that fails. Returns what holder() asks for."""
        ident = self.new_id()
        self.add(time, f"bind id={ident} {place} {process} error={error} options={options} call={call}"
                       f" netns={netns}")
        return ident, time

    def holder(self, refusal, place=None, process="", count=1, state="LISTEN", reuseaddr="no", **more):
        """What a look at the kernel's tables found in the way; no place: nobody."""
        asked, time = refusal
        words = f"asked={asked} refused={time:.9f}"
        if place:
            more = " ".join(f"{key}={value}" for key, value in more.items())
            words += (f" id={self.new_id()} count={count} state={state} reuseaddr={reuseaddr} {place} {process}"
                      f" {more}")
        self.add(time + 0.03, f"holder {words}")

    # ---- connections -----------------------------------------------------

    def minisocket(self, time, ident, lasts=60):
        if not self.sees_waits:
            return
        self.add(time, f"timewait id={ident} substate=fin_wait2")
        self.add(time + 0.0001, f"timewait id={ident} phase=promoted")
        if lasts is not None:
            self.add(time + lasts, f"timewait id={ident} phase=end end=expired")

    def leave_first(self, time, ident, process, wait=60, received=200):
        self.add(time, f"owned id={ident} ESTABLISHED>FIN_WAIT1 {process} flags=in_syscall,file_closed")
        self.add(time + 0.0002, f"trans id={ident} FIN_WAIT1>FIN_WAIT2 flags=no_socket")
        self.minisocket(time + 0.0003, ident, wait)
        self.add(time + 0.0003, f"close id={ident} FIN_WAIT2>CLOSE sent=100 received={received} flags=no_socket")

    def leave_second(self, time, ident, process, after=0.0005):
        self.add(time, f"trans id={ident} ESTABLISHED>CLOSE_WAIT")
        if after is None:
            return
        self.add(time + after, f"owned id={ident} CLOSE_WAIT>LAST_ACK {process} flags=in_syscall,file_closed")
        self.add(time + after + 0.0002, f"close id={ident} LAST_ACK>CLOSE sent=100 received=200 flags=no_socket")

    def connect(self, time, source, service, process, took=0.0003, netns=NETNS, port=None):
        """A client's connection, up to ESTABLISHED. Returns its id."""
        ident = self.new_id()
        port = port or self.port((source, service))
        self.add(time, f"birth id={ident} CLOSE>SYN_SENT {source}:0 {service} {process} netns={netns}"
                       " flags=in_syscall")
        self.add(time + took, f"trans id={ident} SYN_SENT>ESTABLISHED lport={port}")
        return ident

    def client(self, time, source, service, process, lasts=0.003, first=True, netns=NETNS, wait=60):
        ident = self.connect(time, source, service, process, netns=netns)
        if first:
            self.leave_first(time + lasts, ident, process, wait)
        else:
            self.leave_second(time + lasts, ident, process)
        return ident

    def fail(self, time, source, service, process, after, error, netns=NETNS, port=None):
        """A connect() that fails; error is an errno, 0 when it is given up."""
        ident = self.new_id()
        port = self.port((source, service)) if port is None else port
        self.add(time, f"birth id={ident} CLOSE>SYN_SENT {source}:0 {service} {process} netns={netns}"
                       " flags=in_syscall")
        flags = " flags=in_syscall,file_closed" if not error else ""
        owner = f" {process}" if not error else ""
        place = f"{source}:{port}" if port else f"{source}:0"
        self.add(time + after, f"close id={ident} SYN_SENT>CLOSE {place} {service} error={error}{owner}{flags}")

    def serve(self, time, listener, place, remote, process, lasts=0.003, first=True, waited=0.0002, took=0.0004,
              retransmits=0, received=200, netns=NETNS, accepted=True, ends=True, after=0.0005):
        """A server's connection from its SYN on."""
        ident = self.new_id()
        self.syn(time, listener, place, remote, "queued", ident=ident, netns=netns)
        self.third_ack(time + took, ident, listener, retransmits=retransmits)
        self.add(time + took, f"birth id={ident} SYN_RECV>ESTABLISHED flags=no_socket")
        if accepted:
            self.add(time + took + waited, f"accept id={ident} listener={listener} {process} limit=128")
        if not ends:
            return ident
        end = time + took + waited + lasts
        if first:
            self.leave_first(end, ident, process, received=received)
        else:
            self.leave_second(end, ident, process, after)
        return ident


def every(start, seconds, rate):
    """Times of a steady rate."""
    return [start + i / rate for i in range(int(seconds * rate))]

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What tcpsaga costs on this machine, beside its peers.

Everything is measured in one run, turn by turn: a load over loopback in a
network namespace of its own, alone and then under each tool. Believe the
ratios; the absolute figures are those of this machine at this hour. Where others
work on it, too, `chrt --rr 1 make bench` keeps them off the CPUs.

Prints tables of medians with their spread (least..most), and at the end each
figure that tcpsaga is to reach with what was reached; a figure whose part was
not run is not among them. Keeps the raw numbers in build/bench.json, and leaves
kernel.bpf_stats_enabled and the namespaces as they were. A peer that is not installed is named and left out.

The peers see the whole host. What they print is written to memory, the lines
with our ports are counted, and it is thrown away unseen.

Usage: tests/bench/run.py [PART...]
  full    as many connections a second as the kernel makes
  held    5,000 connections a second
  bpf     the programs of a transition beside an empty one that sees the same
  start   time from the command to the first event
  idle    a host on which nothing happens
  stages  decode, model and outputs alone (no root needed)
  memory  of a live connection; 1 M connections replayed
  waits   200,000 TIME_WAITs while nothing changes
Without a PART: all of them.

Environment: ROUNDS (3), CONNECTIONS (100000, a million transitions), SECONDS (10, at the
held rate), IDLE_SECONDS (20), TOOLS (a pattern: only tools whose name matches)
"""

import atexit
import glob
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(TOP)
TCPSAGA = os.environ.get("TCPSAGA", "./tcpsaga")
CHURN = "build/tests/churn"
STAGES = "build/tests/stages"
RAW = "build/bench.json"
TRACEFS = "/sys/kernel/tracing"
STATS = "/proc/sys/kernel/bpf_stats_enabled"

ROUNDS = int(os.environ.get("ROUNDS", "3"))
CONNECTIONS = int(os.environ.get("CONNECTIONS", "100000"))
SECONDS = int(os.environ.get("SECONDS", "10"))
IDLE_SECONDS = int(os.environ.get("IDLE_SECONDS", "20"))
TOOLS = re.compile(os.environ.get("TOOLS", ""))
HELD_RATE = 5000
WORKERS = 2
PORT = 18080  # and the next one: 18080, 18081
TRANSITIONS = 10  # of a connection that is closed in order
STATE_PROGRAM = "on_state"  # of tcpsaga: it runs at each transition of the host
PATIENCE_S = 30
QUIET_S = 0.3  # the time in which a tool that still has something to say says it

NETNS = f"saga-bench-{os.getpid()}"
BPFTRACE = (
    "tracepoint:sock:inet_sock_set_state /args->protocol == 6/ { "
    'printf("%d %s %s %d %s %d %d>%d\\n", pid, comm, ntop(args->family, args->saddr), args->sport, '
    "ntop(args->family, args->daddr), args->dport, args->oldstate, args->newstate); }"
)


class Tool:
    """One contestant. lines is how many of its lines a connection makes, None
    when it does not print events; ledger, that it says itself what it lost."""

    def __init__(self, name, command, lines=None, ledger=False, what=None, line=None):
        self.name = name
        self.command = command
        self.lines = lines
        self.ledger = ledger
        self.what = what  # what it is part of: a package, for who lacks it
        self.line = re.compile(line.encode()) if line else None

    def missing(self):
        return shutil.which(self.command[0]) is None


PORTS = r"1808[01]"  # of a line about us, either of its ports

OURS = [
    Tool("tcpsaga trace json", [TCPSAGA, "trace", "-e", "transition", "-o", "json"], 10, True,
         line=rf'"type":"transition".*"port":{PORTS}\b'),
    Tool("tcpsaga flows json", [TCPSAGA, "flows", "--at-close", "-o", "json"], 2, True,
         line=rf'"type":"connection".*"port":{PORTS}\b'),
    Tool("tcpsaga trace table", [TCPSAGA, "trace", "-e", "transition"], 10, line=rf":{PORTS} "),
]
PEERS = [
    Tool("empty BPF program", ["build/tests/empty"], what="make tests-built"),
    Tool("tcpstates", ["tcpstates"], 10, what="libbpf-tools", line=rf" {PORTS} "),
    Tool("tcplife", ["tcplife"], 2, what="libbpf-tools", line=rf" {PORTS} "),
    Tool("bpftrace", ["bpftrace", "-e", BPFTRACE], 10, what="bpftrace", line=rf" {PORTS} "),
    Tool("perf trace", ["perf", "trace", "--no-syscalls", "-a", "-e", "sock:inet_sock_set_state"],
         10, what="linux-perf", line=rf"port: {PORTS}\b"),
]


def read(path):
    with open(path) as file:
        return file.read()


# ---- what is changed, and restored ----

class Machine:
    """The namespace of the load, and the switches of the host."""

    def __init__(self):
        self.work = tempfile.mkdtemp(dir="/dev/shm", prefix="saga-bench-")
        self.stats_before = read(STATS) if os.access(STATS, os.W_OK) else None
        self.running = []
        self.has_netns = False
        atexit.register(self.restore)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(130))

    def set_up(self):
        # Peers look for the tracepoint there; it goes with our mount namespace.
        if not os.path.isdir(TRACEFS + "/events"):
            subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACEFS], check=True)
        self.renew()
        with open(STATS, "w") as file:
            file.write("1")

    def renew(self):
        """Without the TIME_WAITs of who was measured before: whoever reads what there is
        when it starts would pay for them."""
        if self.has_netns:
            subprocess.run(["ip", "netns", "del", NETNS], check=True)
        subprocess.run(["ip", "netns", "add", NETNS], check=True)
        self.has_netns = True
        self.inside(["sh", "-c", "ip link set lo up && "
                     "ip -6 route add local fd74:6370:7361::/64 dev lo && "
                     "echo 1000000 >/proc/sys/net/ipv4/tcp_max_tw_buckets"])
        time.sleep(QUIET_S)

    def restore(self):
        # To the end, however often the user strikes Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for process in self.running:
            process.kill()
            process.wait()
        if self.stats_before is not None:
            with open(STATS, "w") as file:
                file.write(self.stats_before)
        if self.has_netns:
            subprocess.run(["ip", "netns", "del", NETNS], check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def inside(self, command, **more):
        return subprocess.run(["ip", "netns", "exec", NETNS] + command, check=True, **more)

    def load(self, connections, rate):
        done = self.inside([CHURN, "--connections", str(connections), "--rate", str(rate), "--workers",
                            str(WORKERS), "--port", str(PORT)], capture_output=True, text=True)
        return json.loads(done.stdout)


# ---- a tool at work ----

def cpu_ns(pid):
    """Of all its threads so far, of those too that have ended: the clock that
    clock_getcpuclockid(3) makes of a process."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def programs(pid):
    """Those that a process has a descriptor of, or of their links."""
    ids = set()
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            ids.update(int(id) for id in re.findall(r"^prog_id:\s+(\d+)", read(path), re.M))
        except FileNotFoundError:
            pass
    done = subprocess.run(["bpftool", "prog", "show", "-j"], capture_output=True, text=True)
    return {p["id"]: p for p in json.loads(done.stdout or "[]") if p["id"] in ids}


class Trickle:
    """Some connections, for events: what buffers its output needs many."""

    def __init__(self, machine):
        self.machine = machine

    def __enter__(self):
        self.process = subprocess.Popen(["ip", "netns", "exec", NETNS, CHURN, "--connections", "1000000",
                                         "--rate", "500", "--workers", "1", "--port", str(PORT)],
                                        stdout=subprocess.DEVNULL)
        self.machine.running.append(self.process)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.machine.running.remove(self.process)


class Run:
    """A tool from its start to its end, its output in memory."""

    def __init__(self, machine, tool, out="out", filtered=True):
        self.machine = machine
        self.tool = tool
        self.out = os.path.join(machine.work, out)
        self.err = self.out + ".err"
        command = list(tool.command)
        if command[0] == TCPSAGA and filtered:
            command += ["netns", f"/run/netns/{NETNS}"]
        self.own = 0  # lines about our connections so far
        self.scanned = 0  # bytes of the output, whole lines
        self.started = time.monotonic()
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)
        machine.running.append(self.process)
        if tool.command[0] == "perf":  # prints on stderr
            self.out = self.err

    def wait_until(self, true, what):
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{self.tool.name}: {what} in vain; it said:\n" + self.complaint())
            time.sleep(0.001)

    def complaint(self):
        return read(self.err) if self.tool.command[0] != "perf" else "(not shown)"

    def is_own(self, line):
        return bool(self.tool.line.search(line))

    def scan(self):
        """Its lines about our connections, of all that it has written by now."""
        with open(self.out, "rb") as file:
            file.seek(self.scanned)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.scanned += len(line)
                self.own += self.is_own(line)
        return self.own

    def wait_for_event(self):
        self.wait_until(self.scan, "waited for an event")

    def wait_until_attached(self):
        if self.tool.lines is None:
            self.wait_until(lambda: os.stat(self.out).st_size, "waited for it to start")
        else:
            with Trickle(self.machine):
                self.wait_for_event()
        self.settle()

    def settle(self):
        """Until it says no more of us; a peer may go on about others of this host."""
        before = -1
        while self.tool.lines and self.scan() != before:
            before = self.own
            time.sleep(QUIET_S)

    def mark(self):
        self.cpu_before = cpu_ns(self.process.pid)
        self.bpf_before = programs(self.process.pid)
        self.own_before = self.own

    def bpf_runs(self):
        """Each of its programs since the mark: (name, ns, runs)."""
        for id, program in programs(self.process.pid).items():
            before = self.bpf_before.get(id, {})
            yield (program.get("name", ""), program.get("run_time_ns", 0) - before.get("run_time_ns", 0),
                   program.get("run_cnt", 0) - before.get("run_cnt", 0))

    def measure(self):
        self.settle()
        status = read(f"/proc/{self.process.pid}/status")
        runs = list(self.bpf_runs())
        return {"cpu_s": (cpu_ns(self.process.pid) - self.cpu_before) / 1e9,
                "bpf_s": sum(ns for _, ns, _ in runs) / 1e9,
                "state_runs": sum(count for name, _, count in runs if name == STATE_PROGRAM),
                "rss_kib": int(re.search(r"VmHWM:\s+(\d+)", status).group(1))}

    def stop(self):
        self.process.stdin.close()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.machine.running.remove(self.process)

    def ledger(self):
        with open(self.out, "rb") as file:
            file.seek(max(0, os.stat(self.out).st_size - 4096))
            return json.loads(file.read().splitlines()[-1])["ledger"]


def keep(raw, **numbers):
    raw.append(numbers)
    with open(RAW, "w") as file:
        json.dump(raw, file, indent=1)


def measure_tool(machine, tool, connections, rate):
    machine.renew()
    run = Run(machine, tool)
    run.wait_until_attached()
    run.mark()
    load = machine.load(connections, rate)
    numbers = run.measure()
    run.stop()
    numbers.update(elapsed_s=load["elapsed_s"], load_cpu_s=load["cpu_s"])
    if tool.lines:
        # A worker's listener opens and closes: two transitions, and two lines.
        extra = 2 * WORKERS if tool.lines == TRANSITIONS else 0
        numbers["transitions"] = connections * TRANSITIONS + 2 * WORKERS
        numbers["expected"] = connections * tool.lines + extra
        numbers["lines"] = run.own - run.own_before
        numbers["lost"] = max(0, numbers["expected"] - numbers["lines"])
    if tool.ledger:
        numbers["ledger"] = run.ledger()
    return numbers


def contest(machine, raw, part, tools, connections, rate):
    for round_number in range(ROUNDS):
        machine.renew()
        load = machine.load(connections, rate)
        keep(raw, part=part, tool="alone", elapsed_s=load["elapsed_s"], load_cpu_s=load["cpu_s"],
             connections=connections)
        for tool in tools:
            print(f"\r\033[K{part}: round {round_number + 1} of {ROUNDS}: {tool.name}", end="",
                  file=sys.stderr)
            keep(raw, part=part, tool=tool.name, connections=connections,
                 **measure_tool(machine, tool, connections, rate))
    print("\r\033[K", end="", file=sys.stderr)


# ---- tables ----

def spread(values, form="{:.2f}"):
    if not values:
        return "-"
    middle, least, most = statistics.median(values), min(values), max(values)
    text = form.format(middle)
    return text if len(values) == 1 else f"{text} ({form.format(least)}..{form.format(most)})"


def print_table(title, heading, rows):
    rows = [heading] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    print(f"\n{title}")
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def per_million(entries, key):
    return [e[key] / (e["connections"] * TRANSITIONS) * 1e6 for e in entries if key in e]


def contest_rows(raw, part, tools):
    mine = {tool.name: [e for e in raw if e["part"] == part and e["tool"] == tool.name] for tool in tools}
    alone = [e for e in raw if e["part"] == part and e["tool"] == "alone"]
    base = statistics.median(per_million(mine["tcpstates"], "cpu_s")) if mine.get("tcpstates") else None
    for tool in tools:
        entries = mine[tool.name]
        cpu = per_million(entries, "cpu_s")
        both = [c + b for c, b in zip(cpu, per_million(entries, "bpf_s"))]
        pace = [a["elapsed_s"] / e["elapsed_s"] for a, e in zip(alone, entries)]
        lost = [100 * e["lost"] / e["expected"] for e in entries if "lost" in e]
        ledgers = [sum(e["ledger"]["lost"].values()) for e in entries if "ledger" in e]
        yield [tool.name, spread(cpu), f"{statistics.median(cpu) / base:.2f}" if base else "-",
               spread(both), spread([ns * 1000 for ns in per_million(entries, "bpf_s")], "{:.0f}"),
               spread(lost, "{:.1f}"), sum(ledgers) if ledgers else "-", spread(pace),
               f"{max(e['rss_kib'] for e in entries) / 1024:.0f}"]


CONTEST_HEADING = ["TOOL", "CPU S PER 1M", "OF TCPSTATES", "WITH BPF", "BPF NS PER TRANSITION", "LOST %",
                   "SAID LOST", "CONN/S VS ALONE", "MIB"]


# ---- the parts ----

def part_full(machine, raw, tools):
    contest(machine, raw, "full", tools, CONNECTIONS, 0)
    alone = [e["connections"] / e["elapsed_s"] for e in raw if e["part"] == "full" and e["tool"] == "alone"]
    print_table(f"Full speed: {CONNECTIONS} connections, {TRANSITIONS} transitions each; alone "
                f"{spread(alone, '{:.0f}')} conn/s", CONTEST_HEADING, contest_rows(raw, "full", tools))


def part_held(machine, raw, tools):
    contest(machine, raw, "held", tools, HELD_RATE * SECONDS, HELD_RATE)
    print_table(f"{HELD_RATE} connections a second for {SECONDS} s", CONTEST_HEADING,
                contest_rows(raw, "held", tools))


def part_bpf(machine, raw, _tools):
    """Both on the same tracepoint at the same time, the empty one first: each run
    and its time is counted by the kernel, which is part of both figures. Unfiltered,
    lest it has less to do for what others on this host do meanwhile."""
    tool, empty = OURS[0], PEERS[0]
    for _ in range(ROUNDS):
        beside = Run(machine, empty, "beside")
        beside.wait_until_attached()
        run = Run(machine, tool, filtered=False)
        run.wait_until_attached()
        for each in (beside, run):
            each.mark()
        machine.load(CONNECTIONS, 0)
        ns = {name: ns / runs for each in (run, beside) for name, ns, runs in each.bpf_runs() if runs}
        mine = {name: ns[name] for name in ns if name.startswith("on_state")}
        keep(raw, part="bpf", empty_ns=ns["empty"], programs_ns=mine, times=sum(mine.values()) / ns["empty"])
        for each in (run, beside):
            each.stop()
    entries = [e for e in raw if e["part"] == "bpf"]
    rows = [["empty", spread([e["empty_ns"] for e in entries], "{:.0f}")]]
    rows += [[name, spread([e["programs_ns"].get(name, 0) for e in entries], "{:.0f}")]
             for name in sorted(entries[0]["programs_ns"])]
    rows.append(["all, times the empty one", spread([e["times"] for e in entries])])
    print_table(f"BPF programs of a transition, {CONNECTIONS} connections flat out", ["PROGRAM", "NS PER RUN"],
                rows)


def part_start(machine, raw, tools):
    tools = [tool for tool in tools if tool.lines]
    for _ in range(ROUNDS):
        for tool in tools:
            with Trickle(machine):
                time.sleep(QUIET_S)
                run = Run(machine, tool)
                run.wait_for_event()
                first_ms = (time.monotonic() - run.started) * 1e3
            run.stop()
            keep(raw, part="start", tool=tool.name, first_ms=first_ms)
    print_table("From the command to its first line about an event (at 500 conn/s, to a file)",
                ["TOOL", "MS"],
                [[tool.name, spread([e["first_ms"] for e in raw if e["part"] == "start" and
                                     e["tool"] == tool.name], "{:.0f}")] for tool in tools])


def part_idle(machine, raw, tools):
    rows = []
    for tool in [tool for tool in tools if tool.ledger]:
        machine.renew()
        run = Run(machine, tool)
        run.wait_until_attached()
        run.mark()
        time.sleep(IDLE_SECONDS)
        share = (cpu_ns(run.process.pid) - run.cpu_before) / 1e9 / IDLE_SECONDS * 100
        run.stop()
        keep(raw, part="idle", tool=tool.name, percent=share, seconds=IDLE_SECONDS)
        rows.append([tool.name, f"{share:.3f}"])
    print_table(f"Nothing happens, for {IDLE_SECONDS} s", ["TOOL", "% OF A CORE"], rows)


def part_stages(_machine, raw, _tools):
    done = subprocess.run([STAGES, "time", "1000", "100000", "1000000"], capture_output=True, text=True,
                          check=True)
    found = {}
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        keep(raw, part="stages", **entry)
        found.setdefault((entry["stage"], entry["live"]), {})[entry["family"]] = entry
    rows = []
    for (stage, live), by_family in found.items():
        four, six = by_family[4], by_family[6]
        rows.append([stage, live, f"{four['ns']:.0f} ({four['least']:.0f}..{four['most']:.0f})",
                     f"{1000 / four['ns']:.2f}", f"{six['ns']:.0f}", f"{six['ns'] / four['ns']:.2f}"])
    rows.sort(key=lambda row: row[0])
    print_table("Userspace on one core, the next record that of a random connection; outputs per line",
                ["STAGE", "LIVE", "NS PER RECORD", "M RECORDS/S", "IPV6 NS", "IPV6/IPV4"], rows)


def replay_peak(path, *words):
    """Peak resident KiB and CPU seconds of a replay."""
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen([TCPSAGA, *words, "-r", path], stdout=nowhere)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss, usage.ru_utime + usage.ru_stime


def part_memory(machine, raw, _tools):
    rows = []
    for live in (100000, 1000000):
        done = subprocess.run([STAGES, "memory", str(live)], capture_output=True, text=True, check=True)
        entry = json.loads(done.stdout)
        keep(raw, part="memory", **entry)
        rows.append([f"{live} live", f"{entry['bytes_per_life']:.0f} bytes each",
                     f"{entry['left_bytes']} bytes left when all had ended"])
    path = os.path.join(machine.work, "million.saga")
    subprocess.run([STAGES, "record", path, "1000000"], check=True)
    # With room for all: else most give way, and the peak says nothing.
    peak, cpu = replay_peak(path, "flows", "-o", "json", "--max-flows", "1100000")
    keep(raw, part="memory", name="replay", connections=1000000, rss_kib=peak, cpu_s=cpu)
    rows.append(["replay of 1,000,000 at once", f"{peak / 1024:.0f} MiB at most", f"{cpu:.1f} s of CPU"])
    print_table("Memory", ["WHAT", "TAKES", ""], rows)


def memory_kib(pid):
    """All that is resident, and what of it is anonymous: not the ring, whose pages are mapped twice."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = file.read()
    return [int(re.search(rf"{name}:\s+(\d+)", status).group(1)) for name in ("VmRSS", "RssAnon")]


def part_waits(machine, raw, _tools):
    """The ledger of `timewait` when nothing changes: what it holds, what it costs."""
    wanted, seconds = 200000, 10
    tool = Tool("tcpsaga timewait", [TCPSAGA, "timewait", "-o", "json"], ledger=True)
    run = Run(machine, tool)
    run.wait_until_attached()
    _, anon_before = memory_kib(run.process.pid)
    machine.load(wanted, 0)
    time.sleep(3)  # its own look at the tables, behind the last records
    run.mark()
    time.sleep(seconds)
    share = (cpu_ns(run.process.pid) - run.cpu_before) / 1e9 / seconds * 100
    rss, anon = memory_kib(run.process.pid)
    there = machine.inside(["cat", "/proc/net/sockstat"], capture_output=True, text=True).stdout
    there = int(re.search(r"tw (\d+)", there).group(1))
    run.stop()
    keep(raw, part="waits", tool=tool.name, entries=there, rss_kib=rss, entries_kib=anon - anon_before,
         percent=share)
    print_table(f"TIME_WAITs, nothing changes for {seconds} s",
                ["TOOL", "ENTRIES", "THEY COST MIB", "RSS MIB", "% OF A CORE"],
                [[tool.name, str(there), f"{(anon - anon_before) / 1024:.1f}", f"{rss / 1024:.1f}",
                  f"{share:.2f}"]])
    if there < wanted * 0.9:
        print("Some had expired before the last one came: this machine is too slow, or too busy, for "
              f"{wanted} a minute.")


PARTS = {"full": part_full, "held": part_held, "bpf": part_bpf, "start": part_start, "idle": part_idle,
         "stages": part_stages, "memory": part_memory, "waits": part_waits}
NEED_ROOT = {"full", "held", "bpf", "start", "idle", "waits"}


# ---- the figures to reach ----

def median(raw, part, tool, key):
    """Of a tool, per 1 M transitions; None when it did not take part."""
    values = per_million([e for e in raw if e["part"] == part and e.get("tool") == tool], key)
    return statistics.median(values) if values else None


def cpu_figure(raw, part, tool, most, peer):
    cpu, theirs = median(raw, part, tool, "cpu_s"), median(raw, part, peer, "cpu_s")
    what = f"CPU s per 1 M transitions, {tool}, {'flat out' if part == 'full' else f'{HELD_RATE} conn/s'}"
    if cpu is not None:
        yield what, f"<= {most}", f"{cpu:.3f}", cpu <= most
    if cpu is not None and theirs:
        yield f"... of {peer}'s {theirs:.2f}", "<= 0.20", f"{cpu / theirs:.3f}", cpu / theirs <= 0.2


def skipped(entry):
    """Transitions that are in no event because the kernel did not run the program: some do not
    while a certain process is current, and count it nowhere. At least; those of other
    connections hide as many."""
    return max(0, entry["transitions"] - entry["state_runs"])


def loss_figure(raw):
    """By what it says itself, and by the lines that are not there."""
    for tool in OURS[:2]:
        entries = [e for e in raw if e["part"] == "full" and e["tool"] == tool.name]
        if entries:
            lost = max(max(e["lost"] - skipped(e), sum(e["ledger"]["lost"].values())) for e in entries)
            not_run = sum(skipped(e) for e in entries)
            also = f" (not run by the kernel: {not_run})" if not_run else ""
            yield f"lines of {tool.name} lost, flat out, the worst round", "0", f"{lost}{also}", lost <= 0


def bpf_figure(raw):
    times = [e["times"] for e in raw if e["part"] == "bpf"]
    if times:
        what = "BPF time per transition, times the empty program"
        yield what, "<= 5", spread(times), statistics.median(times) <= 5


def stage_figures(raw):
    """The slower of the two ways through all of it."""
    ns = {}
    for e in raw:
        if e["part"] == "stages" and e["stage"].startswith("all, "):
            key = e["live"], e["family"]
            ns[key] = max(ns.get(key, 0), e["ns"])
    for live, wanted in ((1000, 4), (100000, 3), (1000000, 2)):
        if (live, 4) in ns:
            reached = 1000 / ns[live, 4]
            what = f"M records/s, decode + model + JSON, {live} live"
            yield what, f">= {wanted}", f"{reached:.2f}", reached >= wanted
    ratios = [ns[live, 6] / ns[live, 4] for live, family in ns if family == 4]
    if ratios:
        yield "... IPv6's time, of IPv4's, the worst", "<= 1.3", f"{max(ratios):.2f}", max(ratios) <= 1.3


def memory_figures(raw):
    each = [e["bytes_per_life"] for e in raw if e["part"] == "memory" and "bytes_per_life" in e]
    if each:
        what = "bytes per live connection with its history, the most"
        yield what, "<= 256", f"{max(each):.0f}", max(each) <= 256
    for e in raw:
        if e["part"] == "memory" and e.get("name") == "replay":
            mib = e["rss_kib"] / 1024
            yield "MiB, 1 M connections replayed", "<= 300", f"{mib:.0f}", mib <= 300


def start_figure(raw):
    ms = [e["first_ms"] for e in raw if e["part"] == "start" and e["tool"] == OURS[0].name]
    if ms:
        yield "ms from the command to the first event", "<= 50", spread(ms, "{:.0f}"), statistics.median(ms) <= 50


def idle_figure(raw):
    shares = [e["percent"] for e in raw if e["part"] == "idle"]
    if shares:
        yield "% of a core on an idle host, the worst", "< 0.1", f"{max(shares):.3f}", max(shares) < 0.1


def waits_figures(raw):
    """Of as many as there were, for 200,000: the ring and the program are not theirs."""
    for e in raw:
        if e["part"] == "waits":
            mib = e["entries_kib"] / 1024 * max(1, 200000 / e["entries"])
            yield "MiB that 200,000 TIME_WAITs cost", "<= 24", f"{mib:.1f}", mib <= 24
            yield "% of a core while they stay", "<= 1", f"{e['percent']:.2f}", e["percent"] <= 1


def figures(raw):
    trace, flows = OURS[0].name, OURS[1].name
    yield from loss_figure(raw)
    yield from cpu_figure(raw, "full", trace, 0.4, "tcpstates")
    yield from cpu_figure(raw, "held", trace, 0.8, "tcpstates")
    yield from cpu_figure(raw, "full", flows, 0.2, "tcplife")
    yield from bpf_figure(raw)
    yield from stage_figures(raw)
    yield from memory_figures(raw)
    yield from start_figure(raw)
    yield from idle_figure(raw)
    yield from waits_figures(raw)


def main():
    parts = sys.argv[1:] or list(PARTS)
    if set(parts) - set(PARTS):
        sys.exit(__doc__)
    if NEED_ROOT & set(parts) and os.geteuid() != 0:
        sys.exit("bench: needs root, but for the parts stages and memory")
    if NEED_ROOT & set(parts) and "SAGA_BENCH_MOUNTS" not in os.environ:
        # Mounts of our own: what is mounted is gone when we are.
        os.environ["SAGA_BENCH_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *sys.orig_argv])
    machine, raw = Machine(), []
    if NEED_ROOT & set(parts):
        machine.set_up()
    tools = [tool for tool in OURS + PEERS if TOOLS.search(tool.name)]
    for tool in [tool for tool in tools if tool.missing()]:
        print(f"{tool.name}: not installed ({tool.what}): left out")
        tools.remove(tool)
    print(f"{ROUNDS} rounds, medians (least..most); Linux {os.uname().release}, {os.cpu_count()} CPUs; "
          f"BPF statistics are on")
    for part in parts:
        PARTS[part](machine, raw, tools)
    print_table("The figures to reach", ["FIGURE", "TO REACH", "REACHED", ""],
                [[what, wanted, reached, "yes" if is_reached else "NO"]
                 for what, wanted, reached, is_reached in figures(raw)])
    print(f"\nraw numbers: {RAW}")


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The agent under load for minutes, reloaded and killed again and again.

A traffic maker in a network namespace of its own keeps a list of every
connection that it made. The agent watches, writes JSON to a file that it rotates,
gets SIGHUP every ten seconds and kill -9 now and then, and is started again.
Then each connection of the list has to be in the JSON exactly once for either
end, or to lie in a gap that the JSON tells of; and what the agent holds in
memory and descriptors has to be where it was. Prints TAP.

SOAK_SECONDS (600), SOAK_KILLS (10) and SOAK_RATE (5000) set the size.
"""
import array
import calendar
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
TCPSAGA = os.environ.get("TCPSAGA", str(TOP / "tcpsaga"))
CHURN = str(TOP / "build/tests/churn")
SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
KILLS = int(os.environ.get("SOAK_KILLS", "10"))
RATE = int(os.environ.get("SOAK_RATE", "5000"))

RELOAD_S = 10
WORKERS = 2
SOURCES = 16
# How long a start may take, and the last lines, on a machine that does other things, too.
PATIENCE_S = 120
# The list's clock is read before connect() and behind close(); the last ACK of the
# other end, and a clock that is set right by the way, come on top.
TOLERANCE_US = 200_000
# The memory of the last life is compared from this share of it on: the tables are
# full by then, for the kernel's own table of TIME_WAIT is bounded.
SETTLED_SHARE = 0.6
MEMORY_SLACK_KIB = 4096
# Full again by a third of the last life at the latest.
TIME_WAIT_MOST = min(50_000, RATE * SECONDS // 10)


class Agent:
    """One agent after another, on the same state and the same file."""

    def __init__(self, work, namespace):
        self.work, self.namespace, self.process, self.lives = work, namespace, None, 0
        (work / "agent.conf").write_text(
            "[agent]\n"
            "metrics = 127.0.0.1:0\n"
            f"state = {work}/state\n"
            f"json = {work}/out.json\n"
            "rotate-size = 64M\n"
            "rotate-keep = 1000\n"
            f"filter = netns /run/netns/{namespace}\n")

    def start(self):
        self.lives += 1
        log = self.log()
        with open(log, "wb") as out:
            self.process = subprocess.Popen([TCPSAGA, "agent", "--config", str(self.work / "agent.conf")],
                                            stdout=subprocess.DEVNULL, stderr=out)
        wait_for("the agent's start", lambda: self.gone() or "metrics on port" in log.read_text())
        if self.gone():
            sys.exit(f"the agent has ended: {log.read_text()}")

    def log(self):
        return self.work / f"agent.{self.lives}.err"

    def gone(self):
        return self.process.poll() is not None

    def kill(self):
        if self.gone():
            sys.exit(f"the agent had ended by itself: {self.log().read_text()}")
        self.process.kill()
        self.process.wait()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def holds(self):
        """Memory in KiB, and descriptors, of it and the processes that it started."""
        memory = descriptors = 0
        for pid in self.family():
            try:
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                descriptors += len(os.listdir(f"/proc/{pid}/fd"))
                memory += int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
            except (FileNotFoundError, ProcessLookupError, AttributeError):
                continue
        return memory, descriptors

    def family(self):
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid] + [int(child) for child in children]


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited in vain: {what}")
        time.sleep(0.02)


def make_load(work, namespace):
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, CHURN, "--connections", str(SECONDS * RATE), "--seconds", str(SECONDS), "--rate", str(RATE),
         "--workers", str(WORKERS), "--sources", str(SOURCES), "--list", str(work / "list")],
        stdout=open(work / "churn.json", "wb"), start_new_session=True)


def soak(agent, churn):
    """Until the load is over; returns what the last life held early and at its end."""
    begin = time.monotonic()
    # The last life is the longest: its memory is looked at.
    kills = [begin + SECONDS * 0.7 * (i + 1) / (KILLS + 1) for i in range(KILLS)]
    reloads, next_reload = 0, begin + RELOAD_S
    early, settled_at = None, begin + SECONDS * (0.7 + 0.3 * SETTLED_SHARE)
    while churn.poll() is None:
        now = time.monotonic()
        if kills and now >= kills[0]:
            kills.pop(0)
            agent.kill()
            agent.start()
        if now >= next_reload:
            next_reload += RELOAD_S
            agent.reload()
            reloads += 1
        if not early and not kills and now >= settled_at:
            early = agent.holds()
        if agent.gone():
            sys.exit(f"the agent has ended: {agent.log().read_text()}")
        time.sleep(0.05)
    if churn.returncode:
        sys.exit("the traffic maker failed")
    print(f"# {reloads} reloads, {agent.lives - 1} kills")
    return early or agent.holds(), agent.holds()


class Truth:
    """The list of connections, each with how often either end was told."""

    def __init__(self, work):
        self.opened, self.closed = array.array("Q"), array.array("Q")
        self.before, self.last = array.array("i"), {}
        for path in sorted(work.glob("list.*")):
            with open(path, encoding="ascii") as lines:
                for line in lines:
                    self.add(line.split())
        self.servers = {key[2] for key in self.last}
        self.told = {"client": bytearray(len(self.opened)), "server": bytearray(len(self.opened))}

    def add(self, words):
        key = (words[0], int(words[1]), int(words[2]))
        self.before.append(self.last.get(key, -1))
        self.last[key] = len(self.opened)
        self.opened.append(int(words[3]))
        self.closed.append(int(words[4]))

    def find(self, key, at):
        """Of those with this tuple the one that was there at that time; -1: none. A port
        may be taken again at once: then it is the nearest."""
        i, best, least = self.last.get(key, -1), -1, TOLERANCE_US + 1
        while i >= 0:
            away = max(self.opened[i] - at, at - self.closed[i], 0)
            if away < least:
                best, least = i, away
            i = self.before[i]
        return best

    def tell(self, line):
        local, remote = line["local"], line["remote"]
        # Of what was there before the start the role may be unknown; the tuple tells.
        role = "server" if local["port"] in self.servers else "client"
        if role == "server":
            local, remote = remote, local
        i = self.find((local["addr"], local["port"], remote["port"]), seen_at(line))
        if i < 0 or line.get("role", role) != role:
            return False
        self.told[role][i] = min(self.told[role][i] + 1, 255)
        return True


@functools.lru_cache(maxsize=64)
def second(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def micros(text):
    """2026-11-22T15:27:00.000000Z since the epoch; lines come by the thousand a second."""
    return second(text[:19]) * 1_000_000 + int(text[20:26])


def seen_at(line):
    """When it was there for certain: at its end, or at its last step where nobody saw that."""
    return micros(line["end"]) if "end" in line else micros(line["start"]) + line["history"][-1]["at_us"]


class Story:
    """What the JSON says, line by line, oldest file first."""

    def __init__(self, work):
        self.lines = self.bad = self.strange = 0
        self.types, self.gaps, self.losses, self.stop = {}, [], [], None
        self.paths = sorted(work.glob("out.json.[0-9]*"), key=lambda p: -int(p.name.split(".")[-1]))
        self.paths.append(work / "out.json")

    def read(self, truth):
        for path in self.paths:
            with open(path, "rb") as lines:
                for line in lines:
                    self.take(line, truth)

    def take(self, text, truth):
        self.lines += 1
        try:
            line = json.loads(text)
        except ValueError:
            self.bad += 1
            return
        kind = line["type"]
        self.types[kind] = self.types.get(kind, 0) + 1
        if kind == "connection" and not truth.tell(line):
            self.strange += 1
            if self.strange <= 3:
                print("# strange:", text.decode().strip())
        elif kind == "loss":
            known = self.gaps if line["reason"].startswith("agent_") else self.losses
            known.append((micros(line["from"]), micros(line["to"]), line))
        elif kind == "stop":
            self.stop = line


def judge(truth, told_gaps):
    """Counts of (once, absent in a gap, absent, more than once) over both ends."""
    gaps = sorted((start, end) for start, end, _ in told_gaps)
    once = excused = absent = doubled = 0
    samples = []
    for role, told in truth.told.items():
        for i, count in enumerate(told):
            if count == 1:
                once += 1
            elif count > 1:
                doubled += 1
                samples.append((role, "told more than once", truth.opened[i], truth.closed[i]))
            elif any(truth.opened[i] <= end and truth.closed[i] >= start for start, end in gaps):
                excused += 1
            else:
                absent += 1
                samples.append((role, "absent", truth.opened[i], truth.closed[i]))
    for sample in samples[:10]:
        print("#", *sample)
    return once, excused, absent, doubled


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def result(self, good, text):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} soak: {text}", flush=True)


def report(tap, work, holds):
    truth, story = Truth(work), Story(work)
    print(f"# {len(truth.opened)} connections, {len(truth.opened) / SECONDS:.0f} a second of {RATE} that were asked for")
    story.read(truth)
    length = sum(end - start for start, end, _ in story.gaps) / 1e6
    print(f"# {story.lines} lines in {len(story.paths)} files: {story.types}; {story.bad} torn")
    print(f"# {len(story.gaps)} gaps, {length:.3f} s in all; {len(story.losses)} losses")
    once, excused, absent, doubled = judge(truth, story.gaps + story.losses)
    print(f"# ends of connections: {once} told once, {excused} in a gap, {absent} absent, {doubled} told twice or more")
    tap.result(absent == 0 and doubled == 0, "every connection is told once, or lies in a gap that is told")
    tap.result(story.strange == 0, f"no connection is told that there was not ({story.strange})")
    tap.result(len(story.gaps) == KILLS and all(gap[2]["reason"] == "agent_down" for gap in story.gaps),
               f"each of {KILLS} kills is told as a gap")
    tap.result(story.bad <= KILLS, f"at most one torn line a kill ({story.bad})")
    # A gap that excuses everything would prove nothing.
    tap.result(length < 0.5 * SECONDS and once > excused, f"the gaps are short ({length:.1f} s of {SECONDS})")
    ledger = story.stop["ledger"]
    tap.result(ledger["attempted"] == ledger["delivered"] + sum(ledger["lost"].values()), f"the ledger balances: {ledger}")
    (early_kib, early_fds), (late_kib, late_fds) = holds
    tap.result(late_kib <= early_kib + MEMORY_SLACK_KIB, f"memory ends where it was: {early_kib} KiB, then {late_kib}")
    tap.result(late_fds <= early_fds, f"descriptors end where they were: {early_fds}, then {late_fds}")


def main():
    tap = Tap()
    if os.geteuid():
        print("ok 1 soak # skip needs root\n1..1")
        return 0
    work = pathlib.Path(tempfile.mkdtemp(prefix="soak."))
    namespace = f"soak-{os.getpid()}"
    agent = Agent(work, namespace)
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    load, done = None, False
    try:
        subprocess.run(["ip", "-n", namespace, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "netns", "exec", namespace, "sysctl", "-qw",
                        f"net.ipv4.tcp_max_tw_buckets={TIME_WAIT_MOST}"], check=True)
        agent.start()
        load = make_load(work, namespace)
        holds = soak(agent, load)
        tap.result(agent.stop() == 0, "the agent ends with status 0")
        report(tap, work, holds)
        done = True
    finally:
        if load and load.poll() is None:
            os.killpg(load.pid, signal.SIGKILL)
        if agent.process and not agent.gone():
            agent.process.kill()
        subprocess.run(["ip", "netns", "del", namespace], check=False)
        if tap.failed or not done:
            print(f"# kept: {work}")
        else:
            shutil.rmtree(work)
    print(f"1..{tap.count}")
    return tap.failed > 0


if __name__ == "__main__":
    sys.exit(main())

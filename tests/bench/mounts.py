"""The mount's rows: kvfs beside the least that a FUSE daemon can do (limit.c), libfuse's passthrough_ll over tmpfs, tmpfs
itself, and sshfs."""
import os
import statistics

import rig as rigs
from rig import Subject, progress
from report import print_table, ratio_of

# Load, size (files, or MiB), bar against the limit.
LOADS = [("create", 5000, 0.7), ("stat", 5000, 0.7), ("read", 5000, 0.7), ("rename", 5000, 0.7), ("list", 5000, 0.9),
         ("list-l", 5000, 0.9), ("unlink", 5000, 0.7), ("create4", 8000, 0.9), ("seqwrite", 256, 0.9),
         ("seqread", 256, 0.9), ("randwrite", 256, 0.9), ("randread", 256, 0.9)]
# The kernel knows nothing when these begin.
COLD = {"stat", "read", "list", "list-l", "seqread", "randread"}
PASSTHROUGH_BAR = 1.5
SERVER_BARS = {"create": 0.5, "rename": 0.5, "unlink": 0.5, "read": 0.7, "stat": 0.25}
SSHFS_BAR = 3
SSHFS_LOADS = set(SERVER_BARS) | {"seqwrite", "seqread"}
SERVER_SCALE, SSHFS_SCALE = 0.2, 0.2 # less of what takes longer
WARM_FILES = 5000
WARM = [("stat", WARM_FILES), ("read", WARM_FILES), ("list", WARM_FILES)]
WARM_BAR = 1 / 3
WARM_TIMES = 3 # a run right after another finds everything warm

TITLES = {
    "create": "create, write 4 KiB, close", "stat": "stat, first time", "read": "open, read, close, first time",
    "rename": "rename", "list": "list, per entry", "list-l": "list and stat, per entry", "unlink": "unlink",
    "create4": "four processes create and unlink", "seqwrite": "write 1 MiB", "seqread": "read 1 MiB",
    "randwrite": "write 4 KiB at random", "randread": "read 4 KiB at random",
}
WARM_TITLES = {"stat": "warm stat", "read": "warm open, read, close", "list": "warm list, per entry"}


class Mounts:
    def __init__(self, rig, options):
        self.rig, self.options = rig, options
        self.fsload = rig.build(os.path.join(rigs.TOP, "tests/bench/fsload.c"))
        self.subjects = {
            "limit": rig.mount("limit", rig.build(os.path.join(rigs.TOP, "tests/bench/limit.c"))),
            "passthrough_ll": self.passthrough(),
            "embedded": rig.mount("embedded", os.path.join(rigs.BIN, "kvfs"), "-f", rig.folder("embedded.data")),
            "server": rig.mount("server", os.path.join(rigs.BIN, "kvfs"), "-f", rig.kvcored()[0], scale=SERVER_SCALE),
            "sshfs": self.sshfs(),
        }
        self.tmpfs = Subject(rig.folder("tmpfs"))
        self.took, self.costs = {}, {} # (load, subject): a figure a round

    def passthrough(self):
        daemon = self.rig.build(rigs.PASSTHROUGH, "-D_FILE_OFFSET_BITS=64", "-w")
        return self.rig.mount("passthrough", daemon, "-f", "-o", f"source={self.rig.folder('passthrough.src')}")

    def sshfs(self):
        """Without its own cache of directories: what is asked for the first time is asked of the server, as with us."""
        options = self.rig.sshd()
        return self.rig.mount("sshfs", "sshfs", "-f", "-o", "dir_cache=no", *options,
                              f"root@127.0.0.1:{self.rig.folder('sshfs.src')}", scale=SSHFS_SCALE)

    def size(self, subject, count):
        return str(max(8, int(count * self.options.scale * subject.scale)))

    def load(self, name, subject, load, count, prefix=""):
        size = self.size(subject, count)
        before = subject.counts()
        took = float(self.rig.run(self.fsload, subject.path, load, size))
        after = subject.counts()
        operations = int(size) * {"rename": 2, "create4": 2, "randwrite": 16, "randread": 16}.get(load, 1)
        self.took.setdefault((prefix + load, name), []).append(took)
        self.costs.setdefault((prefix + load, name), []).append([(b - a) / operations for a, b in zip(before, after)])

    def cold_round(self):
        for load, count, _ in LOADS:
            for name, subject in self.subjects.items():
                if name == "sshfs" and load not in SSHFS_LOADS:
                    continue
                progress(f"{load}, {name}")
                if load in COLD:
                    drop_caches(subject.path)
                self.load(name, subject, load, count)
        for subject in self.subjects.values():
            os.unlink(os.path.join(subject.path, "big"))

    def warm_round(self):
        """Every figure is the last of a few runs, with nothing else in between."""
        subjects = {"tmpfs": self.tmpfs, "embedded": self.subjects["embedded"], "server": self.subjects["server"]}
        for subject in subjects.values():
            self.rig.run(self.fsload, subject.path, "create", self.size(subject, WARM_FILES))
        for load, count in WARM:
            for name, subject in subjects.items():
                progress(f"warm {load}, {name}")
                for _ in range(WARM_TIMES - 1):
                    self.rig.run(self.fsload, subject.path, load, self.size(subject, count))
                self.load(name, subject, load, count, "warm ")
        for subject in subjects.values():
            self.rig.run(self.fsload, subject.path, "unlink", self.size(subject, WARM_FILES))

    def run(self, report):
        for number in range(self.options.rounds):
            self.cold_round()
            self.warm_round()
            progress(f"mount: {number + 1} of {self.options.rounds} rounds")
        progress("")
        self.report_embedded(report)
        self.report_warm(report)
        self.report_server(report)
        self.report_costs()

    def report_embedded(self, report):
        for other, title in (("limit", "the FUSE limit"), ("passthrough_ll", "passthrough_ll over tmpfs")):
            first = len(report.rows)
            for load, _, bar in LOADS:
                of_limit = ratio_of(self.took[load, "limit"], self.took[load, other])
                report.add(f"embedded / {other}: {TITLES[load]}", self.took[load, "embedded"], self.took[load, other],
                           bar if other == "limit" else PASSTHROUGH_BAR,
                           note="" if other == "limit" else f"the limit itself: {of_limit:.2f}")
            report.table(f"Embedded mount beside {title}: microseconds", first)

    def report_warm(self, report):
        first = len(report.rows)
        for who in ("embedded", "server"):
            for load, _ in WARM:
                key = ("warm " + load, who)
                report.add(f"{who} / tmpfs: {WARM_TITLES[load]}", self.took[key], self.took["warm " + load, "tmpfs"],
                           WARM_BAR)
                report.at_most(f"{who}: {WARM_TITLES[load]}: calls to the daemon",
                               statistics.median(cost[0] for cost in self.costs[key]), 0.001, digits=3)
        report.table("Warm, beside tmpfs itself: microseconds; calls per operation", first)

    def report_server(self, report):
        first = len(report.rows)
        for load, bar in SERVER_BARS.items():
            report.add(f"server / passthrough_ll: {TITLES[load]}", self.took[load, "server"],
                       self.took[load, "passthrough_ll"], bar)
        for load in (load for load, _, _ in LOADS if load in SSHFS_LOADS):
            report.add(f"server / sshfs: {TITLES[load]}", self.took[load, "server"], self.took[load, "sshfs"], SSHFS_BAR)
        report.table("Mount of a kvcored over loopback beside passthrough_ll and sshfs: microseconds", first)

    def report_costs(self):
        """Medians, per operation of the program."""
        subjects = ["limit", "passthrough_ll", "embedded", "server"]
        cells = [[""] + [f"{name}: {what}" for name in subjects for what in ("writes", "waits")]]
        for load, _, _ in LOADS:
            row = [TITLES[load]]
            for name in subjects:
                costs = self.costs[load, name]
                row += [f"{statistics.median(cost[i] for cost in costs):.2f}" for i in (0, 1)]
            cells.append(row)
        print_table("What the daemons do for it: write calls (one per answer; of a server also one per request sent on) "
                    "and waits, per operation", cells)


def drop_caches(path):
    """What is read next is read for the first time, as far as the kernel is concerned. The daemons' own code was dropped,
    too: a few operations bring it back, and meanwhile the daemon hears what the kernel has forgotten."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
    for number in range(20):
        warm = os.path.join(path, f"warm{number}")
        with open(warm, "w", encoding="ascii") as file:
            file.write("x" * 4096)
        os.stat(warm)
        os.rename(warm, warm + "-too")
        os.unlink(warm + "-too")

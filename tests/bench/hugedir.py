"""One directory of a million entries in an embedded mount: does the last one cost what the first one did?"""
import os
import statistics
import time

import rig as rigs
from rig import progress

ENTRIES = 1000000
FLAT_BAR, LIST_BAR_S = 0.8, 3
LIST_TIMES = 3


def run(rig, options, report):
    entries = int(ENTRIES * min(1, options.scale))
    fsload = rig.build(os.path.join(rigs.TOP, "tests/bench/fsload.c"))
    subject = rig.mount("huge", os.path.join(rigs.BIN, "kvfs"), "-f", rig.folder("huge.data"))
    directory = os.path.join(subject.path, "all")
    os.mkdir(directory)
    progress(f"{entries} entries in one directory")
    at_start, at_end = map(float, rig.run(fsload, directory, "many", str(entries)).split())
    times = []
    for _ in range(LIST_TIMES):
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")
        start = time.monotonic()
        rig.run("sh", "-c", 'ls -f "$0" >/dev/null', directory)
        times.append(time.monotonic() - start)
    progress("")
    first = len(report.rows)
    report.append("embedded: creates per second, the last tenth / the first tenth", 1e6 / at_end, 1e6 / at_start,
                  at_start / at_end, FLAT_BAR, digits=0)
    report.at_most("embedded: ls -f of it, first time, seconds", statistics.median(times),
                   LIST_BAR_S * entries / ENTRIES)
    report.table(f"One directory of {entries:,} entries", first)
    rig.unmount(subject)

"""How long a start from the log takes, kvfs beside redis-server: the same keys and values, each set once, in the page
cache. Ours is the recovery alone as a program of its own (logfill.c), Redis's what it says itself that it took."""
import os
import re
import subprocess
import time

import rig as rigs
from rig import progress

KEYS, VALUE_BYTES, BAR = 1000000, 64, 1.5
LOGFILL = os.path.join(os.path.dirname(rigs.BIN), "tests/bench/logfill")


def redis(rig, folder):
    process = subprocess.Popen(rig.command(["redis-server", "--dir", folder, "--port", "0", "--unixsocket", folder + "/s",
                                         "--save", "", "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0",
                                         "--logfile", folder + "/log"]), stdin=subprocess.DEVNULL)
    rig.processes.append(process)  # ended with the rig, should we not come to that
    return process


def wait_ready(folder):
    while b"PONG" not in subprocess.run(["redis-cli", "-s", folder + "/s", "ping"], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, check=False).stdout:
        time.sleep(0.05)


def stop(process):
    process.terminate()
    process.wait()


def redis_fill(rig, folder, keys):
    process = redis(rig, folder)
    wait_ready(folder)
    with subprocess.Popen(["redis-cli", "-s", folder + "/s", "--pipe"], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as pipe:
        for number in range(1, keys + 1):
            pipe.stdin.write(b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n" %
                             (number, VALUE_BYTES, b"v" * VALUE_BYTES))
    stop(process)


def redis_seconds(rig, folder):
    log = os.path.join(folder, "log")
    if os.path.exists(log):
        os.remove(log)
    process = redis(rig, folder)
    wait_ready(folder)
    stop(process)
    with open(log, encoding="utf-8") as file:
        return float(re.search(r"DB loaded from append only file: ([0-9.]+)", file.read()).group(1))


def run(rig, options, report):
    keys = int(KEYS * options.scale)
    folders = [os.path.join(rig.temp, name) for name in ("start-ours", "start-redis")]
    for folder in folders:
        os.mkdir(folder)
    progress(f"start: {keys} sets")
    rig.run(LOGFILL, "write", folders[0], str(keys), str(VALUE_BYTES))
    redis_fill(rig, folders[1], keys)
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(float(re.search(r'"seconds": ([0-9.]+)', rig.run(LOGFILL, "replay", folders[0])).group(1)))
        theirs.append(redis_seconds(rig, folders[1]))
    progress("")
    first = len(report.rows)
    report.add(f"kvfs / redis: start from a log of {keys:,} sets, s", ours, theirs, BAR, better="less", digits=2)
    report.table("Start from the log", first)

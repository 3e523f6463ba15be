"""The rows of durability: the log beside redis's, a snapshot under load, and starting again.

The data lies on the file system of KV_BENCH_DISK (default: /var/tmp), not in memory as in the other parts."""
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import rig as rigs
from rig import progress
from stores import PER_DIRECTORY, fill, key_of, kvcored_memory, kvcored_mset, receive

PIPELINES = (1, 16)
LEVELS = [("written", "everysec", 1.0), ("synced", "always", 1.0)]
KEYS = 1000000
RATE, LOAD_SECONDS = 20000, 5
START_SECONDS = 120
VALUE = b"v" * 64


class Disk:
    """Folders on the disk, gone when the part ends."""

    def __init__(self):
        self.top = tempfile.mkdtemp(prefix="kvfs-bench.", dir=os.environ.get("KV_BENCH_DISK", "/var/tmp"))

    def folder(self, name):
        path = os.path.join(self.top, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def close(self):
        shutil.rmtree(self.top, ignore_errors=True)


def kvcored(rig, folder, *options):
    process = rig.start(os.path.join(rigs.BIN, "kvcored"), "--listen", "127.0.0.1:0", "--dir", folder, *options)
    address = process.stdout.readline().split()[-1]
    return address, process


def redis(rig, folder, *options):
    port = rigs.free_port()
    process = rig.start("redis-server", "--port", str(port), "--dir", folder, "--save", "", *options)
    rigs.await_for(lambda: rigs.answers(port), process, "redis-server does not listen")
    return port, process


def stop(rig, process):
    rig.processes.remove(process)
    rigs.end(process)


def host_port(address):
    host, port = address.rsplit("/", 1)[-1].rsplit(":", 1)
    return host, int(port)


# --- writing ---

def redis_rate(rig, port, words):
    lines = rig.run("redis-benchmark", "-p", str(port), "--csv", *words).splitlines()
    return next(float(line.split(",")[1].strip('"')) for line in lines if line.startswith('"SET"'))


def kv_rate(rig, address, words):
    return json.loads(rig.run(os.path.join(rigs.BIN, "kv"), "-s", address, "bench", "--json", *words))[0]["ops_per_s"]


def rates(rig, disk, options, report):
    first = len(report.rows)
    for level, fsync, bar in LEVELS:
        port, theirs = redis(rig, disk.folder("redis"), "--appendonly", "yes", "--appendfsync", fsync)
        address, ours = kvcored(rig, disk.folder("kvcored"), f"--durability={level}")
        seen = {pipeline: ([], []) for pipeline in PIPELINES}
        for _ in range(options.rounds):
            for pipeline in PIPELINES:
                progress(f"durable: {level}, pipeline {pipeline}")
                count = (100000 if pipeline == 1 else 400000) * options.scale / (5 if level == "synced" else 1)
                words = ["-t", "set", "-c", "50", "-P", str(pipeline), "-d", "64", "-n", str(int(count)), "-r", "100000"]
                seen[pipeline][1].append(redis_rate(rig, port, words))
                seen[pipeline][0].append(kv_rate(rig, address, words))
        for pipeline in PIPELINES:
            report.add(f"kvcored / redis: set 64 B, {level} / {fsync}, pipeline {pipeline}", *seen[pipeline], bar,
                       better="more", digits=0)
        stop(rig, theirs)
        stop(rig, ours)
    progress("")
    report.table("Writing to a log: requests per second, 50 connections", first)


# --- a snapshot while serving ---

def openload(rig, address, keys):
    host, port = host_port(address)
    words = rig.run(rigs.tool("openload"), host, str(port), str(RATE), str(LOAD_SECONDS), str(keys)).split()
    return float(words[2]), float(words[3]) # p99.9, longest


def kv(rig, address, *words):
    return rig.run(os.path.join(rigs.BIN, "kv"), "-s", address, "--timeout", "120s", *words)


def snapshots_taken(rig, address):
    return json.loads(kv(rig, address, "--json", "info"))["persistence"]["snapshots_taken"]


def load_with_snapshots(rig, address, keys):
    """Snapshots back to back for as long as the load runs."""
    ended = threading.Event()
    before = snapshots_taken(rig, address)

    def take():
        while not ended.is_set():
            kv(rig, address, "snapshot", "--wait")

    taker = threading.Thread(target=take)
    taker.start()
    try:
        figures = openload(rig, address, keys)
    finally:
        ended.set()
        taker.join()
    return *figures, snapshots_taken(rig, address) - before


def resident_bytes(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


def extra_memory(rig, address, process, keys):
    """How much the process grows, at most, while a snapshot is taken and every key overwritten. In parts of its memory."""
    host, port = host_port(address)
    with open(f"/proc/{process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5") # the peak is from now on
    before = resident_bytes(process.pid, "VmRSS")
    kv(rig, address, "snapshot")
    fill(host, port, kvcored_mset, keys)
    kv(rig, address, "snapshot", "--wait")
    return (resident_bytes(process.pid, "VmHWM") - before) / before


def serving(rig, disk, options, report):
    first = len(report.rows)
    keys = int(KEYS * min(1, options.scale)) // PER_DIRECTORY * PER_DIRECTORY
    address, process = kvcored(rig, disk.folder("kvcored"), "--save", "")
    host, port = host_port(address)
    fill(host, port, kvcored_mset, keys)
    kv(rig, address, "snapshot", "--wait")
    idle, busy, longest, taken = [], [], [], 0
    for _ in range(options.rounds):
        progress("durable: 20,000 sets a second, idle")
        idle.append(openload(rig, address, keys)[0])
        progress("durable: 20,000 sets a second during snapshots")
        p999, most, more = load_with_snapshots(rig, address, keys)
        busy.append(p999)
        longest.append(most)
        taken += more
    progress("durable: memory during a snapshot")
    extra = extra_memory(rig, address, process, keys)
    progress("")
    report.append("p99.9 of 20,000 sets/s, ms: during snapshots / idle", statistics.median(busy),
                  statistics.median(idle), statistics.median(a / b for a, b in zip(idle, busy)), 0.5,
                  note=f"{taken} snapshots")
    report.at_most("longest wait during snapshots, ms", statistics.median(longest), 5)
    report.at_most("extra memory while every key is overwritten, %", extra * 100, 15)
    report.table(f"A snapshot of {keys:,} keys while serving", first)
    stop(rig, process)


# --- starting again ---

def redis_fill(port, keys):
    """One SET for each, as a client would."""
    def word(text):
        return b"$%d\r\n%s\r\n" % (len(text), text)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for start in range(0, keys, PER_DIRECTORY):
            sock.sendall(b"".join(b"*3\r\n" + word(b"SET") + word(key_of(number)) + word(VALUE)
                                  for number in range(start, start + PER_DIRECTORY)))
            receive(sock, 5 * PER_DIRECTORY)


def kvcored_fill(address, keys):
    with socket.create_connection(host_port(address)) as sock:
        for start in range(0, keys, PER_DIRECTORY):
            last = b"".join(b"\x94\x00\x01\xa3set\x92" + bytes([0xa0 + len(key_of(number))]) + key_of(number) +
                            b"\xc4" + bytes([len(VALUE)]) + VALUE for number in range(start, start + PER_DIRECTORY))
            sock.sendall(last + b"\x94\x00\x02\xa4ping\x90")
            tail = b"\x94\x01\x02\xc0\xa4pong"
            data = b""
            while not data.endswith(tail):
                data = (data + sock.recv(1 << 20))[-1 << 12:]


def wait_loaded(ask, process):
    give_up = time.monotonic() + START_SECONDS
    while not ask():
        if process.poll() is not None or time.monotonic() > give_up:
            raise SystemExit("bench: a store did not start again")
        time.sleep(0.002)


def redis_has(port, key):
    try:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"*2\r\n$6\r\nEXISTS\r\n$%d\r\n%s\r\n" % (len(key), key))
            return sock.recv(64) == b":1\r\n"
    except OSError:
        return False


def kvcored_has(address, key):
    with socket.create_connection(host_port(address)) as sock:
        sock.sendall(b"\x94\x00\x01\xa6exists\x91" + bytes([0xa0 + len(key)]) + key)
        return sock.recv(4096).endswith(b"\xc0\x01")


def redis_start_s(rig, folder, keys, *options):
    start = time.monotonic()
    port, process = redis(rig, folder, *options)
    wait_loaded(lambda: redis_has(port, key_of(keys - 1)), process)
    took = time.monotonic() - start
    stop(rig, process)
    return took


def kvcored_start_s(rig, folder, keys):
    start = time.monotonic()
    address, process = kvcored(rig, folder, "--save", "")
    wait_loaded(lambda: kvcored_has(address, key_of(keys - 1)), process)
    took = time.monotonic() - start
    stop(rig, process)
    return took


def prepare_starts(rig, disk, keys):
    """Four folders: a log and a snapshot of each. Options of redis that belong to them."""
    aof = ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"]
    folders = {name: disk.folder(name) for name in ("redis.log", "redis.rdb", "kvcored.log", "kvcored.rdb")}
    port, process = redis(rig, folders["redis.log"], *aof)
    redis_fill(port, keys)
    stop(rig, process)
    port, process = redis(rig, folders["redis.rdb"])
    redis_fill(port, keys)
    rig.run("redis-cli", "-p", str(port), "save")
    stop(rig, process)
    for name in ("kvcored.log", "kvcored.rdb"):
        address, process = kvcored(rig, folders[name], "--save", "")
        kvcored_fill(address, keys)
        if name.endswith("rdb"):
            kv(rig, address, "snapshot", "--wait")
        stop(rig, process)
    return folders, aof


def starts(rig, disk, options, report):
    first = len(report.rows)
    keys = int(KEYS * min(1, options.scale)) // PER_DIRECTORY * PER_DIRECTORY
    progress("durable: filling stores to start from")
    folders, aof = prepare_starts(rig, disk, keys)
    seen = {"rdb": ([], []), "log": ([], [])}
    for _ in range(options.rounds):
        for kind, extra in (("rdb", []), ("log", aof)):
            progress(f"durable: starting from a {kind}")
            seen[kind][0].append(kvcored_start_s(rig, folders["kvcored." + kind], keys))
            seen[kind][1].append(redis_start_s(rig, folders["redis." + kind], keys, *extra))
    progress("")
    report.add(f"kvcored / redis: start from a snapshot of {keys:,} keys, s", *seen["rdb"], 1.0)
    report.add(f"kvcored / redis: start from a log of {keys:,} sets, s", *seen["log"], 1.5)
    report.table("Starting again", first)


# --- the mount ---

def mounts(rig, disk, options, report):
    first = len(report.rows)
    fsload = rig.build(os.path.join(rigs.TOP, "tests/bench/fsload.c"))
    count = str(max(100, int(5000 * options.scale)))
    took = {}
    for level in ("written", "memory"):
        subject = rig.mount("mount-" + level, os.path.join(rigs.BIN, "kvfs"), "-f", "-o", f"durability={level}",
                            disk.folder("mount-" + level))
        took[level] = subject, []
    for _ in range(options.rounds):
        for level, (subject, times) in took.items():
            progress(f"durable: create, {level}")
            times.append(float(rig.run(fsload, subject.path, "create", count)))
            rig.run(fsload, subject.path, "unlink", count)
    progress("")
    report.add("embedded mount: create, write 4 KiB, close: written / memory, us", took["written"][1],
               took["memory"][1], 0.9)
    report.table("A mount with a log", first)
    for subject, _ in took.values():
        rig.unmount(subject)


def run(rig, options, report):
    disk = Disk()
    try:
        rates(rig, disk, options, report)
        serving(rig, disk, options, report)
        starts(rig, disk, options, report)
        if os.geteuid() == 0:
            mounts(rig, disk, options, report)
    finally:
        subprocess.run(["sync", "-f", disk.top], check=False)
        disk.close()

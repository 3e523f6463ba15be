"""The store's rows: kvcored beside redis-server. Rates, memory per key, listings."""
import json
import os
import socket
import statistics
import struct
import threading
import time

import rig as rigs
from rig import progress

CASES = [(size, pipeline) for size in (64, 4096) for pipeline in (1, 16)]
KEYS, PER_DIRECTORY = 1000000, 1000
LS_TIMES, LS_WHOLE_S, LS_BAR_MS = 200, 0.5, 2
REDIS_BAR = 1.0


def rates(rig, options, report):
    port, address = rig.redis(), rig.kvcored()[0]
    seen = {}
    for _ in range(options.rounds):
        for size, pipeline in CASES:
            progress(f"store: {size} bytes, pipeline {pipeline}")
            requests = str(int((100000 if pipeline == 1 else 400000) * options.scale))
            common = ["-t", "set,get", "-c", "50", "-P", str(pipeline), "-d", str(size), "-n", requests, "-r", "100000"]
            theirs = rig.run("redis-benchmark", "-p", str(port), "--csv", *common)
            for line in theirs.splitlines():
                cells = [cell.strip('"') for cell in line.split(",")]
                if cells[0] in ("SET", "GET"):
                    seen.setdefault((cells[0].lower(), size, pipeline, "redis"), []).append(float(cells[1]))
            for row in json.loads(rig.run(os.path.join(rigs.BIN, "kv"), "-s", address, "bench", "--json", *common)):
                seen.setdefault((row["test"], size, pipeline, "kvfs"), []).append(row["ops_per_s"])
    progress("")
    first = len(report.rows)
    for size, pipeline in CASES:
        for test in ("set", "get"):
            report.add(f"kvcored / redis: {test} {size} B, pipeline {pipeline}", seen[test, size, pipeline, "kvfs"],
                       seen[test, size, pipeline, "redis"], REDIS_BAR, better="more", digits=0)
    report.table("Store beside redis: requests per second, 50 connections", first)


def key_of(number):
    return b"dir%03d/file%06d" % (number // PER_DIRECTORY, number)


VALUE = b"v" * 64


def redis_mset(numbers):
    words = [b"MSET"] + [word for number in numbers for word in (key_of(number), VALUE)]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def kvcored_mset(numbers):
    """[0, 1, "mset", [key, value, ...]]: a fixarray of 4, a fixstr, an array 16 of fixstr and bin 8."""
    return (b"\x94\x00\x01\xa4mset\xdc" + struct.pack(">H", 2 * len(numbers)) +
            b"".join(bytes([0xa0 + len(key_of(number))]) + key_of(number) + b"\xc4" + bytes([len(VALUE)]) + VALUE
                     for number in numbers))


ANSWER_BYTES = 5 # "+OK\r\n"; [1, 1, nil, nil]


def receive(sock, count):
    data = bytearray()
    while len(data) < count:
        more = sock.recv(1 << 20)
        if not more:
            raise SystemExit("bench: the server closed the connection")
        data += more
    return bytes(data)


def fill(host, port, make_mset, keys):
    """One mset for each directory, all in one pipeline."""
    batches = [make_mset(range(first, first + PER_DIRECTORY)) for first in range(0, keys, PER_DIRECTORY)]
    with socket.create_connection((host, port)) as sock:
        sender = threading.Thread(target=lambda: [sock.sendall(batch) for batch in batches])
        sender.start()
        answers = receive(sock, ANSWER_BYTES * len(batches))
        sender.join()
    if answers != answers[:ANSWER_BYTES] * len(batches):
        raise SystemExit(f"bench: an mset was refused: {answers[:200]!r}")


def redis_memory(rig, port):
    lines = rig.run("redis-cli", "-p", str(port), "info", "memory").split()
    return int(next(line for line in lines if line.startswith("used_memory:")).split(":")[1])


def kvcored_memory(rig, address):
    return json.loads(rig.run(os.path.join(rigs.BIN, "kv"), "-s", address, "--json", "info"))["memory"]["used_bytes"]


def ls_request(number):
    return b"\x94\x00\x01\xa2ls\x91\xa6dir%03d" % number


def ls_ms(host, port, directories):
    """What the listing of one of many directories takes over a connection that is there, in milliseconds: a median over
    different ones, so that the processor's cache does not help."""
    times = []
    with socket.create_connection((host, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(LS_WHOLE_S)
        sock.sendall(ls_request(0))
        whole = bytearray()
        try:
            while True:
                whole += sock.recv(1 << 20)
        except TimeoutError:
            pass
        if whole.count(b"file") != PER_DIRECTORY:
            raise SystemExit(f"bench: ls gave {whole.count(b'file')} entries, not {PER_DIRECTORY}")
        sock.settimeout(None)
        for i in range(LS_TIMES):
            start = time.monotonic()
            sock.sendall(ls_request(i * directories // LS_TIMES))
            receive(sock, len(whole)) # each is as long as the first
            times.append((time.monotonic() - start) * 1000)
    return statistics.median(times)


def memory(rig, options, report):
    keys = int(KEYS * min(1, options.scale)) // PER_DIRECTORY * PER_DIRECTORY
    progress(f"{keys} keys: redis")
    redis_port = rig.redis()
    empty = redis_memory(rig, redis_port)
    fill("127.0.0.1", redis_port, redis_mset, keys)
    theirs = (redis_memory(rig, redis_port) - empty) / keys
    progress(f"{keys} keys: kvcored")
    address = rig.kvcored()[0]
    empty = kvcored_memory(rig, address)
    host, port = address.rsplit("/", 1)[-1].rsplit(":", 1)
    fill(host, int(port), kvcored_mset, keys)
    ours = (kvcored_memory(rig, address) - empty) / keys
    progress("")
    first = len(report.rows)
    report.append(f"kvcored / redis: bytes per key, {keys:,} keys", ours, theirs, theirs / ours, 1.0, digits=1)
    report.at_most(f"ls of one directory of {PER_DIRECTORY:,} among them over RPC, ms",
                   ls_ms(host, int(port), keys // PER_DIRECTORY), LS_BAR_MS, digits=3)
    report.table("Many keys, dirNNN/fileNNNNNN with 64-byte values", first)

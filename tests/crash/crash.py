"""Kills a store with SIGKILL at random moments under load, starts it again, and checks what is there.

    crash.py KIND SNAPSHOTS ROUNDS SEED FOLDER      KIND: rpc, embedded, mounted; SNAPSHOTS: yes (back to back), no

Workers each have a directory of their own and a model of it. What each does it does in order, so after the crash its
directory must be what the model was after the last answer, or after one of the changes that were sent and not yet
answered: whole or not at all. Programs under test: $KV_BIN. Everything follows from the seed but the moment within
the load at which the kill comes.

KIND says how the load reaches the store: by requests, pipelined; through a mount that runs the store itself; through a
mount of the server, whose programs wait for the server to come back.
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import msgpack

BIN = os.environ["KV_BIN"]
WORKERS, PIPELINE, NAMES = 4, 8, 12
LOAD_S = (0.02, 0.15)
PATIENCE_S = 60
PAGE = 4096


class Node:
    """A connection that speaks MessagePack-RPC."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(PATIENCE_S)
        self.unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, max_buffer_size=1 << 28)
        self.id = 0

    def send(self, *requests):
        self.socket.sendall(b"".join(msgpack.packb([0, self.id + i, request[0], request[1:]])
                                     for i, request in enumerate(requests)))
        self.id += len(requests)

    def answers(self):
        """Those that have come, at least one; [] at the end."""
        while True:
            got = list(self.unpacker)
            if got:
                return got
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                return []
            if not data:
                return []
            self.unpacker.feed(data)

    def call(self, *request):
        self.send(request)
        for _, _, error, result in self.answers():
            if error:
                raise RuntimeError(error)
            return result
        raise ConnectionError


def value(chance):
    size = chance.choice((0, 8, 64, 200, 3000, 9000, 70000))
    return chance.randbytes(16) * (size // 16) + b"." * (size % 16)


def change(chance, model, files):
    """A change that makes sense now: its name and arguments. `files`: as calls on files, not as requests."""
    names = ["n%d" % i for i in range(NAMES)]
    name, other = chance.sample(names, 2)
    kinds = ["set", "append", "del", "rename"] + (["truncate"] if files else ["mset", "incr"])
    kind = chance.choice(kinds)
    if kind in ("append", "del", "rename", "truncate") and name not in model:
        kind = "set"
    if kind == "mset":
        return kind, {name: value(chance), other: value(chance)}
    if kind in ("set", "append"):  # an append of nothing changes nothing: its answer may overtake those of changes
        return kind, name, value(chance) or (b"x" if kind == "append" else b"")
    if kind == "truncate":
        return kind, name, chance.choice((0, 5, 4096))
    return (kind, name, other) if kind == "rename" else (kind, name)


def steps(model, doing, files):
    """The states that a change leads through: after each of them a crash may come. The last is its end."""
    kind, name, *rest = doing
    state = dict(model)
    if kind == "set":
        if files:  # open with O_TRUNC, then write
            state[name] = b""
            yield dict(state)
        state[name] = rest[0]
    elif kind == "append":
        before = len(state[name])
        whole = state[name] + rest[0]
        for cut in range(before // PAGE * PAGE + PAGE, len(whole), PAGE) if files else ():
            state[name] = whole[:cut]  # the kernel may cut a write where a page ends
            yield dict(state)
        state[name] = whole
    elif kind == "truncate":
        state[name] = state[name][:rest[0]].ljust(rest[0], b"\0")
    elif kind == "del":
        del state[name]
    elif kind == "rename":
        state[rest[0]] = state.pop(name)
    elif kind == "mset":
        state.update(name)
    elif kind == "incr":
        state["counter"] = b"%d" % (int(state.get("counter", b"0")) + 1)
    yield state


class Worker(threading.Thread):
    """Changes its directory until told to stop, or until nobody answers. `allowed`: the states that may be found."""

    def __init__(self, name, seed, model):
        super().__init__(daemon=True)
        self.directory, self.chance = name, random.Random(seed)
        self.allowed = [model]
        self.stopping = False
        self.done = 0
        self.error = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # told by the main thread
            self.error = error


class RequestWorker(Worker):
    def __init__(self, name, seed, model, path, options):
        super().__init__(name, seed, model)
        self.path, self.options = path, options

    def request(self, doing):
        kind, name, *rest = doing
        place = lambda key: f"{self.directory}/{key}"
        if kind == "mset":
            return ["mset"] + [x for key, v in name.items() for x in (place(key), v)] + [self.options]
        if kind == "rename":
            return ["rename", place(name), place(rest[0]), self.options]
        if kind == "incr":
            return ["incr", place("counter"), 1, self.options]
        return [kind, place(name)] + rest + [self.options]

    def work(self):
        node = Node(self.path)
        while not self.stopping:
            state, requests = self.allowed[-1], []
            for _ in range(self.chance.randint(1, PIPELINE)):
                doing = change(self.chance, state, False)
                requests.append(self.request(doing))
                *_, state = steps(state, doing, False)
                self.allowed.append(state)
            try:
                node.send(*requests)
            except ConnectionError:
                return
            waiting, base = set(range(node.id - len(requests), node.id)), node.id - len(requests)
            while waiting:
                got = node.answers()
                if not got:
                    return
                for _, msgid, error, _ in got:
                    assert not error, error
                    waiting.remove(msgid)
                    self.done += 1
                    if msgid >= base:  # what was sent before it was done before it
                        del self.allowed[:msgid + 1 - base]
                        base = msgid + 1


class FileWorker(Worker):
    def __init__(self, name, seed, model, mount):
        super().__init__(name, seed, model)
        self.path = os.path.join(mount, name)

    def perform(self, doing, reached):
        kind, name, *rest = doing
        at = os.path.join(self.path, name)
        if kind in ("set", "append"):
            file = os.open(at, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if kind == "set" else os.O_APPEND), 0o644)
            try:
                if kind == "set":
                    reached()
                if rest[0] and os.write(file, rest[0]) < len(rest[0]):
                    raise OSError("a part was written")
                if self.chance.random() < 0.1:
                    os.fsync(file)
            finally:
                os.close(file)
        elif kind == "truncate":
            os.truncate(at, rest[0])
        elif kind == "del":
            os.unlink(at)
        elif kind == "rename":
            os.rename(at, os.path.join(self.path, rest[0]))
        reached()

    def work(self):
        os.makedirs(self.path, exist_ok=True)
        while not self.stopping:
            doing = change(self.chance, self.allowed[-1], True)
            if len(doing) > 2 and isinstance(doing[2], bytes):
                doing = (*doing[:2], doing[2][:PAGE])
            states = list(steps(self.allowed[-1], doing, True))
            before = self.allowed[-1]
            if doing[0] == "set" and doing[1] in before:
                states.insert(0, before)  # O_TRUNC of what is there may not have come
            self.allowed = [before] + states
            position = [0]

            def reached():
                position[0] += 1

            try:
                self.perform(doing, reached)
            except OSError as error:
                if not self.stopping and not self.killed.is_set():
                    raise
                return
            self.allowed = states[-1:]
            self.done += 1


class Store:
    def __init__(self, kind, folder, snapshots, chance):
        self.kind, self.folder, self.snapshots, self.chance = kind, folder, snapshots, chance
        self.data = os.path.join(folder, "data")
        self.mount = os.path.join(folder, "mnt")
        self.socket = os.path.join(self.data, "kvfs.sock")
        self.process = self.kvfs = None
        os.makedirs(self.mount, exist_ok=True)

    def server(self):
        self.log = open(os.path.join(self.folder, "log"), "a")
        level = self.chance.choice(("written", "synced"))
        if self.kind == "embedded":
            keeping = f"durability={level},save=,snapshot-at-exit=no"
            self.process = subprocess.Popen([f"{BIN}/kvfs", "-f", "-o", keeping, self.data, self.mount],
                                            stdout=self.log, stderr=self.log)
            self.until(lambda: os.path.ismount(self.mount))
        else:
            self.process = subprocess.Popen([f"{BIN}/kvcored", "--unix", os.path.join(self.folder, "s.sock"), "--dir", self.data,
                                             "--durability", level, "--save", ""],
                                            stdout=self.log, stderr=self.log)
        self.until(self.answers)
        if self.kind == "mounted" and not self.kvfs:
            self.kvfs = subprocess.Popen([f"{BIN}/kvfs", "-f", "kv+unix://" + os.path.join(self.folder, "s.sock"), self.mount],
                                         stdout=self.log, stderr=self.log)
            self.until(lambda: os.path.ismount(self.mount))

    def answers(self):
        try:
            Node(self.socket).call("exists", "x")
            return True
        except (OSError, RuntimeError):
            return False

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, "the store ended: " + open(os.path.join(self.folder, "log")).read()[-2000:]
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)

    def kill(self):
        self.process.kill()
        self.process.wait()
        if self.kind == "embedded":
            subprocess.run(["fusermount3", "-u", "-z", self.mount], check=True)

    def stop(self):
        if self.kvfs:
            subprocess.run(["fusermount3", "-u", self.mount], check=True)
            self.kvfs.wait(PATIENCE_S)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0

    def directory(self, name):
        node = Node(self.socket)
        try:
            names = node.call("ls", name)
        except RuntimeError:
            return {}
        return {key.decode(): node.call("get", f"{name}/{key.decode()}") for key in names}


def snapshots(path, stop):
    try:
        node = Node(path)
        while not stop.is_set():
            node.call("snapshot")
            time.sleep(0.003)
    except (OSError, RuntimeError):
        return


def one_round(store, chance, models, seed):
    killed = threading.Event()
    workers = []
    for i in range(WORKERS):
        name, model = "w%d" % i, models[i]
        if store.kind == "rpc":
            options = {"durability": "synced"} if chance.random() < 0.2 else {}
            worker = RequestWorker(name, f"{seed} {i}", model, store.socket, options)
        else:
            worker = FileWorker(name, f"{seed} {i}", model, store.mount)
        worker.killed = killed
        workers.append(worker)
    stop = threading.Event()
    if store.snapshots:
        threading.Thread(target=snapshots, args=(store.socket, stop), daemon=True).start()
    for worker in workers:
        worker.start()
    time.sleep(chance.uniform(*LOAD_S))
    killed.set()
    for worker in workers:
        worker.stopping = True
    store.kill()
    stop.set()
    store.server()
    done = 0
    for i, worker in enumerate(workers):
        worker.join(PATIENCE_S)
        assert not worker.is_alive(), f"{worker.directory} still waits"
        if worker.error:
            raise worker.error
        found = store.directory(worker.directory)
        if found not in worker.allowed:
            tell(worker, found)
        models[i] = found
        done += worker.done
    return done


def tell(worker, found):
    lines = [f"{worker.directory}: what is there is none of the {len(worker.allowed)} states that it may be in"]
    for n, state in enumerate(worker.allowed):
        for name in sorted(set(state) | set(found)):
            if state.get(name) != found.get(name):
                lines.append(f"  state {n}: {name}: {shown(state.get(name))}, found {shown(found.get(name))}")
    raise AssertionError("\n".join(lines))


def shown(data):
    return "nothing" if data is None else f"{len(data)} bytes {data[:12]!r}"


def main():
    kind, with_snapshots, rounds, seed, folder = sys.argv[1:]
    chance = random.Random(f"{kind} {with_snapshots} {seed}")
    store = Store(kind, folder, with_snapshots == "yes", chance)
    models = [{} for _ in range(WORKERS)]
    total = 0
    try:
        store.server()
        for n in range(int(rounds)):
            total += one_round(store, chance, models, f"{seed} {n}")
        store.stop()
    except BaseException:
        print(f"seed {seed}, {kind}, snapshots {with_snapshots}", flush=True)
        for process in (store.process, store.kvfs):
            if process and process.poll() is None:
                process.kill()
        subprocess.run(["fusermount3", "-u", "-z", store.mount], stderr=subprocess.DEVNULL)
        raise
    assert total > 0, "no change was ever acknowledged"
    print(f"{kind}, snapshots {with_snapshots}, seed {seed}: {rounds} kills, {total} acknowledged changes, all there")


main()

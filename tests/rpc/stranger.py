"""A stranger talks to kvcored: python3-msgpack and a plain socket, nothing of ours.

    stranger.py ADDRESS CHECK [ARGUMENT...]     ADDRESS: kv://HOST:PORT or kv+unix://PATH

Each function check_NAME below is one check. It ends with status 0, or with the assertion that failed.
"""
import resource
import select
import socket
import struct
import sys

import msgpack

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2


class Stranger:
    def __init__(self, address):
        kind, _, place = address.partition("://")
        if kind == "kv+unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(place)
        else:
            host, _, port = place.rpartition(":")
            self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(20)
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=1 << 30)
        self.id = 0

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, *params, use_bin_type=True):
        self.id += 1
        return msgpack.packb([REQUEST, self.id, method, list(params)], use_bin_type=use_bin_type)

    def answer(self):
        """The next message, or None at the end of the connection."""
        while True:
            for message in self.unpacker:
                return message
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.unpacker.feed(data)

    def ask(self, method, *params):
        """The whole answer: error and result."""
        self.send(self.request(method, *params))
        kind, id, error, result = self.answer()
        assert kind == RESPONSE and id == self.id, (kind, id)
        return error, result

    def call(self, method, *params):
        error, result = self.ask(method, *params)
        assert error is None, f"{method}{params}: {error}"
        return result

    def refused(self, code, text, method, *params):
        error, result = self.ask(method, *params)
        assert error is not None, f"{method}{params}: no error, but {result!r}"
        assert isinstance(error, list) and len(error) == 3 and result is None, (error, result)
        assert error[0] == code and text in error[1], f"{method}: {error} is not {code} with {text!r}"

    def is_hung_up_on(self, data):
        """Sends what no server should bear; nothing but the end of the connection may come."""
        try:
            self.send(data)
        except (BrokenPipeError, ConnectionResetError):
            return
        message = self.answer()
        assert message is None, f"answered {message}"


def check_simple(address):
    """On a fresh connection, without hello."""
    s = Stranger(address)
    assert s.call("ping") == "pong"
    assert s.call("set", "greeting", "hello") > 0
    assert s.call("get", "greeting") == b"hello"
    assert s.call("exists", "greeting", "nope") == 1
    assert s.call("set", "dir/one", b"1") > 0
    assert s.call("append", "dir/one", b"2") == 2
    assert s.call("incr", "dir/n") == 1
    assert s.call("incr", "dir/n", -3) == -2
    assert s.call("getrange", "greeting", 1, -2) == b"ell"
    assert s.call("mset", "dir/x", "1", "dir/y", "2") is None
    assert [bytes(v, "utf8") if isinstance(v, str) else v for v in s.call("mget", "dir/x", "dir/y", "dir/z")] == [
        b"1", b"2", None]
    assert s.call("ls") == ["dir", "greeting"]
    assert s.call("ls", "dir") == ["n", "one", "x", "y"]
    assert s.call("ls", "dir", {"after": "n", "limit": 1}) == ["one"]
    assert s.call("expire", "greeting", 60000) is True
    assert 50000 < s.call("ttl", "greeting") <= 60000
    assert s.call("persist", "greeting") is True
    assert s.call("del", "greeting", "nope") == 1
    assert s.call("info")["keyspace"]["nodes"] >= 5
    assert set(s.call("info", "memory")) == {"memory"}


def check_hello(address):
    s = Stranger(address)
    hello = s.call("hello", {"client": "stranger"})
    assert hello["server"] == "kvcored" and hello["protocol"] == 1 and hello["version"], hello
    other = Stranger(address)
    assert other.call("hello")["session"] != hello["session"]


def check_str_or_bin(address):
    """Keys and values may be either; what comes back is bin for values, and for names str where they are UTF-8."""
    s = Stranger(address)
    s.call("set", b"key", "Grüße")
    assert s.call("get", "key") == "Grüße".encode()
    s.call("set", "key", b"\x00\xff")
    assert s.call("get", b"key") == b"\x00\xff"
    s.call("set", b"dir/\xff\n", b"v")
    s.call("set", "dir/ü", b"v")
    assert s.call("ls", b"dir") == ["ü", b"\xff\n"]
    # An implementation from before bin: raw in its place, which on the wire is str.
    s.send(s.request("set", b"old", b"\xc3\x28", use_bin_type=False))
    assert s.answer()[2] is None
    assert s.call("get", "old") == b"\xc3\x28"


def check_refs(address):
    """A node is named by key, by id, or by [directory id, name]."""
    s = Stranger(address)
    s.call("set", "dir/file", "v")
    dir_id, file_id = s.call("stat", "dir")[0], s.call("stat", "dir/file")[0]
    assert s.call("get", file_id) == b"v"
    assert s.call("get", [dir_id, "file"]) == b"v"
    assert s.call("get", [dir_id, b"file"]) == b"v"
    s.call("set", [dir_id, "other"], "w")
    assert s.call("get", "dir/other") == b"w"
    assert s.call("ls", dir_id) == ["file", "other"]
    s.call("rename", [dir_id, "file"], [1, "moved"])
    assert s.call("get", file_id) == b"v"
    assert s.call("stat", "moved")[0] == file_id
    s.call("del", "moved")
    s.refused("ESTALE", "", "get", file_id)
    s.refused("EINVAL", "", "get", [dir_id, "a/b"])
    s.refused("EINVAL", "", "get", [dir_id, ".."])


def check_mount_operations(address):
    """What a mount is made of: create, write, read, attributes, links, xattrs, listings with positions."""
    s = Stranger(address)
    s.call("mkdir", "dir", {"mode": 0o700})
    attr = s.call("create", "dir/file", {"mode": 0o640, "nx": True})
    assert attr[2] == 0o100640 and len(attr) == 14, attr
    s.refused("EEXIST", "", "create", "dir/file", {"nx": True})
    assert s.call("write", attr[0], 3, b"abc") == 6
    assert s.call("read", attr[0], 0, 100) == b"\0\0\0abc"
    assert s.call("setattr", attr[0], {"size": 4, "mtime": 5})[9] == 5
    s.call("symlink", "dir/link", "file")
    assert s.call("readlink", "dir/link") == b"file"
    assert s.call("link", "dir/file", "dir/second")[5] == 2
    s.call("setxattr", "dir/file", "user.x", b"1")
    assert s.call("getxattr", "dir/file", "user.x") == b"1"
    assert s.call("listxattr", "dir/file") == ["user.x"]
    s.call("removexattr", "dir/file", "user.x")
    names = sorted(entry[0] for entry in s.call("readdir", "dir", 0))
    assert names == ["file", "link", "second"], names
    s.call("rename", "dir/second", "dir/file2")
    s.call("unlink", "dir/file2")
    s.refused("ENOTEMPTY", "", "rmdir", "dir")
    assert s.call("statfs")["name_bytes_max"] == 255
    assert s.call("sync", "dir/file") is None


def check_errors(address):
    s = Stranger(address)
    s.call("mkdir", "dir")
    s.refused("ENOENT", "", "get", "nope")
    s.refused("EISDIR", "", "get", "dir")
    s.refused("EEXIST", "", "mkdir", "dir")
    s.refused("ENOSYS", "frobnicate", "frobnicate", "x")
    s.refused("ENOSYS", "", "")
    # Wrong arguments are named by the operation and the argument.
    s.refused("EINVAL", "set: argument 2 (value)", "set", "key", 5)
    s.refused("EINVAL", "set: argument 2 (value) is missing", "set", "key")
    s.refused("EINVAL", "get: argument 1 (node)", "get", None)
    s.refused("EINVAL", "get: argument 1 (node)", "get", -1)
    s.refused("EINVAL", "get: argument 1 (node)", "get", [1, 2, 3])
    s.refused("EINVAL", "", "get", "a", "b")
    s.refused("EINVAL", "incr: argument 2 (delta)", "incr", "n", "5")
    s.refused("EINVAL", "incr: argument 2 (delta)", "incr", "n", 2**63)
    s.refused("EINVAL", "unknown option 'bogus'", "set", "key", "v", {"bogus": 1})
    s.refused("EINVAL", "option 'nx' must be true or false", "set", "key", "v", {"nx": 1})
    s.refused("EINVAL", "takes no option 'after'", "set", "key", "v", {"after": "x"})
    s.refused("EINVAL", "", "read", 1, -1, 5)
    s.send(msgpack.packb([REQUEST, 77, "get", "no array"]))
    _, id, error, _ = s.answer()
    assert id == 77 and error[0] == "EINVAL" and "must be an array" in error[1], error
    assert s.call("ping") == "pong"
    s.refused("ENOENT", "", "get", "key")


def check_bad_keys(address):
    s = Stranger(address)
    part = "p" * 255
    bad = {
        "": "EINVAL", "a//b": "EINVAL", "/a": "EINVAL", "a/": "EINVAL", ".": "EINVAL", "..": "EINVAL", "../x": "EINVAL",
        "a/./b": "EINVAL", "a/../b": "EINVAL", "a\0b": "EINVAL", "n" * 256: "ENAMETOOLONG", "a/" + "n" * 256: "ENAMETOOLONG",
        "/".join([part] * 16) + "p": "ENAMETOOLONG",
    }
    for key, code in bad.items():
        for method, *rest in ("set", b"v"), ("get",), ("mkdir",), ("stat",), ("incr",), ("unlink",), ("append", b"v"):
            # The empty key is the root: a directory that can be looked at.
            if key == "" and method in ("stat",):
                continue
            error, result = s.ask(method, key, *rest)
            assert error, f"{method} {key[:20]!r} was not refused: {result}"
            if key != "":
                assert error[0] == code, f"{method} {key[:20]!r}: {error} is not {code}"
            assert len(error[1]) > 10
    assert s.call("ls") == []
    s.call("set", "/".join([part] * 16), "v")
    s.call("set", "...", "v")


def check_pipelining(address):
    """Many requests in one write; every one has its own answer, and they may come in any order."""
    s = Stranger(address)
    wanted = {}
    batch = b""
    for i in range(2000):
        batch += s.request("set", f"k{i}", f"v{i}")
        wanted[s.id] = None
        batch += s.request("get", f"k{i}")
        wanted[s.id] = f"v{i}".encode()
        batch += s.request("get", f"nope{i}")
        wanted[s.id] = "ENOENT"
    s.send(batch)
    for _ in range(len(wanted)):
        kind, id, error, result = s.answer()
        expected = wanted.pop(id)
        assert kind == RESPONSE
        assert error[0] == expected if error else expected is None or result == expected, (id, error, result)
    assert not wanted


def check_bytewise(address):
    """A request that comes one byte at a time, and one in two halves with another behind."""
    s = Stranger(address)
    if s.socket.family == socket.AF_INET:
        s.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in s.request("set", "key", b"v" * 300):
        s.send(bytes([byte]))
    assert s.answer()[2] is None
    two = s.request("get", "key") + s.request("ping")
    s.send(two[:7])
    s.send(two[7:])
    assert s.answer()[3] == b"v" * 300
    assert s.answer()[3] == "pong"


def check_notification(address):
    """A notification is carried out and not answered."""
    s = Stranger(address)
    s.send(msgpack.packb([NOTIFICATION, "set", ["key", "v"]]))
    s.send(msgpack.packb([NOTIFICATION, "nosuch", []]))
    assert s.call("get", "key") == b"v"


def check_message_ids(address):
    """Any 32 bits will do as an id."""
    s = Stranger(address)
    for id in 0, 1, 127, 128, 65536, 2**32 - 1:
        s.send(msgpack.packb([REQUEST, id, "ping", []]))
        assert s.answer() == [RESPONSE, id, None, "pong"]


def check_large(address):
    """64 MiB in one message, both ways; more than a message may be is refused."""
    s = Stranger(address)
    value = bytes(range(256)) * (64 << 12)
    s.call("set", "large", value)
    assert s.call("get", "large") == value
    s.call("append", "large", value)
    s.refused("EFBIG", "", "get", "large")
    assert s.call("getrange", "large", 0, 9) == value[:10]
    s.refused("EFBIG", "", "write", s.call("stat", "large")[0], 1 << 44, b"v")
    s.refused("EFBIG", "", "setrange", "large", 1 << 60, b"v")
    s.refused("EFBIG", "", "setattr", "large", {"size": (1 << 44) + 1})
    assert s.call("stat", "large")[6] == 2 * len(value)


def check_hostile(address):
    """What is no MessagePack-RPC, or promises what nobody could hold, ends that connection at once and no other."""
    bystander = Stranger(address)
    bystander.call("set", "key", "v")
    deep = b"\x91" * 100
    hostile = {
        "an array of four billion": b"\xdd\xff\xff\xff\xff",
        "a request with four billion parameters": b"\x94\x00\x01\xa3get\xdd\xff\xff\xff\xff",
        "a string of four gigabytes": b"\x94\x00\x01\xdb\xff\xff\xff\xff",
        "a value of 129 MiB": b"\x94\x00\x01\xa3set\x92\xa3key\xc6" + struct.pack(">I", 129 << 20),
        "a map of two billion": b"\x94\x00\x01\xa3set\x93\xa1k\xa1v\xdf\x7f\xff\xff\xff",
        "a hundred arrays in each other": b"\x94\x00\x01\xa3get" + deep,
        "a byte that MessagePack never uses": b"\x94\x00\x01\xa3get\x91\xc1",
        "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "Redis": b"*1\r\n$4\r\nPING\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "a map in place of a message": b"\x81\xa1a\xa1b",
        "an array of one": b"\x91\x00",
        "a request with an id that is a string": msgpack.packb([REQUEST, "one", "ping", []]),
        "a request with a method that is a number": msgpack.packb([REQUEST, 1, 5, []]),
        "a message of type 7": msgpack.packb([7, 1, "ping", []]),
        "a response to nothing": msgpack.packb([RESPONSE, 1, None, None]),
    }
    for what, data in hostile.items():
        try:
            Stranger(address).is_hung_up_on(data)
        except (AssertionError, OSError) as error:
            raise AssertionError(f"{what}: {error!r}")
        assert bystander.call("get", "key") == b"v", what


def check_half_messages(address):
    """Who leaves in the middle of a message leaves nothing behind."""
    whole = Stranger(address).request("set", "key", b"x" * 100000)
    for length in 1, 2, 10, 50000, len(whole) - 1:
        s = Stranger(address)
        s.send(whole[:length])
        s.socket.close()
    s = Stranger(address)
    s.refused("ENOENT", "", "get", "key")


def check_no_password(address):
    s = Stranger(address)
    for method, *params in ("get", "key"), ("set", "key", "v"), ("info",), ("ls",), ("ping",), ("stat", 1):
        s.refused("NOAUTH", "password", method, *params)
    s.refused("NOAUTH", "", "hello", {"password": "wrong"})
    s.refused("NOAUTH", "", "hello", {"password": ""})
    s.refused("NOAUTH", "", "hello")
    s.refused("NOAUTH", "", "get", "key")
    s.call("hello", {"password": "secret"})
    assert s.call("ls") == []
    Stranger(address).refused("NOAUTH", "", "ls")


def check_stops_reading(address):
    """A client that asks for far more than it reads is not read from any more; the others are served, and the server's
    memory does not grow with it."""
    bystander = Stranger(address)
    bystander.call("set", "large", b"x" * (1 << 20))
    pid = bystander.call("info")["server"]["pid"]
    before = resident_bytes(pid)
    greedy = Stranger(address)
    greedy.socket.setblocking(False)
    asked = 0
    request = greedy.request("get", "large") * 100
    while select.select([], [greedy.socket], [], 1)[1] and asked < 1 << 20:
        try:
            greedy.socket.send(request)
            asked += 100
        except BlockingIOError:
            pass
    assert asked < 1 << 20, "it was read from for ever"
    assert bystander.call("get", "large") == b"x" * (1 << 20)
    grown = resident_bytes(pid) - before
    assert grown < 64 << 20, f"the server has grown by {grown} bytes"
    # It is held, not thrown out: when it reads, it gets its answers.
    assert bystander.call("info")["clients"]["connections"] == 2
    greedy.socket.settimeout(20)
    for _ in range(50):
        assert greedy.answer()[3] == b"x" * (1 << 20)


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def check_connections(address, count):
    """So many at once; each is served, and afterwards all are gone."""
    count = int(count)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    strangers = [Stranger(address) for _ in range(count)]
    for s in strangers:
        s.send(s.request("incr", "n"))
    assert sorted(s.answer()[3] for s in strangers) == list(range(1, count + 1))
    assert strangers[0].call("info")["clients"]["connections"] >= count
    for s in strangers[1:]:
        s.socket.close()
    while strangers[0].call("info")["clients"]["connections"] > 1:
        pass


def check_too_many_connections(address, count):
    """Past the limit a connection is closed, or told BUSY; those that are there are served, and one that leaves makes
    room."""
    count = int(count)
    strangers = [Stranger(address) for _ in range(count)]
    for s in strangers:
        assert s.call("ping") == "pong"
    for _ in range(3):
        extra = Stranger(address)
        try:
            extra.send(extra.request("ping"))
            answer = extra.answer()
        except (BrokenPipeError, ConnectionResetError):
            answer = None
        assert answer is None or answer[2][0] == "BUSY", answer
    for s in strangers:
        assert s.call("ping") == "pong"
    strangers.pop().socket.close()
    while strangers[0].call("info")["clients"]["connections"] >= count:
        pass
    assert Stranger(address).call("ping") == "pong"


def check_full(address):
    """Past maxmemory: ENOSPC with a reason, nothing lost, and deletes still work."""
    s = Stranger(address)
    stored = 0
    while True:
        error, _ = s.ask("set", f"k{stored}", b"x" * 100000)
        if error:
            break
        stored += 1
        assert stored < 1000
    assert error[0] == "ENOSPC" and "maxmemory" in error[1], error
    assert stored > 50
    for i in range(stored):
        assert s.call("get", f"k{i}") == b"x" * 100000
    s.refused("ENOSPC", "", "append", "k0", b"x" * 200000)
    assert s.call("del", *(f"k{i}" for i in range(0, stored, 2))) == (stored + 1) // 2
    s.call("set", "again", b"x" * 100000)


def main():
    address, name, *arguments = sys.argv[1:]
    globals()["check_" + name](address, *arguments)


if __name__ == "__main__":
    main()

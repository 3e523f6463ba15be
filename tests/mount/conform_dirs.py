"""Directories: what readdir(3), telldir(3) and seekdir(3) show, while others create and remove; deep trees; locks."""
import ctypes
import fcntl
import os
import struct

from differ import *


class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("offset", ctypes.c_int64), ("length", ctypes.c_uint16),
                ("kind", ctypes.c_uint8), ("name", ctypes.c_char * 256)]


libc.opendir.restype = ctypes.c_void_p
libc.opendir.argtypes = [ctypes.c_char_p]
libc.readdir.restype = ctypes.POINTER(Dirent)
libc.readdir.argtypes = libc.rewinddir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.telldir.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Listing:
    def __init__(self, path):
        self.stream = libc.opendir(os.fsencode(path))

    def next(self):
        entry = libc.readdir(self.stream)
        return (entry.contents.name.decode(), entry.contents.ino, entry.contents.kind) if entry else None

    def rest(self):
        return list(iter(self.next, None))

    def tell(self):
        return libc.telldir(self.stream)

    def seek(self, position):
        libc.seekdir(self.stream, position)

    def rewind(self):
        libc.rewinddir(self.stream)


def shapes():
    """Dots, inode numbers, kinds; an empty directory; a removed one."""
    os.mkdir("d")
    os.mkdir("d/dir")
    touch("d/file")
    os.symlink("x", "d/link")
    os.mkfifo("d/fifo")
    os.mknod("d/char", 0o020600, 259)
    for path in ("d", "d/dir"):
        for name, ino, kind in sorted(Listing(path).rest()):
            # (The inode number of ".." is not the parent's: kvfs(8), LIMITS.)
            print(path, name, kind, name == ".." or ino == os.lstat(f"{path}/{name}").st_ino)
    listing = Listing("d/dir")
    print([name for name, _, _ in listing.rest()], listing.next(), listing.next())
    touch("d/dir/new")
    listing.rewind()
    print(sorted(name for name, _, _ in listing.rest()))
    os.unlink("d/dir/new")
    listing.rewind()
    os.rmdir("d/dir")
    print([name for name, _, _ in listing.rest()])


def positions():
    """A position leads to the same entry again, whatever came and went meanwhile."""
    os.mkdir("d")
    for i in range(1000):
        touch(f"d/stay-{i}")
    listing = Listing("d")
    order, places = [], []
    while True:
        places.append(listing.tell())
        entry = listing.next()
        if not entry:
            break
        order.append(entry[0])
    print(len(order), len(set(order)), len(set(places)))
    for at in (0, 1, 2, 3, 500, 999, 1001, 17):
        listing.seek(places[at])
        assert listing.next()[0] == order[at], at
    for i in range(0, 1000):
        touch(f"d/new-{i}")
    for i in range(0, 1000, 2):
        os.unlink(f"d/new-{i}")
    for at in (0, 1, 2, 3, 500, 999, 1001, 17):
        fresh = Listing("d")
        fresh.seek(places[at])
        rest = [name for name, _, _ in fresh.rest() if name.startswith("stay")]
        expected = [name for name in order[at:] if name.startswith("stay")]
        assert sorted(rest) == sorted(expected), (at, len(rest), len(expected))
    listing.rewind()
    print(len(listing.rest()))


def busy():
    """An entry that stays is shown exactly once, while others come and go in another process."""
    os.mkdir("d")
    stay = {f"stay-{i}" for i in range(3000)}
    for name in stay:
        touch(f"d/{name}")
    child = os.fork()
    if child == 0:
        for i in range(10**9):
            touch(f"d/go-{i % 50}")
            os.rename(f"d/go-{i % 50}", f"d/went-{i % 70}")
            if i % 3 == 0:
                os.unlink(f"d/went-{i % 70}")
    try:
        for _ in range(10):
            seen = [name for name, _, _ in Listing("d").rest() if name.startswith("stay")]
            print(len(seen), len(seen) == len(set(seen)), set(seen) == stay)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def emptied():
    """What is removed while it is listed leaves nothing behind; what is renamed is there under one name."""
    os.mkdir("d")
    for i in range(2500):
        touch(f"d/{i}")
    for name, _, _ in Listing("d").rest():
        if name not in (".", ".."):
            os.unlink(f"d/{name}")
    call("rmdir", os.rmdir, "d")


def deep():
    """Trees as deep as a path may be long, made step by step and looked at from the top."""
    name = "deep" * 30
    top = os.open(".", os.O_RDONLY)
    depth = 30
    for _ in range(depth):
        os.mkdir(name)
        os.chdir(name)
    touch("bottom", b"content")
    call("depth", lambda: os.getcwd().count(name))
    os.fchdir(top)
    path = "/".join([name] * depth)
    call("read by the whole path", read, path + "/bottom")
    call("at PATH_MAX", lambda: os.path.exists("./" * ((4095 - len(path) - 7) // 2) + path + "/bottom"))
    call("past it", opened, "./" * 2100 + path, os.O_RDONLY)
    call("dots lead back", lambda: os.path.samefile(path + "/.." * depth, "."))
    for left in range(depth, 0, -1):
        path = "/".join([name] * left)
        if left == depth:
            os.unlink(path + "/bottom")
        os.rmdir(path)
    call("gone", os.listdir, ".")


def locks():
    """flock(2), fcntl(2) locks of processes and of open files."""
    touch("file", b"content")

    def other(function):
        """What another process gets."""
        as_user(0, 0, lambda: function(os.open("file", os.O_RDWR)))
    mine = os.open("file", os.O_RDWR)
    tries = lambda label: other(lambda fd: (
        call(f"{label}: flock exclusive", fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
        call(f"{label}: flock shared", fcntl.flock, fd, fcntl.LOCK_SH | fcntl.LOCK_NB),
        call(f"{label}: lockf first", fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 0),
        call(f"{label}: lockf later", fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 10),
        call(f"{label}: lockf shared", fcntl.lockf, fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 0)))
    tries("free")
    fcntl.flock(mine, fcntl.LOCK_SH)
    tries("flock shared")
    fcntl.flock(mine, fcntl.LOCK_EX)
    tries("flock exclusive")
    fcntl.flock(mine, fcntl.LOCK_UN)
    fcntl.lockf(mine, fcntl.LOCK_EX, 5, 0)
    tries("lockf exclusive")
    fcntl.lockf(mine, fcntl.LOCK_SH, 5, 0)
    tries("lockf shared")
    os.close(os.open("file", os.O_RDONLY))
    tries("closed elsewhere")
    F_OFD_SETLK = 37
    ofd = lambda kind, start, length: struct.pack("hhqqi4x", kind, 0, start, length, 0)
    fcntl.fcntl(mine, F_OFD_SETLK, ofd(fcntl.F_WRLCK, 0, 4))
    tries("open file's")
    second = os.open("file", os.O_RDWR)
    call("another open file", quiet, fcntl.fcntl, second, F_OFD_SETLK, ofd(fcntl.F_WRLCK, 2, 4))
    call("behind it", quiet, fcntl.fcntl, second, F_OFD_SETLK, ofd(fcntl.F_WRLCK, 4, 4))
    os.close(mine)
    tries("closed")


if __name__ == "__main__":
    main(globals())

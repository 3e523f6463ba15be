"""Times: which call moves which of them, of the node and of the directories; what utimensat(2) keeps."""
import ctypes
import os
import stat

from differ import *

UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
AT_SYMLINK_NOFOLLOW = 0x100


class Timespec(ctypes.Structure):
    _fields_ = [("s", ctypes.c_int64), ("ns", ctypes.c_int64)]


def utimensat(path, atime, mtime, flags=0):
    both = (Timespec * 2)(Timespec(*atime), Timespec(*mtime))
    checked(libc.utimensat(AT_FDCWD, os.fsencode(path), both, flags))


def moved():
    """Each call: exactly the times that must move, do."""
    os.mkdir("d")
    os.mkdir("e")
    d = lambda label, function, *rest, also=(): moves(label, ["d", *also], function, *rest)
    d("create", touch, "d/file")
    d("create an existing one", opened, "d/file", os.O_CREAT | os.O_WRONLY, also=["d/file"])
    d("open and truncate an empty one", opened, "d/file", os.O_WRONLY | os.O_TRUNC, also=["d/file"])
    d("failed create", opened, "d/file", os.O_CREAT | os.O_EXCL | os.O_WRONLY, also=["d/file"])
    d("write", touch, "d/file", b"content", also=["d/file"])
    d("open and truncate", opened, "d/file", os.O_WRONLY | os.O_TRUNC, also=["d/file"])
    d("truncate to grow", os.truncate, "d/file", 10, also=["d/file"])
    d("truncate to shrink", os.truncate, "d/file", 5, also=["d/file"])
    descriptor = os.open("d/file", os.O_RDWR)
    d("ftruncate to grow", os.ftruncate, descriptor, 10, also=["d/file"])
    d("ftruncate to the same", os.ftruncate, descriptor, 10, also=["d/file"])
    d("write nothing", os.write, descriptor, b"", also=["d/file"])
    d("write the same", os.pwrite, descriptor, b"x", 0, also=["d/file"])
    d("fsync", os.fsync, descriptor, also=["d/file"])
    d("failed write", os.write, os.open("d/file", os.O_RDONLY), b"x", also=["d/file"])
    d("chmod", os.chmod, "d/file", 0o600, also=["d/file"])
    d("chmod to the same", os.chmod, "d/file", 0o600, also=["d/file"])
    d("chown", os.chown, "d/file", ALICE, TEAM, also=["d/file"])
    d("chown to the same", os.chown, "d/file", ALICE, TEAM, also=["d/file"])
    d("chown to nothing", os.chown, "d/file", -1, -1, also=["d/file"])
    d("chown a directory to nothing", os.chown, "d", -1, -1)
    d("setxattr", os.setxattr, "d/file", "user.x", b"v", also=["d/file"])
    d("setxattr to the same", os.setxattr, "d/file", "user.x", b"v", also=["d/file"])
    d("failed setxattr", os.setxattr, "d/file", "user.x", b"v", os.XATTR_CREATE, also=["d/file"])
    d("removexattr", os.removexattr, "d/file", "user.x", also=["d/file"])
    d("failed removexattr", os.removexattr, "d/file", "user.x", also=["d/file"])
    d("link", os.link, "d/file", "d/hard", also=["d/file"])
    moves("link elsewhere", ["d", "e", "d/file"], os.link, "d/file", "e/hard")
    d("failed link", os.link, "d/file", "d/hard", also=["d/file"])
    d("unlink one name", os.unlink, "d/hard", also=["d/file"])
    moves("rename", ["d", "d/file=d/new"], os.rename, "d/file", "d/new")
    moves("rename elsewhere", ["d", "e", "d/new=e/new"], os.rename, "d/new", "e/new")
    moves("rename over another name of it", ["e", "e/new"], os.rename, "e/new", "e/hard")
    touch("d/over")
    os.link("d/over", "d/kept")
    moves("rename over", ["d", "e", "d/kept", "e/new=d/over"], os.rename, "e/new", "d/over")
    moves("failed rename", ["d", "e", "d/over"], os.rename, "d/over", "e/missing/x")
    moves("noreplace refused", ["d", "d/over"], renameat2, "d/kept", "d/over", RENAME_NOREPLACE)
    moves("exchange", ["d", "e", "d/over=e/hard", "e/hard=d/over"], renameat2, "d/over", "e/hard", RENAME_EXCHANGE)
    d("mkdir", os.mkdir, "d/sub")
    moves("create below", ["d", "d/sub"], touch, "d/sub/file")
    moves("move a directory", ["d", "e", "d/sub=e/sub"], os.rename, "d/sub", "e/sub")
    moves("failed rmdir", ["e", "e/sub"], os.rmdir, "e/sub")
    os.unlink("e/sub/file")
    moves("rmdir", ["e"], os.rmdir, "e/sub")
    d("symlink", os.symlink, "target", "d/link")
    d("lchown", os.lchown, "d/link", ALICE, TEAM, also=["d/link"])
    d("mkfifo", os.mkfifo, "d/fifo")
    d("chmod a fifo", os.chmod, "d/fifo", 0o666, also=["d/fifo"])
    d("socket", os.mknod, "d/socket", stat.S_IFSOCK | 0o600)
    d("device", os.mknod, "d/device", stat.S_IFCHR | 0o600, 259)
    d("stat", os.stat, "d/over", also=["d/over"])
    d("readlink", os.readlink, "d/fifo", also=["d/fifo"])
    d("access", os.access, "d/over", os.R_OK, also=["d/over"])
    held = os.open("d/over", os.O_RDWR)
    d("unlink", os.unlink, "d/over")
    d("write to what has no name", os.write, held, b"x")
    moves("utime", ["d", "d/kept"], os.utime, "d/kept", (1, 1))
    moves("utime atime", ["d/kept"], utimensat, "d/kept", (5, 5), (0, UTIME_OMIT))
    moves("utime mtime", ["d/kept"], utimensat, "d/kept", (0, UTIME_OMIT), (6, 6))
    moves("utime omit both", ["d/kept"], utimensat, "d/kept", (0, UTIME_OMIT), (0, UTIME_OMIT))
    moves("utime now", ["d/kept"], utimensat, "d/kept", (0, UTIME_NOW), (0, UTIME_NOW))
    moves("utime atime now", ["d/kept"], utimensat, "d/kept", (0, UTIME_NOW), (0, UTIME_OMIT))
    moves("utime of a symlink", ["d/link"], utimensat, "d/link", (7, 7), (8, 8), AT_SYMLINK_NOFOLLOW)
    moves("utime of a directory", ["d"], utimensat, "d", (7, 7), (8, 8))


def kept():
    """Times are kept to the nanosecond, before 1970 and after 2038; what is no time is refused."""
    touch("file")
    for s in (0, 1, -1, -2, -86400 * 365 * 100, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**33, -2**31,
              -2**31 - 1, 9 * 10**9):
        for ns in (0, 1, 123456789, 999999999):
            call(f"set {s}.{ns:09}", utimensat, "file", (s, ns), (s + 1, ns))
            status = os.stat("file")
            print(status.st_atime_ns, status.st_mtime_ns)
    for ns in (10**9, -1, UTIME_NOW - 2, UTIME_OMIT + 5):
        call(f"set to {ns} ns", utimensat, "file", (1, ns), (1, 1))


def permitted():
    """Who may set which times."""
    for mode in (0o600, 0o622, 0o666):
        touch(f"file-{mode:o}")
        os.chmod(f"file-{mode:o}", mode)
        os.chown(f"file-{mode:o}", ALICE, ALICE)
        for uid in (ALICE, BOB):
            def attempts():
                path = f"file-{mode:o}"
                say = lambda what, *rest: call(f"{mode:o} by {uid} {what}", *rest)
                say("set", utimensat, path, (1, 1), (1, 1))
                say("now", utimensat, path, (0, UTIME_NOW), (0, UTIME_NOW))
                say("now as null", os.utime, path)
                say("omit", utimensat, path, (0, UTIME_OMIT), (0, UTIME_OMIT))
                say("now and omit", utimensat, path, (0, UTIME_NOW), (0, UTIME_OMIT))
                say("omit and set", utimensat, path, (0, UTIME_OMIT), (1, 1))
            as_user(uid, uid, attempts)


def born():
    """The time of birth (statx(2)) is there, in order, and never moves."""
    def btime(path):
        data = ctypes.create_string_buffer(256)
        checked(libc.statx(AT_FDCWD, os.fsencode(path), AT_SYMLINK_NOFOLLOW, 0xfff, data))
        mask = int.from_bytes(data.raw[0:4], "little")
        s, ns = (int.from_bytes(data.raw[at:at + size], "little") for at, size in ((0x50, 8), (0x58, 4)))
        return mask & 0xfff, s * 10**9 + ns

    before = times(".")[1]
    os.mkdir("dir")
    touch("file")
    os.symlink("x", "link")
    os.mkfifo("fifo")
    for path in ("dir", "file", "link", "fifo"):
        mask, first = btime(path)
        print(path, f"{mask & ~0x3e0:x}", first >= before, first <= times(path)[2])
        if path != "link":
            os.utime(path, (1, 1))
            os.chmod(path, 0o777)
        os.rename(path, path + "-2")
        print("stays", btime(path + "-2")[1] == first)


if __name__ == "__main__":
    main(globals())

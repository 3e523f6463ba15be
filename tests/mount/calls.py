"""The calls of random_calls.py: for each, what its arguments may be, and how it is made in one of the two trees.

A place is (slot, path): the path from the top of the tree, or, where a slot is given, from the directory that is open
there. A slot is one of a few descriptors, open to the same file in both trees.
"""
import ctypes
import errno
import mmap
import os
import stat
import struct
import time
import zlib

from differ import (ALICE, AT_FDCWD, BOB, RENAME_EXCHANGE, RENAME_NOREPLACE, TEAM, checked, libc)

SLOTS = 5
CLOSED = 999  # a descriptor that is not open
FILES = ("a", "b", "c")  # what mostly are files, and what mostly are directories: half of the calls shall succeed
FOLDERS = ("d", "e")
NAMES = FILES + FOLDERS
SET_BEFORE_NS = 978_307_200 * 10**9  # 2001: what is older was set by utimensat(2)
LONG = 300_000
TICK_S = time.clock_getres(5) * 1.2  # CLOCK_REALTIME_COARSE, by which local file systems go
KEEP_SIZE, PUNCH_HOLE = 1, 2
SAME = {errno.EEXIST: errno.ENOTEMPTY}  # rmdir and rename may say either


class User:
    def __init__(self, uid, gid, groups):
        self.uid, self.gid, self.groups = uid, gid, groups

    def enter(self):
        os.seteuid(0)
        os.setgroups(self.groups)
        os.setegid(self.gid)
        os.seteuid(self.uid)


class Tree:
    """The calls begin far below `top`, so that a chain of symbolic links to ".." does not lead out of it."""

    def __init__(self, top):
        self.top = top
        self.root = top + "/1" * 12
        self.files = {}  # slot -> descriptor
        self.noted = {}  # inode -> times

    def begin(self):
        os.umask(0o022)
        os.makedirs(self.root)
        os.chmod(self.root, 0o777)

    def end(self):
        for descriptor in self.files.values():
            os.close(descriptor)
        self.files = {}

    def call(self, name, arguments):
        try:
            return CALLS[name][1](self, *arguments)
        except OSError as error:
            code = SAME.get(error.errno, error.errno)
            return errno.errorcode.get(code, code)

    def path(self, place):
        slot, path = place
        return f"{self.root}/{path}" if slot is None else f"/proc/self/fd/{self.file(slot)}/{path}"

    def file(self, slot):
        return self.files.get(slot, CLOSED)

    def put(self, slot, descriptor):
        if slot in self.files:
            os.close(self.files[slot])
        self.files[slot] = descriptor

    def shown(self, status):
        """What is to be equal of a struct stat."""
        directory = stat.S_ISDIR(status.st_mode)
        times = None
        if not stat.S_ISFIFO(status.st_mode):  # kvfs(8), LIMITS
            times = [then if then < SET_BEFORE_NS else "now" for then in (status.st_mtime_ns, status.st_atime_ns)]
            if status.st_ino in self.noted:
                times.append([now == noted for now, noted in zip(times_of(status), self.noted[status.st_ino])])
        return (oct(status.st_mode), status.st_nlink, status.st_uid, status.st_gid,
                None if directory else status.st_size, status.st_rdev if not directory else 0, times)

    def walk(self):
        """Everything there is: path -> what is to be equal. Names of one file show as such."""
        found, first = {}, {}
        for path in sorted(os.path.join(folder, name) for folder, folders, files in os.walk(self.top)
                           for name in folders + files):
            status = os.lstat(path)
            short = os.path.relpath(path, self.top)
            found[short] = (self.shown(status), attributes(path), contents(path, status),
                            first.setdefault(status.st_ino, short) if not stat.S_ISDIR(status.st_mode) else None)
        return found


def times_of(status):
    return status.st_mtime_ns, status.st_ctime_ns


def attributes(path):
    return sorted((name, zlib.crc32(os.getxattr(path, name, follow_symlinks=False)))
                  for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux")


def contents(path, status):
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(path)
    if not stat.S_ISREG(status.st_mode):
        return None
    with open(path, "rb") as file:
        return digest(file.read())


def digest(data):
    return len(data), zlib.crc32(data)


# --- arguments ---


def a_slot(chance):
    return chance.randrange(SLOTS)


def a_path(chance, last=FILES):
    above = [chance.choice(FOLDERS if chance.random() < 0.95 else NAMES) for _ in range(chance.choice((0, 0, 1, 1, 2, 3)))]
    path = "/".join(above + [chance.choice(last if chance.random() < 0.8 else NAMES)])
    odd = chance.random()
    if odd < 0.02:
        return path + "/"
    if odd < 0.03:
        return path + chance.choice(("/.", "/..", "/../" + chance.choice(NAMES)))
    if odd < 0.04:
        return path + chance.choice(("n" * 255, "n" * 253 + "/x", "/" + "n" * 256))
    return path


def a_place(chance):
    return (a_slot(chance) if chance.random() < 0.05 else None, a_path(chance))


def a_folder(chance):
    return (a_slot(chance) if chance.random() < 0.05 else None, a_path(chance, FOLDERS))


def any_place(chance):
    return chance.choice((a_place, a_folder))(chance)


def a_folder_mode(chance):
    return chance.choice((0o777, 0o755, 0o777, a_mode(chance)))


def a_mode(chance):
    return chance.choice((0o644, 0o600, 0o666, 0o777, 0o755, 0o700, 0o000, 0o444, 0o711, 0o2755, 0o4755, 0o6777, 0o2644,
                          0o1777, 0o3777, 0o7777, 0o2070))


def an_offset(chance):
    return chance.choice((0, 0, chance.randrange(300), chance.randrange(20_000), chance.randrange(LONG),
                          4096 * chance.randrange(20), 65536 * chance.randrange(4)))


def a_length(chance):
    return chance.choice((0, 1, chance.randrange(300), chance.randrange(5000), 4096, 65536, chance.randrange(100_000)))


def data_of(seed, length):
    return (b"%08x" % (seed * 2654435761 % (1 << 32)) * (length // 8 + 1))[:length]


def some_data(chance):
    return chance.randrange(1, 1000), a_length(chance)


def attribute_data(chance):
    """All of one node's together below 256 KiB (kvfs(8), LIMITS); one of more than 64 KiB there cannot be."""
    return chance.randrange(1, 1000), chance.choice((0, 1, chance.randrange(300), 4096, chance.randrange(25_000), 66_000))


def an_id(chance):
    return chance.choice((-1, 0, ALICE, BOB, TEAM))


def a_time(chance):
    return chance.choice((chance.randrange(-10**18, SET_BEFORE_NS), chance.randrange(SET_BEFORE_NS)))


def an_attribute(chance):
    return chance.choice(("user.one", "user.two", "user.three", "trusted.one", "security.one", "user." + "n" * 250,
                          "user." + "n" * 251, "nowhere.one", "user."))


def an_acl(chance):
    """system.posix_acl_*: a version, then (tag, permissions, id) in order."""
    entries = [(0x01, chance.randrange(8), -1)]
    named = chance.sample((ALICE, BOB), chance.randrange(3))
    entries += [(0x02, chance.randrange(8), uid) for uid in sorted(named)]
    entries.append((0x04, chance.randrange(8), -1))
    if chance.random() < 0.3:
        entries.append((0x08, chance.randrange(8), TEAM))
    if len(entries) > 2 or chance.random() < 0.3:
        entries.append((0x10, chance.randrange(8), -1))
    entries.append((0x20, chance.randrange(8), -1))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, bits, who & 0xffffffff) for tag, bits, who in entries)
    return acl[:-1] if chance.random() < 0.03 else acl


OPEN_FLAGS = (os.O_CREAT, os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_DIRECTORY, os.O_NOFOLLOW, os.O_DSYNC)


def open_flags(chance):
    flags = chance.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR))
    odd = chance.random()
    if odd < 0.04:
        return flags | os.O_TMPFILE | chance.choice((0, 0, os.O_EXCL))
    if odd < 0.1:
        return os.O_RDONLY | os.O_DIRECTORY
    if odd < 0.12:
        return os.O_PATH | chance.choice((0, os.O_NOFOLLOW, os.O_DIRECTORY))
    for flag in OPEN_FLAGS:
        if chance.random() < 0.25:
            flags |= flag
    if flags & os.O_CREAT and flags & os.O_DIRECTORY:  # kernels differ in what they say
        flags &= ~os.O_DIRECTORY
    return flags


# --- calls: on a path ---


def open_file(tree, slot, place, flags, mode):
    tree.put(slot, os.open(tree.path(place), flags | os.O_NONBLOCK | os.O_NOCTTY, mode))


def make_directory(tree, place, mode):
    os.mkdir(tree.path(place), mode)


def make_node(tree, place, kind, mode):
    os.mknod(tree.path(place), kind | mode, os.makedev(1, 3))


def make_symlink(tree, place, target):
    os.symlink(target, tree.path(place))


def make_link(tree, source, target, follow):
    os.link(tree.path(source), tree.path(target), follow_symlinks=follow)


def link_open(tree, slot, target):
    os.link(f"/proc/self/fd/{tree.file(slot)}", tree.path(target), follow_symlinks=True)


def unlink(tree, place):
    os.unlink(tree.path(place))


def rmdir(tree, place):
    os.rmdir(tree.path(place))


def rename(tree, source, target, flags):
    checked(libc.renameat2(AT_FDCWD, os.fsencode(tree.path(source)), AT_FDCWD, os.fsencode(tree.path(target)), flags))


def chmod(tree, place, mode):
    os.chmod(tree.path(place), mode)


def chmod_folder(tree, place, mode):
    os.chmod(tree.path(place), mode)


def chown(tree, place, uid, gid, follow):
    if uid == gid == -1:  # kvfs(8), LIMITS
        return
    os.chown(tree.path(place), uid, gid, follow_symlinks=follow)


def utime(tree, place, times, follow):
    os.utime(tree.path(place), ns=times, follow_symlinks=follow)


def touch(tree, place):
    os.utime(tree.path(place))


def as_long(status, size):
    """A truncate to the size that a file has is left out: kvfs(8), LIMITS."""
    return stat.S_ISREG(status.st_mode) and status.st_size == size


def truncate(tree, place, size):
    if not as_long(os.stat(tree.path(place)), size):
        os.truncate(tree.path(place), size)


def look(tree, place, follow):
    return tree.shown(os.stat(tree.path(place), follow_symlinks=follow))


def note_times(tree, place):
    """From now on it is compared whether they have moved; once the clock of the local file system has."""
    status = os.lstat(tree.path(place))
    tree.noted[status.st_ino] = times_of(status)
    time.sleep(TICK_S)


def access(tree, place, mode):
    return os.access(tree.path(place), mode, effective_ids=True)


def listing(tree, place):
    return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in os.scandir(tree.path(place)))


def readlink(tree, place):
    return os.readlink(tree.path(place))


def read_whole(tree, place):
    descriptor = os.open(tree.path(place), os.O_RDONLY | os.O_NONBLOCK)
    try:
        return digest(os.read(descriptor, 1 << 21))
    finally:
        os.close(descriptor)


def set_attribute(tree, place, name, data, flags, follow):
    os.setxattr(tree.path(place), name, data_of(*data), flags, follow_symlinks=follow)


def get_attribute(tree, place, name, follow):
    return digest(os.getxattr(tree.path(place), name, follow_symlinks=follow))


def remove_attribute(tree, place, name, follow):
    os.removexattr(tree.path(place), name, follow_symlinks=follow)


def list_attributes(tree, place, follow):
    return sorted(os.listxattr(tree.path(place), follow_symlinks=follow))


def set_acl(tree, place, which, acl):
    os.setxattr(tree.path(place), "system.posix_acl_" + which, acl)


def get_acl(tree, place, which):
    return os.getxattr(tree.path(place), "system.posix_acl_" + which)


def remove_acl(tree, place, which):
    """A tmpfs takes off S_ISGID with it, and moves the ctime where there is none; ext4 and xfs do neither."""
    path, name = tree.path(place), "system.posix_acl_" + which
    os.getxattr(path, name)
    if not os.stat(path).st_mode & stat.S_ISGID:
        os.removexattr(path, name)


def set_umask(_, mask):
    os.umask(mask)


# --- calls: on a descriptor ---


def close(tree, slot):
    os.close(tree.files.pop(slot, CLOSED))


def read(tree, slot, length):
    return digest(os.read(tree.file(slot), length))


def pread(tree, slot, offset, length):
    return digest(os.pread(tree.file(slot), length, offset))


def write(tree, slot, data):
    return os.write(tree.file(slot), data_of(*data))


def pwrite(tree, slot, offset, data):
    return os.pwrite(tree.file(slot), data_of(*data), offset)


def seek(tree, slot, offset, whence):
    if stat.S_ISDIR(os.fstat(tree.file(slot)).st_mode):  # what a position in a directory is, is the file system's
        return None
    return os.lseek(tree.file(slot), offset, whence)


def ftruncate(tree, slot, size):
    if not as_long(os.fstat(tree.file(slot)), size):
        os.ftruncate(tree.file(slot), size)


def fallocate(tree, slot, mode, offset, length):
    checked(libc.fallocate64(tree.file(slot), mode, ctypes.c_long(offset), ctypes.c_long(length)))


def copy(tree, source, offset, target, target_offset, length):
    done = 0
    while part := os.copy_file_range(tree.file(source), tree.file(target), length - done, offset + done,
                                     target_offset + done):
        done += part
    return done


def send(tree, source, target, offset, length):
    """Pages are sent, not bytes: within one file, or to a fifo, they could be overwritten before they are read."""
    if os.path.sameopenfile(tree.file(source), tree.file(target)) or stat.S_ISFIFO(os.fstat(tree.file(target)).st_mode):
        return None
    done = 0
    while part := os.sendfile(tree.file(target), tree.file(source), offset + done, length - done):
        done += part
        if done == length:
            break
    return done


def map_write(tree, slot, offset, data, private):
    length = os.fstat(tree.file(slot)).st_size
    if not length or length > LONG * 2:
        return
    data = data_of(*data)[: length - offset % length]
    flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    with mmap.mmap(tree.file(slot), length, flags=flags) as mapping:
        mapping[offset % length : offset % length + len(data)] = data
        mapping.flush()


def map_read(tree, slot):
    length = os.fstat(tree.file(slot)).st_size
    if not length or length > LONG * 2:
        return None
    with mmap.mmap(tree.file(slot), length, prot=mmap.PROT_READ) as mapping:
        return digest(mapping[:])


def fstat(tree, slot):
    return tree.shown(os.fstat(tree.file(slot)))


def fsync(tree, slot):
    os.fsync(tree.file(slot))


def fchmod(tree, slot, mode):
    os.fchmod(tree.file(slot), mode)


def fchown(tree, slot, uid, gid):
    if uid == gid == -1:
        return
    os.fchown(tree.file(slot), uid, gid)


def fset_attribute(tree, slot, name, data):
    os.setxattr(tree.file(slot), name, data_of(*data))


def flist_attributes(tree, slot):
    return sorted(os.listxattr(tree.file(slot)))


def flisting(tree, slot):
    return sorted(os.listdir(tree.file(slot)))


def often(chance):
    return chance.random() < 0.8


KINDS = (stat.S_IFREG, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR)
TARGETS = NAMES + ("a/b", "../a", "..", ".", "b/c/d", "nowhere", "../../a", "a" * 300, "x/" * 2000, "x/" * 2047 + "x", "")
FALLOCATE = (0, 0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, PUNCH_HOLE)
WHICH = ("access", "access", "default")

# name -> (weight, the call, its arguments)
CALLS = {
    act.__name__: (weight, act, arguments)
    for weight, act, arguments in (
        (30, open_file, lambda c: (a_slot(c), a_place(c), open_flags(c), a_mode(c))),
        (6, make_directory, lambda c: (a_folder(c), a_folder_mode(c))),
        (2, make_node, lambda c: (a_place(c), c.choice(KINDS), a_mode(c))),
        (3, make_symlink, lambda c: (a_place(c), c.choice(TARGETS))),
        (4, make_link, lambda c: (a_place(c), a_place(c), c.random() < 0.3)),
        (2, link_open, lambda c: (a_slot(c), a_place(c))),
        (5, unlink, lambda c: (a_place(c),)),
        (3, rmdir, lambda c: (a_folder(c),)),
        (8, rename, lambda c: (any_place(c), any_place(c), c.choice((0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, 3)))),
        (5, chmod, lambda c: (a_place(c), a_mode(c))),
        (4, chmod_folder, lambda c: (a_folder(c), a_folder_mode(c))),
        (5, chown, lambda c: (any_place(c), an_id(c), an_id(c), c.random() < 0.5)),
        (3, utime, lambda c: (any_place(c), (a_time(c), a_time(c)), often(c))),
        (1, touch, lambda c: (any_place(c),)),
        (3, truncate, lambda c: (a_place(c), an_offset(c))),
        (14, look, lambda c: (any_place(c), often(c))),
        (6, note_times, lambda c: (any_place(c),)),
        (2, access, lambda c: (any_place(c), c.randrange(8))),
        (3, listing, lambda c: (a_folder(c),)),
        (2, readlink, lambda c: (a_place(c),)),
        (5, read_whole, lambda c: (a_place(c),)),
        (3, set_attribute, lambda c: (any_place(c), an_attribute(c), attribute_data(c), c.choice((0, 0, 1, 2)), often(c))),
        (2, get_attribute, lambda c: (any_place(c), an_attribute(c), often(c))),
        (1, remove_attribute, lambda c: (any_place(c), an_attribute(c), often(c))),
        (1, list_attributes, lambda c: (any_place(c), often(c))),
        (2, set_acl, lambda c: (any_place(c), c.choice(WHICH), an_acl(c))),
        (1, get_acl, lambda c: (any_place(c), c.choice(WHICH))),
        (1, remove_acl, lambda c: (any_place(c), c.choice(WHICH))),
        (1, set_umask, lambda c: (c.choice((0, 0o022, 0o022, 0o077, 0o002)),)),
        (1, close, lambda c: (a_slot(c),)),
        (5, read, lambda c: (a_slot(c), a_length(c))),
        (5, pread, lambda c: (a_slot(c), an_offset(c), a_length(c))),
        (8, write, lambda c: (a_slot(c), some_data(c))),
        (6, pwrite, lambda c: (a_slot(c), an_offset(c), some_data(c))),
        (3, seek, lambda c: (a_slot(c), an_offset(c), c.randrange(3))),
        (3, ftruncate, lambda c: (a_slot(c), an_offset(c))),
        (4, fallocate, lambda c: (a_slot(c), c.choice(FALLOCATE), an_offset(c), a_length(c))),
        (3, copy, lambda c: (a_slot(c), an_offset(c), a_slot(c), an_offset(c), a_length(c))),
        (1, send, lambda c: (a_slot(c), a_slot(c), an_offset(c), a_length(c))),
        (3, map_write, lambda c: (a_slot(c), an_offset(c), some_data(c), c.random() < 0.2)),
        (2, map_read, lambda c: (a_slot(c),)),
        (6, fstat, lambda c: (a_slot(c),)),
        (1, fsync, lambda c: (a_slot(c),)),
        (3, fchmod, lambda c: (a_slot(c), a_mode(c))),
        (2, fchown, lambda c: (a_slot(c), an_id(c), an_id(c))),
        (1, fset_attribute, lambda c: (a_slot(c), an_attribute(c), attribute_data(c))),
        (1, flist_attributes, lambda c: (a_slot(c),)),
        (2, flisting, lambda c: (a_slot(c),)),
    )
}
ORDER = tuple(CALLS)
WEIGHTS = tuple(CALLS[name][0] for name in ORDER)


def random_call(chance):
    name = chance.choices(ORDER, WEIGHTS)[0]
    return name, CALLS[name][2](chance)

"""What the conform_*.py programs share: each runs system calls in a directory and prints what came of them, so that the
same program in two file systems must print the same.

    conform_names.py DIRECTORY CASE

runs the function CASE with DIRECTORY (empty, made for it) as its working directory. What may differ between any two
local file systems (the size of a directory, inode numbers, the time of day) is never printed.
"""
import ctypes
import errno
import os
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
# Two users and a group that both may be in; names for them need not exist.
ALICE, BOB, TEAM = 60001, 60002, 60100


def name_of(code):
    return errno.errorcode.get(code, str(code))


def call(label, function, *arguments, **more):
    """Prints the result of a call: what it returned, or its errno."""
    try:
        result = function(*arguments, **more)
    except OSError as error:
        print(f"{label}: {name_of(error.errno)}")
        return None
    print(f"{label}: {'ok' if result is None else result}")
    return result


def quiet(function, *arguments, **more):
    """The same, where the result means nothing: "ok", or the errno."""
    function(*arguments, **more)


def checked(result):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def renameat2(source, target, flags):
    checked(libc.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags))


def opened(path, flags, mode=0o666):
    """Opens and closes."""
    os.close(os.open(path, flags, mode))


def touch(path, content=b"", mode=0o666):
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    os.write(descriptor, content)
    os.close(descriptor)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def shown(status):
    kind = stat.filemode(status.st_mode)[0]
    size = "" if stat.S_ISDIR(status.st_mode) else f" size {status.st_size}"
    device = f" rdev {os.major(status.st_rdev)},{os.minor(status.st_rdev)}" if kind in "bc" else ""
    return (f"{kind} {stat.S_IMODE(status.st_mode):04o} links {status.st_nlink}"
            f" owner {status.st_uid}:{status.st_gid}{size}{device}")


def show(path, label=None):
    call(label or path, lambda: shown(os.lstat(path)))


def as_user(uid, gid, function, groups=()):
    """Runs the function as that user, in a child."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups(list(groups))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            function()
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, "the child failed"


def times(path):
    status = os.lstat(path)
    return status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns


def moves(label, paths, function, *arguments):
    """Prints which times of which paths the call moved. A path may be "old=new" where the call renames."""
    pairs = [path.split("=") * 2 for path in paths]
    before = [times(pair[0]) for pair in pairs]
    time.sleep(0.012)  # local file systems tick in steps of up to 10 ms
    call(label, quiet, function, *arguments)
    for pair, old in zip(pairs, before):
        try:
            new = times(pair[1])
        except OSError as error:
            print(f"  {pair[0]}: {name_of(error.errno)}")
            continue
        changed = [name for name, was, now in zip(("atime", "mtime", "ctime"), old, new) if was != now]
        assert all(now >= was for was, now in zip(old, new)) or "utime" in label, f"{label}: time went back"
        print(f"  {pair[0]}: {' '.join(changed) or 'none'}")


def main(cases):
    os.umask(0o022)
    os.chdir(sys.argv[1])
    cases[sys.argv[2]]()

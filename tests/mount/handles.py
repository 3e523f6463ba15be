"""Takes handles of paths below a mount, makes the kernel drop what it has cached, and opens them again by handle.

    handles.py MOUNT PATH...
"""
import ctypes
import os
import stat
import sys

MAX_HANDLE = 128
AT_FDCWD = -100
libc = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("kind", ctypes.c_int), ("data", ctypes.c_ubyte * MAX_HANDLE)]


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main():
    mount, paths = sys.argv[1], sys.argv[2:]
    handles = [handle_of(os.path.join(mount, path)) for path in paths]
    numbers = [os.lstat(os.path.join(mount, path)).st_ino for path in paths]
    top = os.open(mount, os.O_RDONLY)
    for path, handle, number in zip(paths, handles, numbers):
        drop_caches()
        found = opened(top, handle)
        status = os.fstat(found)
        assert status.st_ino == number, f"{path}: inode {status.st_ino} instead of {number}"
        if stat.S_ISDIR(status.st_mode):
            # The kernel has found the way up, so the directory has a path.
            assert os.readlink(f"/proc/self/fd/{found}") == os.path.join(mount, path), path
            assert os.listdir(found), path
        os.close(found)
    removed = os.path.join(mount, "removed")
    os.mkdir(removed)
    handle = handle_of(removed)
    os.rmdir(removed)
    drop_caches()
    try:
        opened(top, handle)
    except OSError as error:
        assert error.strerror == os.strerror(116), error  # ESTALE
    else:
        raise AssertionError("what is removed could be opened")


def handle_of(path):
    handle, mount_id = Handle(bytes=MAX_HANDLE), ctypes.c_int()
    checked(libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount_id), 0))
    return handle


def opened(top, handle):
    return checked(libc.open_by_handle_at(top, ctypes.byref(handle), os.O_RDONLY))


def drop_caches():
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("2")


main()

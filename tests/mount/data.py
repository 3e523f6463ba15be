# What the programs in data.bats begin with.
import ctypes
import errno
import mmap
import os
import random
import sys

CHUNK = 65536
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
libc = ctypes.CDLL(None, use_errno=True)


def fallocate(file, mode, offset, length):
    if libc.fallocate(file, mode, ctypes.c_long(offset), ctypes.c_long(length)) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def fails(code, function, *arguments):
    try:
        result = function(*arguments)
    except OSError as error:
        assert error.errno == code, f"{errno.errorcode[error.errno]}, not {errno.errorcode[code]}"
    else:
        raise AssertionError(f"{function.__name__}{arguments} gave {result}, not {errno.errorcode[code]}")



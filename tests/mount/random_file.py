"""Does the same random things to two files, and compares what comes of each.

    random_file.py FILE OTHER STEPS     KV_TEST_SEED=N repeats a run
"""
import ctypes
import errno
import mmap
import os
import random
import sys

SIZE_MAX = 400_000
CHUNK = 65536
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
libc = ctypes.CDLL(None, use_errno=True)


def main():
    paths, steps = sys.argv[1:3], int(sys.argv[3])
    seed = int(os.environ.get("KV_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"KV_TEST_SEED={seed}")
    chance = random.Random(seed)
    files = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    for step in range(steps):
        name, act = chance.choice(ACTIONS)
        arguments = chance.randrange(SIZE_MAX), chance.choice((1, 50, 4096, 5000, 70_000, 200_000))
        data = chance.randbytes(arguments[1])
        results = [act(file, *arguments, data) for file in files]
        assert results[0] == results[1], f"step {step}: {name}{arguments} differs"
        if chance.random() < 0.02:
            for i, path in enumerate(paths):
                os.close(files[i])
                files[i] = os.open(path, os.O_RDWR)


def write(file, offset, _, data):
    return os.pwrite(file, data, offset)


def read(file, offset, length, _):
    return os.pread(file, length, offset)


def cut(file, offset, length, _):
    os.ftruncate(file, (offset + length) // 2)


def size(file, *_):
    return os.fstat(file).st_size


def sync(file, *_):
    os.fsync(file)


def map_write(file, offset, _, data):
    length = os.fstat(file).st_size
    if length == 0:
        return
    offset %= length
    data = data[: length - offset]
    with mmap.mmap(file, length) as mapping:
        mapping[offset : offset + len(data)] = data
        mapping.flush()


def map_read(file, offset, length, _):
    end = os.fstat(file).st_size
    if end == 0:
        return b""
    with mmap.mmap(file, end, prot=mmap.PROT_READ) as mapping:
        return mapping[offset : offset + length]


def punch(file, offset, length, _):
    return fallocate(file, PUNCH_HOLE | KEEP_SIZE, offset, length)


def zero(file, offset, length, data):
    return fallocate(file, ZERO_RANGE | (KEEP_SIZE if data[0] % 2 else 0), offset, length)


def reserve(file, offset, length, data):
    return fallocate(file, KEEP_SIZE if data[0] % 2 else 0, offset, length)


def fallocate(file, mode, offset, length):
    """In bytes, where the local file system cannot do it: what must come of it, not how."""
    end = os.fstat(file).st_size
    if libc.fallocate(file, mode, ctypes.c_long(offset), ctypes.c_long(length)) == 0:
        return
    assert ctypes.get_errno() == errno.EOPNOTSUPP, os.strerror(ctypes.get_errno())
    if not mode & KEEP_SIZE and offset + length > end:
        os.ftruncate(file, offset + length)
    elif offset + length > end:
        length = max(0, end - offset)
    if mode & (PUNCH_HOLE | ZERO_RANGE):
        os.pwrite(file, bytes(length), offset)


def copy(file, offset, length, data):
    """Within the file, half of the time to an equal place in a chunk; the two local file systems may copy in parts."""
    target = int.from_bytes(data[:4], "little") % SIZE_MAX
    if len(data) > 4 and data[4] % 2:
        target = target // CHUNK * CHUNK + offset % CHUNK
    try:
        done = 0
        while part := os.copy_file_range(file, file, length - done, offset + done, target + done):
            done += part
        return done
    except OSError as error:
        return error.errno


ACTIONS = [
    (act.__name__, act)
    for act in (write, write, write, read, read, read, cut, size, sync, map_write, map_read)
    + (punch, zero, reserve, copy, copy)
]

main()

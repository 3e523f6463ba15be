"""Does the same random things to two files, and compares what comes of each.

    random_file.py FILE OTHER STEPS     KV_TEST_SEED=N repeats a run
"""
import mmap
import os
import random
import sys

SIZE_MAX = 400_000


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


ACTIONS = [
    (act.__name__, act) for act in (write, write, write, read, read, read, cut, size, sync, map_write, map_read)
]

main()

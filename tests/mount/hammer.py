"""hammer.py FOLDER SECONDS: makes, moves, reads, lists and removes a few names for so long, whatever others do to them.

Fails when a call takes longer than 15 s, or fails with what no such race explains."""
import errno
import os
import random
import sys
import time

folder, seconds = sys.argv[1], float(sys.argv[2])
seed = random.randrange(1 << 32)
print(f"hammer.py {folder}: seed {seed}")
choose = random.Random(seed)
expected = {errno.EPERM, errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.ESTALE}


def write(name):
    with open(name, "w", encoding="ascii") as file:
        file.write(name)


def read(name):
    with open(name, encoding="ascii") as file:
        file.read()


def name():
    return f"{folder}/n{choose.randrange(3)}"


moves = [lambda: write(name()), lambda: os.rename(name(), name()), lambda: os.mkdir(name()), lambda: read(name()),
         lambda: os.unlink(name()), lambda: os.rmdir(name()), lambda: os.listdir(folder), lambda: os.stat(name()),
         lambda: os.link(name(), name())]
end = time.monotonic() + seconds
while time.monotonic() < end:
    began = time.monotonic()
    try:
        choose.choice(moves)()
    except OSError as error:
        assert error.errno in expected, error
    assert time.monotonic() - began < 15, "stuck"

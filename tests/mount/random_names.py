"""Does the same random things to the names in two trees, and compares what comes of each.

    random_names.py TREE OTHER STEPS     KV_TEST_SEED=N repeats a run
"""
import errno
import os
import random
import stat
import sys

# Where Linux file systems differ among themselves, either answer is right.
SAME = {errno.EEXIST: errno.ENOTEMPTY}


def main():
    trees, steps = sys.argv[1:3], int(sys.argv[3])
    seed = int(os.environ.get("KV_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"KV_TEST_SEED={seed}")
    chance = random.Random(seed)
    for step in range(steps):
        act = chance.choice(ACTIONS)
        paths = path_of(chance), path_of(chance)
        results = [attempt(act, *(os.path.join(tree, path) for path in paths)) for tree in trees]
        assert results[0] == results[1], f"step {step}: {act.__name__}{paths}: {results[0]} and {results[1]}"


def path_of(chance):
    return "/".join(chance.choice("abcde") for _ in range(chance.choice((1, 1, 2, 2, 3))))


def attempt(act, one, two):
    try:
        return act(one, two)
    except OSError as error:
        return errno.errorcode[SAME.get(error.errno, error.errno)]


def make_file(one, _):
    os.close(os.open(one, os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def append(one, _):
    with open(one, "a") as file:
        file.write("text")


def make_directory(one, _):
    os.mkdir(one)


def make_link(one, two):
    os.link(one, two, follow_symlinks=False)


def make_symlink(one, two):
    os.symlink(os.path.basename(two), one)


def rename(one, two):
    os.rename(one, two)


def remove(one, _):
    os.unlink(one)


def remove_directory(one, _):
    os.rmdir(one)


def listing(one, _):
    return sorted(os.listdir(one))


def look(one, _):
    status = os.lstat(one)
    size = None if stat.S_ISDIR(status.st_mode) else status.st_size
    return stat.filemode(status.st_mode), status.st_nlink if size is not None else None, size


def read(one, _):
    with open(one, "rb") as file:
        return file.read()


ACTIONS = [make_file, append, append, make_directory, make_directory, make_link, make_symlink, rename, rename, remove,
           remove_directory, listing, look, read]

main()

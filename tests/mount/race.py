"""Two or more processes after one name, each in its own directory of the two given, which show one tree: the same mount
twice, or two mounts of one server.

    race.py DIRECTORY OTHER CASE

Every case runs rounds until RACE_SECONDS (default 2) are over, at least ten, and ends with an error where the promise is
broken.
"""
import errno
import os
import sys
import time

SECONDS = float(os.environ.get("RACE_SECONDS", 2))
ROUNDS_MIN = 10


def rounds():
    end = time.monotonic() + SECONDS
    number = 0
    while number < ROUNDS_MIN or time.monotonic() < end:
        yield number
        number += 1


def attempt(function, *arguments):
    """The errno, or 0."""
    try:
        function(*arguments)
        return 0
    except OSError as error:
        return error.errno


class Rival:
    """A child that does `act(directory, round)` when told to, at the same time as we do, and says what came of it."""

    def __init__(self, directory, act):
        self.orders, orders_out = os.pipe()
        results_in, self.results = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(orders_out)
            os.close(results_in)
            while order := os.read(self.orders, 8):
                os.write(self.results, act(directory, int.from_bytes(order, "little")).to_bytes(8, "little"))
            os._exit(0)
        os.close(self.orders)
        os.close(self.results)
        self.orders, self.results = orders_out, results_in

    def go(self, number):
        os.write(self.orders, number.to_bytes(8, "little"))

    def result(self):
        answer = os.read(self.results, 8)
        assert answer, "the other process has failed"
        return int.from_bytes(answer, "little")

    def end(self):
        os.close(self.orders)
        assert os.waitpid(self.pid, 0)[1] == 0, "the other process has failed"


def both(rival, act, directory, number):
    rival.go(number)
    mine = act(directory, number)
    return mine, rival.result()


def exclusive(here, there):
    """Of two that create a name with O_EXCL, or make a directory, a link, a symlink, one wins."""

    def act(directory, number):
        path = f"{directory}/x{number}"
        makers = (lambda: os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)), lambda: os.mkdir(path),
                  lambda: os.link(f"{directory}/source", path), lambda: os.symlink("target", path))
        return attempt(makers[number % 4])

    os.close(os.open(f"{here}/source", os.O_CREAT | os.O_WRONLY))
    rival = Rival(there, act)
    for number in rounds():
        assert sorted(both(rival, act, here, number)) == [0, errno.EEXIST], number
    rival.end()


def noreplace(here, there):
    """Of two that move a file to one name without replacing, one wins, and the loser's file is still there."""
    from differ import RENAME_NOREPLACE, renameat2

    def act_from(own):
        def act(directory, number):
            return attempt(renameat2, f"{directory}/{own}{number}", f"{directory}/x{number}", RENAME_NOREPLACE)
        return act

    rival = Rival(there, act_from("b"))
    for number in rounds():
        for own in "ab":
            with open(f"{here}/{own}{number}", "w", encoding="ascii") as file:
                file.write(own)
        mine, other = both(rival, act_from("a"), here, number)
        assert sorted((mine, other)) == [0, errno.EEXIST], number
        winner, loser = "ab" if mine == 0 else "ba"
        with open(f"{there}/x{number}", encoding="ascii") as file:
            assert file.read() == winner
        assert os.path.exists(f"{here}/{loser}{number}") and not os.path.exists(f"{there}/{winner}{number}")
    rival.end()


def replacing(here, there):
    """A name that is replaced by rename, again and again, is there for every observer at every time, whole."""

    def act(directory, number):
        for _ in range(50):
            try:
                with open(f"{directory}/name", "rb") as file:
                    content = file.read()
            except OSError as error:
                # kvfs(8), LIMITS: an open file that another mount takes the name of.
                if error.errno == errno.ESTALE and here != there:
                    continue
                raise
            if len(content) != 5000 or len(set(content)) != 1:
                return 1
        return 0

    def put(number):
        with open(f"{here}/new", "wb") as file:
            file.write(bytes([number % 256]) * 5000)
        os.rename(f"{here}/new", f"{here}/name")

    put(0)
    rival = Rival(there, act)
    for number in rounds():
        rival.go(number)
        for step in range(20):
            put(number + step)
        assert rival.result() == 0, number
    rival.end()


def moving(here, there):
    """A file that is moved to and fro between two directories, or changes places with another, is never seen in both
    nor, looked for in the order in which it moves, in none; a directory moved with what is in it brings it along."""
    from differ import RENAME_EXCHANGE, renameat2

    def act(directory, number):
        for _ in range(30):
            with open(f"{directory}/left/inside", "rb") as left:
                one = left.read()
            if one not in (b"one", b"two"):
                return 1
        return 0

    for name, content in ("left", b"one"), ("right", b"two"):
        os.mkdir(f"{here}/{name}")
        with open(f"{here}/{name}/inside", "wb") as file:
            file.write(content)
    rival = Rival(there, act)
    for number in rounds():
        rival.go(number)
        for _ in range(20):
            renameat2(f"{here}/left", f"{here}/right", RENAME_EXCHANGE)
        assert rival.result() == 0, number
    rival.end()


def emptied(here, there):
    """rmdir against create: either the directory is gone and the file was never made, or both are there."""

    def create(directory, number):
        return attempt(lambda: os.close(os.open(f"{directory}/d{number}/file", os.O_CREAT | os.O_WRONLY)))

    rival = Rival(there, create)
    for number in rounds():
        os.mkdir(f"{here}/d{number}")
        mine, other = both(rival, lambda directory, n: attempt(os.rmdir, f"{directory}/d{n}"), here, number)
        if mine == 0:
            assert other == errno.ENOENT, (number, other)
            assert not os.path.exists(f"{there}/d{number}")
        else:
            assert (mine, other) == (errno.ENOTEMPTY, 0), (number, mine, other)
            assert os.listdir(f"{there}/d{number}") == ["file"]
    rival.end()


def removed_once(here, there):
    """Of two that remove a name one succeeds, of two that move it too."""

    def act(directory, number):
        name = f"{directory}/x{number}"
        if number % 2:
            return attempt(os.unlink, name)
        return attempt(os.rename, name, f"{directory}/y{number}-{os.getpid()}")

    rival = Rival(there, act)
    for number in rounds():
        os.close(os.open(f"{here}/x{number}", os.O_CREAT | os.O_WRONLY))
        assert sorted(both(rival, act, here, number)) == [0, errno.ENOENT], number
        assert len([name for name in os.listdir(there) if name.startswith(f"y{number}-")]) == 1 - number % 2
    rival.end()


def appended(here, there):
    """What two append, each with the file held open, is all there. On one mount in whole writes; by way of two, the
    kernel parts a write where it crosses a page (kvfs(8), LIMITS)."""

    def act_with(letter):
        def act(directory, number):
            file = os.open(f"{directory}/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for line in range(20):
                os.write(file, f"{letter}{number}-{line} ".encode() + letter.encode() * (line * 97) + b"\n")
            os.close(file)
            return 0
        return act

    rival, count = Rival(there, act_with("b")), 0
    for number in rounds():
        both(rival, act_with("a"), here, number)
        count += 1
    rival.end()
    with open(f"{there}/log", "rb") as file:
        content = file.read()
    for letter in b"ab":
        assert content.count(letter) == count * sum(1 + line * 97 for line in range(20)), letter
    lines = content.splitlines()
    assert len(lines) == count * 40
    if here == there:
        assert len(set(lines)) == len(lines)
        for line in lines:
            assert line.endswith(b" " + line[:1] * (int(line.split()[0].split(b"-")[1]) * 97)), line[:60]


def main():
    here, there, case = sys.argv[1:]
    os.mkdir(f"{here}/{case}")
    globals()[case](f"{here}/{case}", f"{there}/{case}")


main()

"""Makes the same random system calls in two directories, as root and as two users, and compares what comes of each call
and, at the end of each round, the two trees.

    random_calls.py DIRECTORY OTHER [--seconds N | --rounds N] [--steps N]     KV_TEST_SEED=N begins with that round

The first DIRECTORY is what is tested, OTHER lies in a tmpfs mounted with noatime. A round begins with empty directories
and has a seed of its own, which is printed when it fails: with it the round, and no other, can be run again. Each user's
calls are made by this process in turn, so that a descriptor which one has opened the next may use.

Times are compared where a call has set them (before 2001); else it is compared whether they have moved since they were
noted. What differs between any two file systems (inode numbers, blocks, a directory's size) is left out.
"""
import argparse
import os
import random
import shutil
import sys
import time

import calls
from calls import Tree, User

HISTORY = int(os.environ.get("KV_DIFFER_HISTORY", 25))  # calls to show where one differs


def main():
    options = argparse.ArgumentParser()
    options.add_argument("places", nargs=2)
    options.add_argument("--seconds", type=float)
    options.add_argument("--rounds", type=int, default=0)
    options.add_argument("--steps", type=int, default=3000)
    options = options.parse_args()
    given = os.environ.get("KV_TEST_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(1 << 32)
    end = time.monotonic() + options.seconds if options.seconds else None
    rounds = 0
    while not rounds or rounds < options.rounds or (end and time.monotonic() < end):
        run_round(seed + rounds, options.places, options.steps)
        rounds += 1
    print(f"{rounds} rounds of {options.steps} calls, KV_TEST_SEED={seed} and on: no difference", flush=True)


def run_round(seed, places, steps):
    chance = random.Random(seed)
    trees = [Tree(os.path.join(place, "round")) for place in places]
    users = [User(0, 0, ()), User(calls.ALICE, calls.ALICE, (calls.TEAM,)), User(calls.BOB, calls.BOB, ())]
    user, history = users[0], []
    for tree in trees:
        tree.begin()
    for step in range(steps):
        if chance.random() < 0.2:
            user = chance.choice(users + users[:2])
        name, arguments = calls.random_call(chance)
        user.enter()
        results = [tree.call(name, arguments) for tree in trees]
        users[0].enter()
        history.append(f"{step} as {user.uid}: {name}{arguments} = {shorten(results[0])}")
        if results[0] != results[1]:
            fail(seed, trees, history, f"on {trees[0].root}: {results[0]}\non {trees[1].root}: {results[1]}")
    compare(seed, trees, history)
    for tree in trees:
        tree.end()
        shutil.rmtree(tree.top)


def compare(seed, trees, history):
    seen = [tree.walk() for tree in trees]
    for path in sorted(set(seen[0]) | set(seen[1])):
        if seen[0].get(path) != seen[1].get(path):
            fail(seed, trees, history, f"at the end, {path}:\non {trees[0].root}: {seen[0].get(path)}\n"
                                       f"on {trees[1].root}: {seen[1].get(path)}")


def shorten(result):
    text = str(result)
    return text if len(text) < 160 else text[:160] + "..."


def fail(seed, trees, history, text):
    print("the last calls:")
    print("\n".join(history[-HISTORY:]))
    for descriptors in zip(*(sorted(tree.files.items()) for tree in trees)):
        slot, descriptor = descriptors[0]
        print(f"slot {slot}: {os.readlink(f'/proc/self/fd/{descriptor}')}")
    sys.exit(f"{text}\nKV_TEST_SEED={seed} repeats the round")


main()

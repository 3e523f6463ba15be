#!/usr/bin/env bats
# Real programs at work on the mount. (kind.bash: over which mounts.)

load ../lib
load ../expect
load kind

setup() {
    setup_kvfs
    mount_a_store
    # What git and its like find in the home of whoever runs the tests is none of their business.
    export HOME=$T/home GIT_CONFIG_NOSYSTEM=1
    mkdir "$HOME"
}

# sample_tree DIR: a bit of everything a tree of files can hold, with times and modes that are not of today.
sample_tree() {
    mkdir -p "$1"/{bin,doc/deep/er,empty}
    random_file "$1/bin/random" 300000
    echo '#!/bin/sh' >"$1/bin/run"
    chmod 755 "$1/bin/run"
    echo text >"$1/doc/two words"
    echo secret >"$1/doc/deep/secret"
    chmod 600 "$1/doc/deep/secret"
    : >"$1/doc/deep/er/nothing"
    ln -s ../bin/run "$1/doc/link"
    ln "$1/doc/two words" "$1/doc/deep/same"
    ln -s nowhere "$1/dangling"
    chmod 750 "$1/doc/deep"
    find "$1" -depth -exec touch -h -d '2019-05-04 03:02:01.123456789' {} +
}

# inventory DIR: all that is in it: type, mode, links, size of files, times, where links lead, content.
inventory() {
    (
        cd "$1" || exit
        find . -mindepth 1 -printf '%P %y %m %U %G %T@ %l ' \( -type d -printf '\n' -o -printf '%n %s\n' \) | LC_ALL=C sort
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    )
}

same_trees() {
    inventory "$1" >"$T/inventory.1"
    inventory "$2" >"$T/inventory.2"
    diff "$T/inventory.1" "$T/inventory.2"
}

@test "tar puts a tree on the mount and takes it off again, unchanged" {
    sample_tree "$T/tree"
    mkdir "$M/tree" "$T/back"
    tar -C "$T/tree" -H posix -cf - . | tar -C "$M/tree" -xpf -
    same_trees "$T/tree" "$M/tree"
    tar -C "$M/tree" -df <(tar -C "$T/tree" -H posix -cf - .)
    tar -C "$M/tree" -H posix -cf - . | tar -C "$T/back" -xpf -
    same_trees "$T/tree" "$T/back"
}

@test "cp -a makes a copy on the mount, and one from mount to mount" {
    sample_tree "$T/tree"
    cp -a "$T/tree" "$M/one"
    cp -a "$M/one" "$M/two"
    same_trees "$T/tree" "$M/one"
    same_trees "$T/tree" "$M/two"
}

@test "rsync -a makes a copy, brings it up to date, and then has nothing to do" {
    sample_tree "$T/tree"
    rsync -aH "$T/tree/" "$M/tree/"
    same_trees "$T/tree" "$M/tree"
    echo more >>"$T/tree/doc/deep/secret"
    rm -r "$T/tree/bin"
    rsync -aH --delete "$T/tree/" "$M/tree/"
    same_trees "$T/tree" "$M/tree"
    is '' rsync -aHi --delete "$T/tree/" "$M/tree/"
}

@test "git initializes, adds, commits, branches, merges, packs, clones and finds nothing wrong" {
    local i
    mkdir "$M/repository"
    cd "$M/repository"
    git init -q -b main
    git config user.name Tester
    git config user.email tester@example.org
    sample_tree tree
    git add .
    git commit -qm first
    git checkout -qb branch
    for i in {1..20}; do
        echo "$i" >"file-$i"
    done
    git add .
    git commit -qm second
    git checkout -q main
    echo else >>tree/doc/deep/secret
    git commit -qam third
    git merge -q --no-edit branch
    git fsck --strict --full
    git gc -q
    git fsck --strict --full
    is '' git status --porcelain
    git clone -q . "$M/clone"
    git clone -q --no-hardlinks . "$T/clone"
    cd "$M/clone"
    git fsck --strict --full
    is '' git status --porcelain
    is "$(git -C "$T/clone" rev-parse HEAD)" git rev-parse HEAD
    is 4 git rev-list --count HEAD
    diff -r --no-dereference --exclude=.git "$M/clone" "$T/clone"
    cd /
}

sqlite_works() {
    sqlite3 "$1" "PRAGMA journal_mode=$2; CREATE TABLE t(k INTEGER PRIMARY KEY, v TEXT);" >"$T/mode"
    [ "$(cat "$T/mode")" = "$2" ]
    sqlite3 "$1" 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000)
        INSERT INTO t SELECT i, hex(randomblob(40)) FROM n;'
    sqlite3 "$1" 'BEGIN; DELETE FROM t WHERE k % 2; ROLLBACK;'
    sqlite3 "$1" 'DELETE FROM t WHERE k % 3 = 0; VACUUM;'
    is "ok
3334" sqlite3 "$1" 'PRAGMA integrity_check; SELECT count(*) FROM t;'
}

@test "sqlite3 keeps a database, with a journal that it deletes, truncates or overwrites" {
    sqlite_works "$M/delete.db" delete
    sqlite_works "$M/truncate.db" truncate
    sqlite_works "$M/persist.db" persist
}

@test "sqlite3 keeps a database with a write-ahead log, which it maps into memory" {
    sqlite_works "$M/wal.db" wal
}

@test "a C program is built with make, and runs" {
    mkdir "$M/src"
    cd "$M/src"
    printf '#include "part.h"\nint main(void) { return part() - 42; }\n' >main.c
    printf 'int part(void);\n' >part.h
    printf '#include "part.h"\nint part(void) { return 42; }\n' >part.c
    printf 'prog: main.o part.o\n\t$(CC) -o $@ $^\nmain.o part.o: part.h\n' >Makefile
    env -u MAKEFLAGS -u MAKELEVEL make -s
    ./prog
    # Nothing has changed: the times are such that make sees it.
    env -u MAKEFLAGS -u MAKELEVEL make -q
    printf '#include "part.h"\nint part(void) { return 43; }\n' >part.c
    says 1 '' env -u MAKEFLAGS -u MAKELEVEL make -q
    env -u MAKEFLAGS -u MAKELEVEL make -s
    fails ./prog
    cd /
}

@test "sed -i and other programs that write a new file and rename it over the old one" {
    printf 'one\ntwo\n' >"$M/file"
    chmod 640 "$M/file"
    sed -i s/one/three/ "$M/file"
    is $'three\ntwo' kv get file
    is 640 stat -c %a "$M/file"
    sort -o "$M/file" "$M/file"
    is $'three\ntwo' cat "$M/file"
    is file ls -A "$M"
}

@test "find, du, wc and grep see the whole tree" {
    local i
    for i in {1..50}; do
        echo "line $i" | kv set "tree/$((i % 5))/file-$i"
    done
    [ "$(find "$M" -type f | wc -l)" -eq 50 ]
    [ "$(find "$M" -type d | wc -l)" -eq 7 ]
    [ "$(find "$M" -name 'file-1*' -newermt 2020-01-01 | wc -l)" -eq 11 ]
    [ "$(du -s --apparent-size -B1 "$M/tree/3/file-13" | cut -f1)" -eq 8 ]
    [ "$(cat "$M"/tree/*/* | wc -l)" -eq 50 ]
    is "$M/tree/2/file-42" grep -rl 'line 42' "$M"
}

@test "dd writes in the middle, leaves holes, and cuts" {
    random_file "$T/block" 4096
    cp "$T/block" "$T/local"
    cp "$T/block" "$M/file"
    for file in "$T/local" "$M/file"; do
        dd if="$T/block" of="$file" bs=1000 seek=1234 count=3 conv=notrunc status=none
        printf XYZ | dd of="$file" bs=1 seek=70000 conv=notrunc status=none
        dd if="$T/block" of="$file" bs=512 seek=4000 count=1 conv=notrunc status=none
    done
    cmp "$T/local" "$M/file"
    # A hole takes no room: 2 MB long, a few chunks of 64 KiB stored.
    [ "$(stat -c '%s' "$M/file")" -eq $((4000 * 512 + 512)) ]
    [ $(($(stat -c '%b' "$M/file") * 512)) -lt 300000 ]
    truncate -s 65000 "$T/local" "$M/file"
    truncate -s 200000 "$T/local" "$M/file"
    cmp "$T/local" "$M/file"
    dd if="$M/file" bs=777 skip=3 count=50 status=none | cmp - <(dd if="$T/local" bs=777 skip=3 count=50 status=none)
}

@test "programs map files into memory, shared and private, and lock them" {
    /usr/bin/python3 - "$M/file" <<'PYTHON'
import fcntl, mmap, os, sys
path = sys.argv[1]
fd = os.open(path, os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 200000)
with mmap.mmap(fd, 200000) as shared:
    shared[70000:70005] = b"hello"
    shared.flush()
assert os.pread(fd, 5, 70000) == b"hello"
with mmap.mmap(fd, 200000, flags=mmap.MAP_PRIVATE) as private:
    private[0:4] = b"mine"
assert os.pread(fd, 4, 0) == b"\0\0\0\0"
other = os.open(path, os.O_RDWR)
fcntl.flock(fd, fcntl.LOCK_EX)
try:
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    raise SystemExit("two hold one lock")
except BlockingIOError:
    pass
fcntl.flock(fd, fcntl.LOCK_UN)
fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10)
PYTHON
    is hello kv getrange file 70000 70004
}

@test "many writers to one file in append mode lose nothing" {
    local i writers=()
    for i in {1..4}; do
        (for line in {1..100}; do echo "writer $i line $line" >>"$M/log"; done) 3>&- &
        writers+=($!)
    done
    wait "${writers[@]}"
    [ "$(kv get log | sort -u | wc -l)" -eq 400 ]
}

@test "random reads, writes, cuts and mappings do to a file on the mount what they do to a local one" {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/random_file.py" "$M/file" "$T/local" 3000
    cmp "$T/local" "$M/file"
    kv get file | cmp - "$T/local"
}

@test "random makings, moves and removals of names do to a tree on the mount what they do to a local one" {
    mkdir "$M/tree" "$T/tree"
    /usr/bin/python3 "$BATS_TEST_DIRNAME/random_names.py" "$M/tree" "$T/tree" 3000
    diff -r --no-dereference "$M/tree" "$T/tree"
}

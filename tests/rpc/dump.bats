#!/usr/bin/env bats
# kv dump and load: a whole store in one file, and back.

load ../lib
load ../expect

setup() {
    setup_kvfs
    start_server
}

# A second store. Sets OTHER.
start_other() {
    OTHER=kv+unix://$T/other.sock
    "$KV_BIN/kvcored" --unix "$T/other.sock" >"$T/other.out" 2>&1 </dev/null 3>&- &
    OTHER_PID=$!
    wait_until grep -q ready "$T/other.out"
}

teardown() {
    [ -z "${OTHER_PID:-}" ] || kill "$OTHER_PID"
    teardown_kvfs
}

fill() {
    kv set a/b/c value
    kv set empty ''
    random_file "$T/long" 2500000
    kv set long <"$T/long"
    kv ln a/b/c a/second
    kv ln -s a/b a/link
    kv set fleeting x --ttl 1h
    mount_kvfs "$KV_STORE" "$T/mnt"
    truncate -s 1G "$T/mnt/hole"
    setfattr -n user.color -v red "$T/mnt/a/b/c"
    setfacl -d -m u:1234:rwx "$T/mnt/a/b"
    mkfifo "$T/mnt/a/fifo"
    chmod 1777 "$T/mnt"
    touch -d '1960-01-02 03:04:05.678901234' "$T/mnt/a/b/c"
}

@test "a store that was dumped and loaded is the same, times to live included" {
    fill
    kv dump "$T/dump"
    [ ! -e "$T/dump.part" ]
    start_other
    kv -s "$OTHER" load "$T/dump"
    mkdir "$T/mnt2"
    mount_kvfs "$OTHER" "$T/mnt2"
    rsync --dry-run --itemize-changes --checksum -aHAX --delete --exclude /.kvfs "$T/mnt/" "$T/mnt2/" >"$T/differences"
    [ ! -s "$T/differences" ] || { cat "$T/differences"; false; }
    says 0 '^3[56][0-9][0-9]$' kv -s "$OTHER" ttl fleeting
    [ "$(stat -c %b "$T/mnt2/hole")" -eq 0 ]
}

@test "a dump goes through a pipe, and tar can read it" {
    fill
    start_other
    kv dump - 2>"$T/err" | kv -s "$OTHER" load -
    is value kv -s "$OTHER" get a/b/c
    kv dump - 2>/dev/null | lz4 -d 2>/dev/null | tar -tf - >"$T/names"
    grep -qx 'a/b/c' "$T/names"
    grep -qx 'a/link' "$T/names"
}

@test "a dump that is cut anywhere, or has a byte changed anywhere, is refused before anything is loaded" {
    kv set a "$(seq 200)"
    kv set b/c "$(seq 300)"
    kv dump "$T/dump"
    start_other
    /usr/bin/python3 - "$T" "$OTHER" <<'PY'
import os, subprocess, sys
folder, other = sys.argv[1:]
whole = open(folder + "/dump", "rb").read()
step = max(1, len(whole) // 60)
def refused(data, what):
    with open(folder + "/bad", "wb") as file:
        file.write(data)
    done = subprocess.run(["kv", "-s", other, "load", folder + "/bad"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 4, (what, done)
    assert folder + "/bad: " in done.stderr, (what, done)
# The last bytes are lz4's: its end mark, and a checksum over what the blocks' own have proved.
for length in range(0, len(whole) - 8, step):
    refused(whole[:length], "cut at %d" % length)
for at in range(0, len(whole) - 8, step):
    refused(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:], "byte %d" % at)
PY
    is '' kv -s "$OTHER" ls
    says 0 'sound: 4 entries' kv load --check "$T/dump"
    random_file "$T/long" 9000000
    kv set long <"$T/long"
    kv dump "$T/dump"
    printf x | dd of="$T/dump" bs=1 seek=6000000 conv=notrunc status=none
    says 4 'damaged behind byte [0-9]+' kv load --check "$T/dump"
}

@test "a full store is not loaded over without --merge; with it, files are replaced and others stay" {
    kv set both old
    kv set mine mine
    kv dump "$T/dump"
    kv set both new
    kv set other other
    says 4 'not empty.*--merge' kv load "$T/dump"
    is new kv get both
    kv load --merge "$T/dump"
    is old kv get both
    is other kv get other
}

@test "what is no dump, or one of a newer format, is refused with a reason" {
    echo hello >"$T/text"
    says 4 'no dump of kvfs' kv load "$T/text"
    tar -C "$T" -cf "$T/tar" text
    says 4 'no dump of kvfs' kv load "$T/tar"
    mkdir "$T/.kvfs"
    echo 'kvfs dump 99' >"$T/.kvfs/dump"
    tar -C "$T" -cf "$T/new" .kvfs/dump
    says 4 "format 'kvfs dump 99', newer" kv load "$T/new"
    says 4 'ENOENT|No such file|open' kv load "$T/nowhere"
    says 4 '' kv dump "$T/no/such/folder/dump"
    mkfifo "$T/fifo"
    cat "$T/fifo" >"$T/through" &
    kv dump "$T/fifo"
    wait $!
    [ -p "$T/fifo" ]
    ln -s target "$T/link"
    : >"$T/target"
    kv dump "$T/link"
    [ -L "$T/link" ]
    kv load --check "$T/target"
    kv load --check "$T/through"
    says 2 'terminal' script -qec "kv dump -" /dev/null
}

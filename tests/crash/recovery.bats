#!/usr/bin/env bats
# What a start finds, and says.

load ../lib
load ../expect

log_file() { ls "$T"/data/log-*.aof | tail -n 1; }

# Some changes in the log, and the process gone without a good-bye.
crashed_store() {
    local i
    start_server --dir "$T/data" --save ""
    for i in 1 2 3 4 5; do
        kv --durability synced set "key$i" "value$i"
    done
    kv set last one
    kill_server
}

# refuses PATTERN: kvcored does not start, and says so.
refuses() { says 1 "$1" "$KV_BIN/kvcored" --unix "$T/other.sock" --dir "$T/data"; }

@test "what was there is there again, whole" {
    start_server --dir "$T/data"
    kv set a/b c
    kv incr n
    kv snapshot --wait
    kv set behind it
    stop_server
    start_server --dir "$T/data"
    is c kv get a/b
    is 1 kv get n
    is it kv get behind
    [ "$(kv info persistence | sed -n 's/^loaded_records://p')" -eq 1 ]
}

@test "a torn end is cut, and told" {
    crashed_store
    truncate -s -3 "$(log_file)"
    start_server --dir "$T/data"
    grep -qi 'torn\|cut' "$T/server.log"
    is value5 kv get key5
    says 1 'ENOENT' kv get last
    [ "$(kv info persistence | sed -n 's/^torn_bytes://p')" -gt 0 ]
}

@test "damage in the middle stops the start, with file, place and what to do" {
    crashed_store
    printf '\377' | dd of="$(log_file)" bs=1 seek=120 conv=notrunc status=none
    refuses "$(basename "$(log_file)")"
    grep -q '[0-9]' "$T/said"
    grep -q 'kv check' "$T/said"
    # Nothing was changed by looking.
    refuses 'kv check'
}

@test "a format from the future is refused" {
    crashed_store
    printf '\377' | dd of="$T/data/node.conf" bs=1 seek=8 conv=notrunc status=none
    refuses 'node.conf'
}

@test "a second owner is refused, and told the first" {
    start_server --dir "$T/data"
    refuses "in use by process $SERVER_PID"
}

@test "while it loads, a node says how far it is, and a mount waits" {
    start_server --dir "$T/data" --save ""
    kv bench -t set -c 50 -P 64 -r 400000 -n 400000 -q
    kv set wait/for it
    kill_server
    "$KV_BIN/kvcored" --unix "$T/s.sock" --dir "$T/data" >"$T/server.out" 2>>"$T/server.log" </dev/null 3>&- &
    SERVER_PID=$!
    wait_until kv ping
    if ! grep -q ' ready: ' "$T/server.out"; then
        says 4 'loading its data.*LOADING' kv get wait/for || grep -q ' ready: ' "$T/server.out"
        kv info persistence | grep -q '^loading:' 
    fi
    mount_kvfs "$KV_STORE" "$T/mnt"
    is it cat "$T/mnt/wait/for"
}

@test "snapshots alone: a last one at the end, and the next start has all" {
    start_server --dir "$T/data" --persistence snapshots
    kv set a b
    stop_server
    [ -z "$(ls "$T"/data/log-*.aof 2>/dev/null)" ]
    start_server --dir "$T/data" --persistence snapshots
    is b kv get a
}

@test "persistence none leaves nothing behind" {
    start_server --dir "$T/data" --persistence none
    kv set a b
    stop_server
    [ -z "$(ls "$T"/data/*.aof "$T"/data/*.rdb 2>/dev/null)" ]
}

@test "only so many snapshots are kept, and the log behind the oldest" {
    local i
    start_server --dir "$T/data" --save "" --keep-snapshots 2
    for i in 1 2 3 4; do
        kv set "k$i" v
        kv snapshot --wait
    done
    wait_until two_snapshots
    stop_server
    start_server --dir "$T/data"
    is v kv get k1
}

two_snapshots() { [ "$(ls "$T"/data/snapshot-*.rdb | wc -l)" -eq 2 ]; }

@test "a rule takes a snapshot by itself" {
    start_server --dir "$T/data" --save "1 1"
    kv set a b
    wait_until one_snapshot
}

one_snapshot() { ls "$T"/data/snapshot-*.rdb 2>/dev/null; }

@test "an open file without a name is let go at the next start" {
    start_server --dir "$T/data"
    kv set f x
    mount_kvfs "$KV_STORE" "$T/mnt"
    exec 9<"$T/mnt/f"
    rm "$T/mnt/f"
    kill_server
    exec 9<&-
    start_server --dir "$T/data"
    grep -q 'without a name are let go' "$T/server.log"
    [ "$(kv info keyspace | sed -n 's/^nodes://p')" -eq 1 ]
}

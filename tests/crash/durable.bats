#!/usr/bin/env bats
# What each level of durability costs in system calls of the log, and that who asks for more gets it. Counted by strace
# where the count is exact; by the server's own figures where time plays a part.

load ../lib
load ../expect

# log_calls COMMAND...: what the store's process does to its log while COMMAND runs, as lines of strace.
log_calls() {
    strace -f -q -e trace=pwrite64,fdatasync,fsync -o "$T/calls" -p "$PID" 2>"$T/strace.log" 3>&- &
    local tracer=$!
    wait_until traced
    "$@"
    kill -INT $tracer
    wait $tracer || true
}

traced() { grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$PID/status"; }

writes() { grep -c 'pwrite64(' "$T/calls"; }

syncs() { grep -c 'f\(data\)\?sync(' "$T/calls"; }

figure() { kv info persistence | sed -n "s/^$1://p"; }

all_is_synced() { [ "$(figure synced_index)" -eq "$(figure appended_index)" ]; }

start_level() {
    start_server --dir "$T/data" --durability "$1" --save ""
    PID=$SERVER_PID
}

set_ten() {
    local i
    for i in 1 2 3 4 5 6 7 8 9 10; do
        "$@" set "k$i" v >"$T/null"
    done
}

@test "synced: each of ten changes in a row is synced before its answer" {
    start_level synced
    log_calls set_ten kv
    [ "$(syncs)" -ge 10 ]
    [ "$(figure synced_index)" -eq 10 ]
}

@test "written: ten changes are ten writes, and no sync but the one a second" {
    start_level written
    log_calls set_ten kv
    [ "$(writes)" -ge 10 ]
    [ "$(syncs)" -le 5 ]
    [ "$(figure written_index)" -eq 10 ]
    wait_until all_is_synced
}

@test "a request that asks for synced gets it on a node that is not" {
    start_level written
    log_calls set_ten kv --durability synced
    [ "$(syncs)" -ge 10 ]
    says 4 'durability is memory, written or synced' kv --durability soon set k v
}

@test "many requests in one packet are one write" {
    start_level written
    kv bench -t set -c 1 -P 100 -n 1000 -r 100 -q
    [ "$(figure appended_index)" -eq 1000 ]
    [ "$(figure log_writes)" -le 100 ]
}

@test "many clients that wait for a sync share one" {
    start_level synced
    kv bench -t set -c 50 -n 2000 -r 100 -q
    [ "$(figure synced_index)" -eq 2000 ]
    [ "$(figure log_syncs)" -le 1000 ]
}

@test "kv sync waits for the disk" {
    start_level memory
    kv set a b
    kv sync
    [ "$(figure synced_index)" -eq 1 ]
}

@test "without a log everything is answered at once" {
    start_server
    kv --durability synced set a b
    kv sync
    says 4 'keeps its data in memory alone' kv snapshot
}

# Of a mount: what MOUNT_PID does while fsync(2), O_SYNC and O_DSYNC are used.
asks_for_the_disk() {
    /usr/bin/python3 - "$T/mnt/f" "$1" <<'EOF'
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | {"sync": os.O_SYNC, "dsync": os.O_DSYNC}.get(sys.argv[2], 0))
os.write(file, b"x" * 100)
{"fsync": os.fsync, "fdatasync": os.fdatasync}.get(sys.argv[2], lambda file: None)(file)
EOF
}

waits_for_the_disk() {
    local way
    for way in fsync fdatasync sync dsync; do
        log_calls asks_for_the_disk $way
        [ "$(syncs)" -ge 1 ] || { echo "$way did not sync" && return 1; }
    done
}

@test "fsync, fdatasync, O_SYNC and O_DSYNC wait for the disk, on a mount with the store embedded" {
    mount_kvfs "$T/data" "$T/mnt" -o 'durability=memory,save='
    PID=$(head -n 1 "$T/data/LOCK")
    export KV_STORE=$T/data
    waits_for_the_disk
    [ "$(figure synced_index)" -eq "$(figure appended_index)" ]
}

@test "fsync, fdatasync, O_SYNC and O_DSYNC wait for the disk, on a mount of a server" {
    start_level memory
    mount_kvfs "$KV_STORE" "$T/mnt"
    waits_for_the_disk
    [ "$(figure synced_index)" -eq "$(figure appended_index)" ]
}

#!/usr/bin/env bats
# A disk that fails: strace makes one call of the store's fail. The write says so, reads go on, a snapshot mends the log,
# and all that was acknowledged, before and after, is there at the next start.

load ../lib
load ../expect

figure() { kv info persistence | sed -n "s/^$1://p"; }

log_is() { [ "$(figure log_state)" = "$1" ]; }

traced() { grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$SERVER_PID/status"; }

# fail_next CALL [COMMAND...]: the next such call of the store fails with EIO. Ends when COMMAND has.
fail_next() {
    strace -f -q -e trace="$1" -e inject="$1":error=EIO:when=1 -o "$T/calls" -p "$SERVER_PID" 2>"$T/strace.log" 3>&- &
    local tracer=$!
    wait_until traced
    "${@:2}"
    kill -INT $tracer
    wait $tracer || true
    grep -q INJECTED "$T/calls"
}

expect_mended() {
    WAIT_S=30 wait_until log_is ok # the snapshot may fail once too: strace counts calls of each thread
    is before kv get before
    kv set after after
    [ "$(figure log_errors)" -gt 0 ]
    kill_server
    start_server --dir "$T/data" --save ""
    is before kv get before
    is after kv get after
}

@test "a sync that fails is an error of the write that waits for it, and a snapshot mends the log" {
    start_server --dir "$T/data" --durability synced --save ""
    kv set before before
    fail_next fdatasync says 4 'EIO' kv set lost value
    expect_mended
}

@test "a write to the log that fails is an error of what it was for, and a snapshot mends the log" {
    start_server --dir "$T/data" --save ""
    kv set before before
    fail_next pwrite64 says 4 'EIO' kv set lost value
    expect_mended
}

@test "on a mount fsync reports the disk's error, and reads go on" {
    start_server --dir "$T/data" --save ""
    kv set before before
    mount_kvfs "$KV_STORE" "$T/mnt"
    fail_next fdatasync says 1 'Input/output error' dd if=/dev/zero of="$T/mnt/file" bs=1k count=1 conv=fsync
    is before cat "$T/mnt/before"
    expect_mended
}

#!/usr/bin/env bats
# The server is out of reach: stopped, killed, or not there yet. A mount then waits (hard) or fails (soft,timeo=), never
# shows an empty directory, can always be interrupted, and can always be unmounted.

load ../lib
load ../expect

# A server that a test has stopped goes on first, else it could not be ended.
teardown() {
    [ -z "${SERVER_PID:-}" ] || kill -CONT "$SERVER_PID" 2>/dev/null || true
    teardown_kvfs
}

mount_and_stop_server() {
    start_server
    M=$T/mnt
    mount_kvfs "$KV_STORE" "$M" "$@"
    kv set dir/file v
    is v cat "$M/dir/file"
    kill -STOP "$SERVER_PID"
}

# waiting COMMAND...: in the background, and until it sits in a request to the mount. Sets WAITER. Jobs of a shell that
# is not interactive ignore SIGINT; this one shall not.
waiting() {
    env --default-signal=INT "$@" >"$T/out" 2>"$T/err" </dev/null 3>&- &
    WAITER=$!
    wait_until waits_for_mount "$WAITER"
}

waits_for_mount() { grep -qs fuse "/proc/$1/wchan" || grep -qs fuse "/proc/$1/stack"; }

ended_by() {
    local status=0
    WAIT_S=5 wait_until process_ended "$WAITER"
    wait "$WAITER" || status=$?
    [ "$status" -eq "$1" ] || {
        echo "status $status, not $1"
        cat "$T/out" "$T/err"
        return 1
    }
}

@test "a program waits while the server is stopped, and goes on with it" {
    mount_and_stop_server
    waiting cat "$M/dir/file"
    kill -CONT "$SERVER_PID"
    ended_by 0
    is v cat "$T/out"
}

@test "a listing waits while the server is stopped: it does not come out empty" {
    mount_and_stop_server
    waiting ls -A "$M"
    kill -CONT "$SERVER_PID"
    ended_by 0
    is dir cat "$T/out"
}

@test "Ctrl-C ends a program that waits for a stopped server" {
    local command
    mount_and_stop_server
    echo other >"$T/other"
    for command in "cat $M/dir/file" "ls -l $M/dir" "cp $T/other $M/dir/new" "stat $M/x"; do
        # shellcheck disable=SC2086 # a command and its arguments
        waiting $command
        kill -INT "$WAITER"
        ended_by 130
        [ ! -s "$T/out" ]
    done
}

@test "a signal that a program handles ends its wait too, in the middle of a write and of a sync" {
    local call
    for call in 'os.write(fd, b"x")' 'os.fsync(fd)'; do
        start_server
        M=$T/mnt
        mount_kvfs "$KV_STORE" "$M"
        kv set file v
        exec 9<>"$M/file"
        kill -STOP "$SERVER_PID"
        # Python turns the signal into an exception, and the call must come back for it.
        waiting /usr/bin/python3 -c "import os, sys
fd = 9
try:
    $call
except KeyboardInterrupt:
    sys.exit(42)"
        kill -INT "$WAITER"
        ended_by 42
        exec 9>&-
        fusermount3 -u "$M"
        kill -CONT "$SERVER_PID"
        stop_server
    done
}

@test "a read that waits for bytes of a file that the kernel knows ends with the program" {
    start_server
    M=$T/mnt
    mount_kvfs "$KV_STORE" "$M"
    kv set file v
    stat "$M/file"
    kill -STOP "$SERVER_PID"
    env --default-signal=INT cat "$M/file" >"$T/out" 2>"$T/err" </dev/null 3>&- &
    WAITER=$!
    waits_for_page() { waits_for_mount "$WAITER" || grep -qsE 'folio|page' "/proc/$WAITER/wchan" "/proc/$WAITER/stack"; }
    wait_until waits_for_page
    kill -INT "$WAITER"
    ended_by 130
    fusermount3 -u "$M"
    kill -CONT "$SERVER_PID"
}

@test "the mount works again after requests have been given up" {
    local i
    mount_and_stop_server
    for i in 1 2 3; do
        waiting cat "$M/dir/file"
        kill -INT "$WAITER"
        ended_by 130
    done
    kill -CONT "$SERVER_PID"
    is v cat "$M/dir/file"
    echo w >"$M/dir/file"
    is w kv get dir/file
}

@test "a mount is unmounted at once while the server is stopped" {
    mount_and_stop_server
    timeout 5 fusermount3 -u "$M"
    wait_until no_kvfs_runs
}

@test "umount(8) works while the server is stopped, and so do stat and df of the mount point" {
    [ "$(id -u)" -eq 0 ] || skip "only root may call umount"
    mount_and_stop_server
    timeout 5 stat "$M"
    says 1 'timed out' stat -f "$M"
    timeout 5 umount "$M"
    wait_until no_kvfs_runs
}

@test "SIGTERM to kvfs unmounts while the server is stopped and programs wait" {
    local daemon
    mount_and_stop_server
    waiting cat "$M/dir/file"
    daemon=$(kvfs_pid)
    kill -TERM "$daemon"
    wait_until process_ended "$daemon"
    [ -z "$(mounts_below "$M")" ]
    ended_by 1
}

# kvfs_pid: of the one kvfs of this test.
kvfs_pid() {
    local pid
    for pid in $(processes_of "$T"); do
        [ "$(readlink "/proc/$pid/exe")" != "$(readlink -f "$KV_BIN/kvfs")" ] || echo "$pid"
    done
}

@test "after kill -9 of the server programs wait for the next one" {
    start_server
    M=$T/mnt
    mount_kvfs "$KV_STORE" "$M"
    echo v >"$M/file"
    kill_server
    waiting stat -c %F "$M/name"
    kill -INT "$WAITER"
    ended_by 130
    waiting touch "$M/other"
    start_server
    ended_by 0
    wait_until kv exists other
    echo again >"$M/file"
    is again kv get file
}

@test "a listing never comes out empty because the server was killed" {
    start_server
    M=$T/mnt
    mount_kvfs "$KV_STORE" "$M"
    kv set dir/file v
    ls "$M/dir"
    kill_server
    waiting ls -A "$M"
    kill -INT "$WAITER"
    ended_by 130
    waiting ls -A "$M/dir"
    kill -INT "$WAITER"
    ended_by 130
    timeout 5 fusermount3 -u "$M"
}

@test "the mount comes up before the server does, and waits for it" {
    local store=kv+unix://$T/s.sock
    M=$T/mnt
    mount_kvfs "$store" "$M"
    waiting ls "$M"
    kill -INT "$WAITER"
    ended_by 130
    waiting mkdir "$M/dir"
    start_server
    ended_by 0
    is dir kv ls
}

@test "a mount whose server never came is unmounted at once" {
    mount_kvfs "kv+unix://$T/s.sock" "$T/mnt"
    timeout 5 fusermount3 -u "$T/mnt"
    wait_until no_kvfs_runs
    mount_kvfs "kv://127.0.0.1:1" "$T/mnt"
    timeout 5 fusermount3 -u "$T/mnt"
}

@test "soft,timeo= fails in its time when the server is stopped, and says no lies" {
    local before=$SECONDS
    mount_and_stop_server -o soft,timeo=1
    says 1 'timed out' cat "$M/dir/file"
    says 2 'timed out' ls -A "$M/dir"
    says 1 'timed out' mkdir "$M/sub"
    [ $((SECONDS - before)) -lt 10 ]
    kill -CONT "$SERVER_PID"
    wait_until cat "$M/dir/file"
    is v cat "$M/dir/file"
    is file ls -A "$M/dir"
}

@test "soft,timeo= fails in its time when the server is not there, and works when it is" {
    M=$T/mnt
    mount_kvfs "kv+unix://$T/s.sock" "$M" -o soft,timeo=1
    says 2 'timed out|refused' ls -A "$M"
    says 1 'timed out|refused' touch "$M/file"
    start_server
    wait_until touch "$M/file"
    is file kv ls
}

@test "what was written before the server stopped and what was written after are both there" {
    local i writer
    mount_and_stop_server
    kill -CONT "$SERVER_PID"
    (for i in {1..200}; do echo "line $i" >"$M/dir/line-$i" || exit 1; done) 3>&- &
    writer=$!
    for i in 1 2 3 4 5; do
        wait_until kv exists "dir/line-$((i * 30))" >/dev/null
        kill -STOP "$SERVER_PID"
        kill -CONT "$SERVER_PID"
    done
    wait "$writer"
    is 201 bash -c "ls '$M/dir' | wc -l"
    is 'line 200' kv get dir/line-200
}

@test "kv says that the server is not there, and that it does not answer, and exits with 3" {
    says 3 "$T/s.sock" kv -s "kv+unix://$T/s.sock" get key
    says 3 '127.0.0.1:1' kv -s kv://127.0.0.1:1 ping
    start_server
    kill -STOP "$SERVER_PID"
    says 3 'no answer' kv --timeout 300ms get key
    env --default-signal=INT kv --timeout 0 get key >"$T/out" 2>"$T/err" 3>&- &
    WAITER=$!
    wait_until grep -q epoll "/proc/$WAITER/wchan"
    kill -INT "$WAITER"
    ended_by 130
}

@test "a mount ends cleanly while files that were open without a name are still to be let go" {
    local i daemon
    M=$T/mnt
    start_server
    mkdir "$M"
    "$KV_BIN/kvfs" -f "$KV_STORE" "$M" >"$T/kvfs.out" 2>&1 3>&- &
    daemon=$!
    wait_until mountpoint -q "$M"
    for i in 1 2 3; do echo "$i" >"$M/file$i"; done
    exec 5<"$M/file1" 6<"$M/file2" 7<"$M/file3"
    rm "$M"/file*
    kill -STOP "$SERVER_PID"
    # One by one, so that the first is under way while the others are queued.
    local before
    before=$(read_by "$daemon")
    exec 5<&-
    wait_until has_read_more "$daemon" "$before"
    exec 6<&- 7<&-
    umount "$M"
    wait "$daemon"
    kill -CONT "$SERVER_PID"
}

# How much a process has read so far.
read_by() { sed -n 's/^rchar: //p' "/proc/$1/io"; }

has_read_more() { [ "$(read_by "$1")" -gt "$2" ]; }

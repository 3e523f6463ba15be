# What every test on the mount or on a server begins with: `load ../lib` in the .bats file.
#
#     load ../lib
#
#     @test "what is set by key is read as a file" {
#         start_server
#         mount_kvfs "$KV_STORE" "$T/mnt"
#         kv set greeting hello
#         [ "$(cat "$T/mnt/greeting")" = hello ]
#     }
#
# $T is the test's own folder. setup and teardown are here; a file that has its own calls setup_kvfs and teardown_kvfs
# in them. Whatever the outcome, teardown leaves no mount and no process, and a test that made that hard has failed: a
# file system that cannot be unmounted, a server that does not end when told to, a report of a sanitizer.
# The programs under test come first in PATH; KV_BIN names their folder.

# shellcheck source=tests/cleanup.bash
. "${BASH_SOURCE[0]%/*}/cleanup.bash"

KV_TOP=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
export KV_BIN=${KV_BIN:-$KV_TOP/build/bin}

setup() { setup_kvfs; }

teardown() { teardown_kvfs; }

setup_kvfs() {
    T=$BATS_TEST_TMPDIR
    export KV_TEST_ONE=$T PATH=$KV_BIN:$PATH
    # Whoever runs the tests may have a store of their own.
    unset KV_STORE SERVER_PID
}

# wait_until COMMAND...: until it succeeds, for WAIT_S (default 10) seconds; fails when it never did.
wait_until() {
    local deadline=$((SECONDS + ${WAIT_S:-10}))
    until "$@"; do
        if [ $SECONDS -ge $deadline ]; then
            echo "waited ${WAIT_S:-10} s in vain for: $*"
            return 1
        fi
        sleep 0.02
    done
}

# start_server [ARGUMENT...]: a node on $T/s.sock, ready when this returns. Sets SERVER_PID and KV_STORE.
start_server() {
    # What a server before this one said must not be taken for its words.
    : >"$T/server.out"
    # Closing 3 keeps bats from waiting for the server's end.
    "$KV_BIN/kvcored" --unix "$T/s.sock" "$@" >"$T/server.out" 2>>"$T/server.log" </dev/null 3>&- &
    SERVER_PID=$!
    export KV_STORE=kv+unix://$T/s.sock
    wait_until server_ready_or_gone || return 1
    if ! grep -q ' ready: ' "$T/server.out"; then
        echo "kvcored --unix $T/s.sock $* did not start:"
        cat "$T/server.out" "$T/server.log"
        return 1
    fi
}

server_ready_or_gone() {
    grep -q ' ready: ' "$T/server.out" || process_ended "$SERVER_PID"
}

# stop_server: as an operator would. kill_server: as a crash would. Both return when it has ended.
stop_server() { end_server TERM; }

kill_server() { end_server KILL; }

end_server() {
    local status=0
    [ -n "${SERVER_PID:-}" ] || return 0
    kill -"$1" "$SERVER_PID" 2>/dev/null || true
    if ! WAIT_S=5 wait_until process_ended "$SERVER_PID"; then
        kill -KILL "$SERVER_PID"
        status=1
    fi
    wait "$SERVER_PID" 2>/dev/null || true
    unset SERVER_PID
    return $status
}

process_ended() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

# mount_kvfs STORE DIR [ARGUMENT...]: kvfs goes to the background by itself once the mount can be used. Where the
# machine cannot mount, the test is skipped.
mount_kvfs() {
    local store=$1 dir=$2 missing
    shift 2
    missing=$("$KV_TOP/scripts/fuse-check" 2>&1) || skip "$missing"
    mkdir -p "$dir"
    if ! timeout 20 "$KV_BIN/kvfs" "$@" "$store" "$dir" >"$T/kvfs.log" 2>&1 </dev/null 3>&-; then
        echo "kvfs $* $store $dir failed:"
        cat "$T/kvfs.log"
        return 1
    fi
    if ! is_mounted "$dir"; then
        echo "kvfs $* $store $dir returned, but nothing is mounted there"
        return 1
    fi
}

is_mounted() { mounts_below "$1" | grep -qxF "$1"; }

# umount_kvfs DIR: as a user would, and until the daemon has let go of the store.
umount_kvfs() { fusermount3 -u "$1" && WAIT_S=5 wait_until no_kvfs_runs; }

# kvfs may have several mounts in one test: then there is nothing to wait for before the last has gone.
no_kvfs_runs() {
    local pid
    [ -z "$(mounts_below "$T")" ] || return 0
    for pid in $(processes_of "$T"); do
        [ "$(readlink "/proc/$pid/exe")" != "$(readlink -f "$KV_BIN/kvfs")" ] || return 1
    done
}

# umount_all: everything below $T; fails if something could not be unmounted at once.
umount_all() {
    local point status=0
    while IFS= read -r point; do
        [ -n "$point" ] || continue
        fusermount3 -u "$point" && continue
        echo "$point could not be unmounted"
        status=1
    done <<<"$(mounts_below "$T")"
    return $status
}

teardown_kvfs() {
    local status=0 left
    # Its own background jobs may sit on the mount.
    cd / || status=1
    umount_all || status=1
    WAIT_S=5 wait_until no_kvfs_runs || status=1
    end_server TERM || status=1
    left=$(remove_leftovers "$T")
    if [ -n "$left" ]; then
        echo "left behind: $left"
        status=1
    fi
    if compgen -G "${KV_TEST_FOLDER:-/nowhere}/sanitizer/report*" >/dev/null; then
        cat "$KV_TEST_FOLDER"/sanitizer/report*
        rm -f "$KV_TEST_FOLDER"/sanitizer/report*
        status=1
    fi
    # bats shows what a test printed only if it failed.
    if [ -s "$T/server.log" ]; then
        echo "the server's log:"
        tail -n 50 "$T/server.log"
    fi
    if [ -s "$T/kvfs.log" ]; then
        echo "what kvfs said:"
        tail -n 50 "$T/kvfs.log"
    fi
    return $status
}

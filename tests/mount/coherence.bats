#!/usr/bin/env bats
# Two mounts of one server whose kernels keep what they are told without a limit: what one changes, or kv, the other
# shows at once; and while nothing changes, neither daemon is asked.

load ../lib
load ../expect

# Two mounts, with leases of TERM.
two_mounts() {
    setup_kvfs
    start_server --lease "${1:-10s}"
    A=$T/a B=$T/b
    mount_kvfs "$KV_STORE" "$A"
    mount_kvfs "$KV_STORE" "$B"
    grep -q '^cache.timeout: leased$' "$A/.kvfs/stats" || skip "this kernel has no epochs (Linux 6.16): names are not kept"
}

setup() { :; }

# Calls of the kernel to the daemon so far.
calls() { awk '/^calls\.(lookup|getattr|read|readdir|readdirplus|statx|open|opendir):/ { sum += $2 } END { print sum }' "$1/.kvfs/stats"; }

# cost_of MOUNT COMMAND...: how many calls; looking costs what it cost just before.
cost_of() {
    local mount=$1 first second third
    shift
    first=$(calls "$mount")
    second=$(calls "$mount")
    "$@" >/dev/null
    third=$(calls "$mount")
    echo $((third - second - (second - first)))
}

@test "what has been shown once costs no call again: stat, cat, ls, a name that is not there" {
    two_mounts
    mkdir -p "$A/d"
    echo value >"$A/d/file"
    touch "$A/d/other"
    all() { stat "$B/d/file" && cat "$B/d/file" && ls "$B/d" && ! stat "$B/d/none" 2>/dev/null; }
    warm() { all >/dev/null && [ "$(cost_of "$B" all)" -eq 0 ]; }
    # What was just changed under the caches' eyes may be damped for a moment.
    wait_until warm
}

@test "one writes and the other reads, hundreds of times: never a stale answer" {
    two_mounts
    local i
    # Twice by each before they change places: who has written itself has nothing old to show.
    for i in {1..150}; do
        write_and_read "$A/file" "$B/file" "$i"
        write_and_read "$A/file" "$B/file" "again $i"
        write_and_read "$B/file" "$A/file" "much longer $i"
        write_and_read "$B/file" "$A/file" "again $i"
    done
}

write_and_read() {
    local got
    echo "$3" >"$1"
    read -r got <"$2"
    [ "$got" = "$3" ] || { echo "read $got instead of $3" && return 1; }
}

@test "entries, attributes, listings and missing names are as the last change left them" {
    two_mounts
    local i
    mkdir "$A/d"
    for i in {1..40}; do
        [ ! -e "$B/d/new-$i" ]
        : >"$A/d/new-$i"
        [ -e "$B/d/new-$i" ]
        [ "$(ls "$B/d" | wc -l)" -eq "$i" ]
        chmod $((400 + i % 2 * 200)) "$A/d/new-$i"
        is $((400 + i % 2 * 200)) stat -c %a "$B/d/new-$i"
        [ ! -e "$A/moved" ]
        mv "$B/d/new-$i" "$B/moved"
        [ -e "$A/moved" ]
        [ ! -e "$A/d/new-$i" ]
        mv "$A/moved" "$A/d/new-$i"
        [ -e "$B/d/new-$i" ]
        [ ! -e "$B/moved" ]
    done
    rm "$B/d/new-1"
    [ ! -e "$A/d/new-1" ]
    ln "$A/d/new-2" "$A/d/link"
    is 2 stat -c %h "$B/d/new-2"
    rm "$B/d/link"
    is 1 stat -c %h "$A/d/new-2"
}

@test "what kv changes is seen at once" {
    two_mounts
    local i
    for i in {1..50}; do
        kv set dir/key "$i"
        is "$i" cat "$A/dir/key"
        is "$i" cat "$B/dir/key"
    done
    kv mv dir/key dir/other
    [ ! -e "$A/dir/key" ]
    is 50 cat "$B/dir/other"
    kv del dir/other
    [ ! -e "$A/dir/other" ]
    [ -z "$(ls "$B/dir")" ]
}

@test "a mapping shows what another mount has written" {
    two_mounts
    printf '%8192s' old >"$A/file"
    python3 - "$A/file" "$B/file" <<'PY'
import mmap, os, sys, time
fd = os.open(sys.argv[2], os.O_RDONLY)
shown = mmap.mmap(fd, 8192, prot=mmap.PROT_READ)
assert shown[8189:8192] == b"old"
os.stat(sys.argv[2])
with open(sys.argv[1], "r+b") as file:
    file.seek(8189)
    file.write(b"new")
deadline = time.monotonic() + 20
while shown[8189:8192] != b"new":
    assert time.monotonic() < deadline, shown[8189:8192]
PY
}

# The daemon of a mount.
daemon_of() {
    local pid
    for pid in $(processes_of "$T"); do
        tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$1" && echo "$pid"
    done
    return 0
}

@test "a mount that is stopped delays a writer by one lease at most, and then shows the new" {
    two_mounts 2s
    local daemon began took
    echo old >"$A/file"
    is old cat "$B/file"
    daemon=$(daemon_of "$B")
    wait_until leased
    kill -STOP "$daemon"
    began=$(date +%s%N)
    timeout 60 bash -c 'echo new >"$1"' _ "$A/file" || { kill -CONT "$daemon" && return 1; }
    took=$((($(date +%s%N) - began) / 1000000))
    kill -CONT "$daemon"
    echo "the writer waited $took ms"
    # It did wait: the other could still show the old. 2 s, and what a slow machine takes.
    [ "$took" -ge 500 ]
    [ "$took" -le 15000 ]
    shows_new() { [ "$(cat "$B/file")" = new ]; }
    wait_until shows_new
    # And leases are given again.
    lost_once() { [ "$(sed -n 's/^leases.lost: //p' "$B/.kvfs/stats")" -ge 1 ] && grep -q '^cache.timeout: leased$' "$B/.kvfs/stats"; }
    wait_until lost_once
    echo newer >"$A/file"
    is newer cat "$B/file"
}

# The mount B has the file cached: a second look costs nothing.
leased() {
    cat "$B/file" >/dev/null
    [ "$(cost_of "$B" cat "$B/file")" -eq 0 ]
}

@test "both make, move and remove the same names at once, and neither waits for ever" {
    two_mounts 60s
    local pids=() mount pid
    for mount in "$A" "$A" "$B" "$B"; do
        python3 "${BATS_TEST_FILENAME%/*}/hammer.py" "$mount" "${HAMMER_S:-4}" >>"$T/hammer.log" 2>&1 3>&- &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || { cat "$T/hammer.log" && return 1; }
    done
    # A deadlock would have lasted a lease, and ended with a session lost.
    [ "$(lapsed)" -eq 0 ]
    diff <(ls "$A") <(ls "$B")
    diff <(ls "$A") <(kv ls)
}

lapsed() { kv info leases | sed -n 's/^lapsed://p'; }

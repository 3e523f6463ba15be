#!/usr/bin/env bats
# A disk without room: 16 MiB of tmpfs. Writes say so, reads and deletes go on, and nothing acknowledged is lost.

load ../lib
load ../expect

setup() {
    setup_kvfs
    mkdir -p "$T/disk"
    mount -t tmpfs -o size=16m tmpfs "$T/disk" 2>/dev/null || skip "this machine does not let us mount a tmpfs"
}

teardown() {
    end_server TERM || true
    umount -l "$T/disk" 2>/dev/null || true
    teardown_kvfs
}

# Sets keys of 64 KiB until one is refused; leaves in COUNT how many were not.
fill() {
    head -c 65536 /dev/zero | tr '\0' x >"$T/value"
    for ((COUNT = 0; COUNT < 1000; COUNT++)); do
        kv set "k$COUNT" <"$T/value" 2>"$T/refused" || return 0
    done
    return 1
}

@test "a full disk: ENOSPC, reads and deletes go on, and writes when there is room again" {
    start_server --dir "$T/disk/data" --save ""
    head -c 4000000 /dev/zero >"$T/disk/ballast"
    fill
    grep -q 'no room on the disk' "$T/refused"
    [ "$COUNT" -gt 20 ]
    is 65536 bash -c 'kv get k0 | wc -c'
    kv del k0
    says 4 'ENOSPC' bash -c "kv set another <'$T/value'"
    rm "$T/disk/ballast"
    kv set another <"$T/value"
    kv set small s
    kill_server
    start_server --dir "$T/disk/data" --save ""
    is s kv get small
    is 65536 bash -c 'kv get another | wc -c'
    says 1 '' kv get k0
    is "$((COUNT + 1))" bash -c 'kv ls | wc -l'
}

writes_go_on() { kv set another <"$T/value" 2>/dev/null; }

@test "a disk that only the log has filled is given back by what is deleted" {
    start_server --dir "$T/disk/data" --save ""
    fill
    [ "$COUNT" -gt 100 ]
    seq -f 'k%g' 0 $((COUNT - 1)) | xargs -n 20 kv del
    WAIT_S=30 wait_until writes_go_on
    kill_server
    start_server --dir "$T/disk/data" --save ""
    is 65536 bash -c 'kv get another | wc -c'
    is another kv ls
}

@test "a snapshot that has no room fails, and all goes on" {
    start_server --dir "$T/disk/data" --save ""
    fill
    says 4 'snapshot failed' kv snapshot --wait
    is 65536 bash -c 'kv get k1 | wc -c'
    kv del k1
    kill_server
    start_server --dir "$T/disk/data" --save ""
    says 1 '' kv get k1
    is 65536 bash -c 'kv get k2 | wc -c'
}

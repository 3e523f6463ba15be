#!/usr/bin/env bats
# An embedded store that `kv` changes while it is mounted: the kernel caches without a limit, and must forget in time.

load ../lib
load ../expect

setup() {
    setup_kvfs
    M=$T/mnt
    mount_kvfs "$T/data" "$M"
    export KV_STORE=$T/data
}

@test "a file that is open outlives its name, whoever takes it" {
    echo value >"$M/file"
    exec 5<"$M/file"
    kv del file
    is value cat <&5
    exec 5<&-
    [ ! -e "$M/file" ]
    wait_until only_the_root
}

@test "a file that is open outlives a rename over it by kv" {
    echo old >"$M/file"
    exec 5<"$M/file"
    kv set other new
    kv mv other file
    is new cat "$M/file"
    is old cat <&5
    exec 5<&-
}

@test "a file that is open outlives its expiry, and can be written" {
    echo value >"$M/file"
    exec 5<>"$M/file"
    kv expire file 1ms
    wait_until fails_to_stat "$M/file"
    is value cat <&5
    echo more >&5
    exec 5<&-
}

@test "a link that is left behind by a rename over the other shows its true count" {
    echo one >"$M/a"
    ln "$M/a" "$M/b"
    [ "$(stat -c %h "$M/b")" = 2 ]
    kv set c two
    kv mv c a
    [ "$(stat -c %h "$M/b")" = 1 ]
    is two cat "$M/a"
}

@test "the mount ends when it is told to, though it is in use and kv goes on changing what it shows" {
    mkdir "$M/d"
    # Users who stay in the directory, and clients who change it.
    local users=() i
    for i in 1 2 3; do
        (cd "$M/d" && while :; do : >"f$i" && ls >/dev/null && rm "f$i" || exit; done) >/dev/null 2>&1 3>&- &
        users+=($!)
        (while kv set d/k$i x && kv del d/k$i; do :; done) >/dev/null 2>&1 3>&- &
        users+=($!)
    done
    wait_until [ -e "$M/d/f1" ]
    local daemon
    daemon=$(tr -d '\n' <"$T/data/LOCK")
    kill -TERM "$daemon"
    WAIT_S=20 wait_until gone "$daemon"
    kill "${users[@]}" 2>/dev/null || true
    wait "${users[@]}" || true
}

fails_to_stat() { ! stat "$1" >/dev/null 2>&1; }

gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"; }

# Of what was held nothing is left.
only_the_root() { kv info keyspace | grep -q '^nodes:1$'; }

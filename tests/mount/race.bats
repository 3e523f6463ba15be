#!/usr/bin/env bats
# Two processes after one name, on one mount and on two mounts of one server: see race.py.

load ../lib

# race CASE: on one embedded mount, then on two mounts of a server.
race() {
    mount_kvfs "$T/data" "$T/mnt"
    run_race "$T/mnt" "$T/mnt" "$1"
    start_server --listen 127.0.0.1:0
    mount_kvfs "$KV_STORE" "$T/a"
    mount_kvfs "$(grep -oE 'kv://[^ ]+' "$T/server.out")" "$T/b"
    run_race "$T/a" "$T/b" "$1"
}

run_race() {
    PYTHONDONTWRITEBYTECODE=1 RACE_SECONDS=${RACE_SECONDS:-0.3} timeout 100 /usr/bin/python3 \
        "$KV_TOP/tests/mount/race.py" "$@"
}

@test "of two that make a name exclusively one wins" { race exclusive; }

@test "of two that move to one name without replacing one wins, and nothing is lost" { race noreplace; }

@test "a name that is replaced again and again is always there, and whole" { race replacing; }

@test "directories that change places are always both there, with what is in them" { race moving; }

@test "rmdir against create never loses the file" { race emptied; }

@test "a name can be removed, or moved away, once" { race removed_once; }

@test "what two append is all there" { race appended; }

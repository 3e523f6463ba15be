#!/usr/bin/env bats
# kv check: what it says of a sound, a torn and a damaged data directory, and the copy that it makes.

load ../lib
load ../expect

setup() {
    setup_kvfs
    start_server --dir "$T/data"
    for i in 1 2 3 4 5 6 7 8; do kv set "key$i" "value$i" >/dev/null; done
}

teardown() { teardown_kvfs; }

the_log() { ls "$T"/data/log-*.aof; }

# Where record 5 of the log begins to bear its value.
damage() {
    local log at
    log=$(the_log)
    at=$(grep -abo value5 "$log" | head -n 1 | cut -d: -f1)
    printf X | dd of="$log" bs=1 seek="$at" conv=notrunc status=none
}

@test "a directory that was closed in order is sound" {
    stop_server
    says 0 'log-.*: log, records 1 to 8, .*: sound' kv check "$T/data"
    says 0 'node.conf: node [0-9a-f]{16}, promised epoch [0-9]+: sound' kv check "$T/data"
    says 0 'data: a store starts from it: up to record 8, 9 nodes' kv check "$T/data"
    says 0 'records 1 to 8' kv check "$(the_log)"
    kv --json check "$T/data" | python3 -c 'import json, sys; assert json.load(sys.stdin)["starts"] is True'
}

@test "a torn end is told, and no damage" {
    kill_server
    printf 'the beginning of something' >>"$(the_log)"
    says 0 'log-.*: torn at byte [0-9]+' kv check "$T/data"
    says 0 'a store starts from it: up to record 8, 9 nodes; the log was torn' kv check "$T/data"
    start_server --dir "$T/data"
    says 0 '^value8' kv get key8
}

@test "damage is named, the server refuses to start, and a copy of what is before it starts" {
    stop_server
    cp -r "$T/data" "$T/sound"
    damage
    cp -r "$T/data" "$T/before"
    says 1 'log-.*records 1 to 4.*: damaged at byte [0-9]+: .*; 3 whole ones lie behind' kv check "$T/data"
    says 1 'no store starts from it: log-.* is damaged at byte' kv check "$T/data"
    run start_server --dir "$T/data"
    [ "$status" -ne 0 ]
    [[ $output == *"kv check --repair"* ]]
    says 0 'repaired: written; a store starts from it: up to record 4, 5 nodes' kv check "$T/data" --repair "$T/repaired"
    diff -r --exclude LOCK "$T/data" "$T/before"
    start_server --dir "$T/repaired"
    says 0 '^value4' kv get key4
    says 1 '' kv get key5
}

@test "a single log is copied up to its damage" {
    stop_server
    damage
    says 0 'written, up to record 4' kv check "$(the_log)" --repair "$T/cut.aof"
    [ -s "$T/cut.aof" ]
    says 4 'cannot write the copy' kv check "$(the_log)" --repair "$T/cut.aof"
}

@test "a damaged node.conf keeps a store from starting, and is made anew in a repaired copy" {
    stop_server
    printf '\377' | dd of="$T/data/node.conf" bs=1 seek=20 conv=notrunc status=none
    says 1 'no store starts from it: .*node.conf' kv check "$T/data"
    says 0 'written; a store starts from it' kv check "$T/data" --repair "$T/repaired"
    start_server --dir "$T/repaired"
}

@test "what cannot be checked is told" {
    says 4 'in use by a running store' kv check "$T/data"
    says 4 'No such file' kv check "$T/nothing"
    touch "$T/other"
    says 4 'no name of a log' kv check "$T/other"
    says 2 '' kv check
    stop_server
    mkdir "$T/empty"
    says 0 'up to record 0, 1 nodes' kv check "$T/empty"
    says 4 'nothing can be saved' kv check "$T/empty" --repair "$T/saved"
}

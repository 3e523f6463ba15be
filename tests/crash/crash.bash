# What crash.bats and crash_mounted.bats share.

# crash KIND SNAPSHOTS: ROUNDS and KV_TEST_SEED make it longer and different.
crash() {
    local missing
    [ "$1" = rpc ] || missing=$("$KV_TOP/scripts/fuse-check" 2>&1) || skip "$missing"
    mkdir -p "$T/store"
    /usr/bin/python3 "$KV_TOP/tests/crash/crash.py" "$1" "$2" "${ROUNDS:-10}" "${KV_TEST_SEED:-$RANDOM}" "$T/store"
}

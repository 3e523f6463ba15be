#!/usr/bin/env bats
# kill -9 at random moments under load: nothing acknowledged is lost, nothing is there by half. crash.py tells how. ROUNDS
# and KV_TEST_SEED make it longer and different: `make crash ROUNDS=200 SEED=7`.

load ../lib

crash() {
    local missing
    [ "$1" = rpc ] || missing=$("$KV_TOP/scripts/fuse-check" 2>&1) || skip "$missing"
    mkdir -p "$T/store"
    /usr/bin/python3 "$KV_TOP/tests/crash/crash.py" "$1" "$2" "${ROUNDS:-10}" "${KV_TEST_SEED:-$RANDOM}" "$T/store"
}

@test "kill -9 under requests" { crash rpc no; }

@test "kill -9 under requests, with snapshots back to back" { crash rpc yes; }

@test "kill -9 of a mount that runs the store itself" { crash embedded no; }

@test "kill -9 of such a mount, with snapshots back to back" { crash embedded yes; }

@test "kill -9 of the server below a mount" { crash mounted no; }

@test "kill -9 of the server below a mount, with snapshots back to back" { crash mounted yes; }

#!/usr/bin/env bats
# kill -9 at random moments under load: nothing acknowledged is lost, nothing is there by half. crash.py tells how; longer
# and with another seed: `make crash ROUNDS=200 SEED=7`.

load ../lib
load crash

@test "kill -9 under requests" { crash rpc no; }

@test "kill -9 under requests, with snapshots back to back" { crash rpc yes; }

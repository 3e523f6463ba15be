#!/usr/bin/env bats
# The same as crash.bats with the load on a mount: of a store in the mount's own process, and of a server.

load ../lib
load crash

@test "kill -9 of a mount that runs the store itself" { crash embedded no; }

@test "kill -9 of such a mount, with snapshots back to back" { crash embedded yes; }

@test "kill -9 of the server below a mount" { crash mounted no; }

@test "kill -9 of the server below a mount, with snapshots back to back" { crash mounted yes; }

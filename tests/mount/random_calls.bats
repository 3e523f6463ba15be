#!/usr/bin/env bats
# Random calls of three users on the mount and on a tmpfs: see random_calls.py. `make differ SECONDS=n SEED=n` runs the
# first of them for longer. (kind.bash: over which mounts.)

load ../lib
load kind

setup() {
    setup_kvfs
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be several users"
    mkdir "$T/local"
    mount -t tmpfs -o noatime none "$T/local" || skip "cannot mount a tmpfs to compare with"
    mount_a_store -o allow_other,suid,dev
    local folder=$T
    # bats makes its folders for one user; the others have to get through.
    while [ "$folder" != / ]; do
        chmod a+x "$folder"
        folder=$(dirname "$folder")
    done
}

teardown() {
    umount "$T/local" 2>/dev/null
    teardown_kvfs
}

@test "random calls of several users give the same as on a local file system" {
    local much=(--rounds 2)
    [ -z "${KV_DIFFER_SECONDS:-}" ] || much=(--seconds "$KV_DIFFER_SECONDS")
    PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$KV_TOP/tests/mount/random_calls.py" "$M" "$T/local" "${much[@]}" \
        >"$T/said" 2>&1 || {
        cat "$T/said"
        false
    }
    sed 's/^/# /' "$T/said" >&3
}

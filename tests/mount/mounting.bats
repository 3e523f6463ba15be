#!/usr/bin/env bats
# Mounting and unmounting: the command line, what it refuses and how it says so, the usual options, mount(8) and fstab.

load ../lib
load ../expect

setup() {
    setup_kvfs
    missing=$("$KV_TOP/scripts/fuse-check" 2>&1) || skip "$missing"
    M=$T/mnt
    mkdir "$M"
    export KV_STORE=$T/data
}

# To be put before a command: as another user than the one who mounted.
as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)

need_root() { [ "$(id -u)" -eq 0 ] || skip "this takes root"; }

# Others may reach the test's folder.
let_others_in() { chmod a+x "${KV_TEST_FOLDER:-$BATS_RUN_TMPDIR}" "$BATS_RUN_TMPDIR" "$T/.." "$T"; }

@test "when the command returns the mount can be used, and the daemon is on its own" {
    "$KV_BIN/kvfs" "$T/data" "$M" </dev/null >"$T/out" 2>&1 3>&-
    echo v >"$M/file"
    is v cat "$M/file"
    is fuse.kvfs findmnt -no FSTYPE --mountpoint "$M"
    is "$T/data" findmnt -no SOURCE --mountpoint "$M"
    [ ! -s "$T/out" ]
}

@test "in the background it holds neither the terminal nor a folder, and says nothing" {
    local pid
    mount_kvfs "$T/data" "$M"
    pid=$(processes_of "$T")
    is / readlink "/proc/$pid/cwd"
    for fd in 0 1 2; do
        is /dev/null readlink "/proc/$pid/fd/$fd"
    done
    # A session of its own.
    [ "$(ps -o sid= -p "$pid" | tr -d ' ')" != "$(ps -o sid= -p $$ | tr -d ' ')" ]
}

@test "-f stays in the foreground and ends with status 0 when it is unmounted" {
    local pid
    "$KV_BIN/kvfs" -f "$T/data" "$M" >"$T/kvfs.log" 2>&1 </dev/null 3>&- &
    pid=$!
    wait_until is_mounted "$M"
    echo v >"$M/file"
    fusermount3 -u "$M"
    wait_until process_ended "$pid"
    wait "$pid"
}

@test "fusermount3 -u unmounts, and the daemon ends" {
    mount_kvfs "$T/data" "$M"
    fusermount3 -u "$M"
    wait_until no_kvfs_runs
    is '' ls -A "$M"
}

@test "umount(8) unmounts, and the daemon ends" {
    need_root
    mount_kvfs "$T/data" "$M"
    umount "$M"
    wait_until no_kvfs_runs
}

@test "SIGTERM, SIGINT and SIGHUP unmount, with status 0" {
    local pid signal
    for signal in TERM INT HUP; do
        env --default-signal="$signal" "$KV_BIN/kvfs" -f "$T/data" "$M" >"$T/kvfs.log" 2>&1 </dev/null 3>&- &
        pid=$!
        wait_until is_mounted "$M"
        echo v >"$M/file"
        kill -"$signal" "$pid"
        wait_until process_ended "$pid"
        wait "$pid"
        [ -z "$(mounts_below "$M")" ]
    done
}

@test "a mount in use is not unmounted by accident" {
    mount_kvfs "$T/data" "$M"
    echo v >"$M/file"
    exec 5<"$M/file"
    says 1 'busy' fusermount3 -u "$M"
    is v cat "$M/file"
    exec 5<&-
    fusermount3 -u "$M"
}

@test "after kill -9 of the daemon the mount point can be unmounted and mounted again" {
    local pid
    mount_kvfs "$T/data" "$M"
    pid=$(processes_of "$T")
    kill -KILL "$pid"
    wait_until process_ended "$pid"
    says 1 'whose daemon is gone.*umount' kvfs "$T/data" "$M"
    fusermount3 -u "$M"
    mount_kvfs "$T/data" "$M"
    echo v >"$M/file"
}

@test "a mount point that does not exist, is a file, or is not empty is refused with the reason" {
    says 1 'mnt2.*does not exist' kvfs "$T/data" "$T/mnt2"
    : >"$T/file"
    says 1 'file.*not a directory' kvfs "$T/data" "$T/file"
    : >"$M/inside"
    says 1 'not empty.*nonempty' kvfs "$T/data" "$M"
    [ -z "$(mounts_below "$T")" ]
    mount_kvfs "$T/data" "$M" -o nonempty
    is '' ls -A "$M"
    fusermount3 -u "$M"
    [ -e "$M/inside" ]
}

@test "a second mount at the same place is refused" {
    mount_kvfs "$T/data" "$M"
    says 1 'already mounted' kvfs "$T/other" "$M"
    echo v >"$M/file"
}

@test "a second embedded mount of the same directory is refused, and names the first" {
    local pid
    mount_kvfs "$T/data" "$M"
    pid=$(processes_of "$T")
    mkdir "$T/second"
    says 1 "in use by process $pid" kvfs "$T/data" "$T/second"
    [ -z "$(mounts_below "$T/second")" ]
    echo v >"$M/file"
    is v kv get file
}

@test "a data directory that a server uses is refused to an embedded mount, and the other way round" {
    start_server --dir "$T/data"
    says 1 "in use by process $SERVER_PID" kvfs "$T/data" "$M"
    stop_server
    mount_kvfs "$T/data" "$M"
    says 1 'in use by process' kvcored --unix "$T/s.sock" --dir "$T/data"
}

@test "kv finds an embedded store by its directory, and says so when nobody serves it" {
    says 3 "$T/data" kv get key
    mount_kvfs "$T/data" "$M"
    echo v >"$M/key"
    is v kv -s "$T/data" get key
    fusermount3 -u "$M"
    wait_until no_kvfs_runs
    says 3 'kvfs .*data|mount it' kv get key
}

@test "without a store it is the user's own, below XDG_DATA_HOME or HOME" {
    XDG_DATA_HOME=$T/xdg timeout 20 "$KV_BIN/kvfs" "$M" </dev/null >"$T/out" 2>&1 3>&-
    is_mounted "$M"
    echo v >"$M/key"
    is v kv -s "$T/xdg/kvfs" get key
    [ "$(stat -c %a "$T/xdg/kvfs")" = 700 ]
    fusermount3 -u "$M"
    wait_until no_kvfs_runs
    env -u XDG_DATA_HOME HOME="$T/home" timeout 20 "$KV_BIN/kvfs" "$M" </dev/null >"$T/out" 2>&1 3>&-
    is_mounted "$M"
    [ -d "$T/home/.local/share/kvfs" ]
}

@test "names relative to the working directory are understood" {
    cd "$T"
    timeout 20 "$KV_BIN/kvfs" data mnt </dev/null >"$T/out" 2>&1 3>&-
    is_mounted "$M"
    [ -d "$T/data" ]
    cd /
}

@test "a mount point with a space in its name" {
    mkdir "$T/two words"
    mount_kvfs "$T/data" "$T/two words"
    echo v >"$T/two words/file"
    is v kv get file
}

@test "a command line that makes no sense is refused with status 2 and the reason" {
    says 2 'where to mount is missing' kvfs
    says 2 'unknown option.*bogus' kvfs "$T/data" "$M" -o ro,bogus
    says 2 'unknown option.*--bogus' kvfs --bogus "$T/data" "$M"
    says 2 'one name too many' kvfs "$T/data" "$M" "$M"
    says 2 'umask=9' kvfs "$T/data" "$M" -o umask=9
    says 2 'uid=root' kvfs "$T/data" "$M" -o uid=root
    says 2 'timeo=0' kvfs "$T/data" "$M" -o soft,timeo=0
    says 2 'only a store is given' kvfs kv://localhost
    says 2 'the store comes first' kvfs "$M" kv://localhost
    says 2 "mount point's name is empty" kvfs "$T/data" ''
    says 2 'unknown option: -f' kvfs "$T/data" "$M" -o -f
    says 2 'redis://' kvfs redis://localhost "$M"
    says 2 'port' kvfs kv://localhost:99999 "$M"
    [ -z "$(mounts_below "$T")" ]
}

@test "--help and --version answer on stdout" {
    says 0 'Usage: kvfs' kvfs --help
    says 0 'Usage: kvfs' kvfs -h
    says 0 '^kvfs [0-9]' kvfs --version
}

@test "-o ro refuses every change" {
    start_server
    kv set file v
    mount_kvfs "$KV_STORE" "$M" -o ro
    is v cat "$M/file"
    says 1 'Read-only' touch "$M/new"
    says 1 'Read-only' rm "$M/file"
    says 1 'Read-only' chmod 600 "$M/file"
    findmnt -no OPTIONS --mountpoint "$M" | grep -qw ro
}

@test "-o uid=, gid= and umask= show every file so" {
    start_server
    kv set dir/file v
    mount_kvfs "$KV_STORE" "$M" -o uid=1234,gid=5678,umask=027
    is '1234:5678 750' stat -c '%u:%g %a' "$M/dir/file"
    is '1234:5678 750' stat -c '%u:%g %a' "$M/dir"
    is '1234:5678 750' stat -c '%u:%g %a' "$M"
    kv --json stat dir/file | is_json "v['uid'] != 1234 and v['mode'] == '0644'"
}

@test "-o uid= makes the files the user's own to write" {
    need_root
    start_server
    let_others_in
    mount_kvfs "$KV_STORE" "$M" -o allow_other,uid=65534,gid=65534,umask=077
    "${as_nobody[@]}" bash -c "echo v >'$M/file' && cat '$M/file'"
    is v kv get file
}

@test "without allow_other nobody else gets in, with it they do" {
    need_root
    let_others_in
    mount_kvfs "$T/data" "$M"
    echo v >"$M/file"
    says 1 'Permission denied' "${as_nobody[@]}" cat "$M/file"
    umount_kvfs "$M"
    mount_kvfs "$T/data" "$M" -o allow_other
    echo v >"$M/file"
    says 0 v "${as_nobody[@]}" cat "$M/file"
}

@test "noexec, nosuid, nodev and noatime reach the kernel" {
    mount_kvfs "$T/data" "$M" -o noexec,nosuid,nodev,noatime
    for option in noexec nosuid nodev noatime; do
        findmnt -no OPTIONS --mountpoint "$M" | grep -qw $option
    done
    printf '#!/bin/sh\n' >"$M/script"
    chmod +x "$M/script"
    says 126 'Permission denied' "$M/script"
}

@test "mount.kvfs takes what mount(8) gives it" {
    timeout 20 "$KV_BIN/mount.kvfs" "$T/data" "$M" -o rw,nodev,noauto,user=me,_netdev,x-systemd.automount,nofail \
        </dev/null >"$T/out" 2>&1 3>&-
    is_mounted "$M"
    echo v >"$M/file"
    fusermount3 -u "$M"
    wait_until no_kvfs_runs
    timeout 20 "$KV_BIN/mount.kvfs" "$T/data" "$M" -n -v -s -o rw,unknown_to_kvfs </dev/null >"$T/out" 2>&1 3>&-
    is_mounted "$M"
    fusermount3 -u "$M"
    wait_until no_kvfs_runs
    # -f of mount(8): everything but the mounting.
    timeout 20 "$KV_BIN/mount.kvfs" "$T/data" "$M" -f -o rw </dev/null >"$T/out" 2>&1 3>&-
    [ -z "$(mounts_below "$M")" ]
}

@test "mount -t kvfs and a line in fstab mount it, umount takes it away" {
    need_root
    # In a mount namespace of its own, where /sbin has the helper.
    cat >"$T/in-namespace" <<'SCRIPT'
set -eu
mkdir "$T/sbin"
ln -s "$KV_BIN/kvfs" "$T/sbin/mount.kvfs"
mount --bind "$T/sbin" "$(readlink -f /sbin)"
mount -t kvfs "$T/data" "$M" -o nodev,umask=022
[ "$(findmnt -no FSTYPE --mountpoint "$M")" = fuse.kvfs ]
echo v >"$M/file"
umount "$M"
echo "$T/data $M kvfs rw,noauto,user,_netdev,noatime,umask=027 0 0" >"$T/fstab"
i=0
until mount -T "$T/fstab" "$M" 2>"$T/busy"; do
    # The first one may still be letting go of the directory.
    [ $((i += 1)) -lt 100 ] && grep -q 'in use' "$T/busy"
    sleep 0.05
done
[ "$(stat -c %a "$M")" = 750 ]
findmnt -no OPTIONS --mountpoint "$M" | grep -qw noatime
echo v >"$M/file"
umount "$M"
SCRIPT
    export T M
    unshare -m --propagation private bash "$T/in-namespace" </dev/null 3>&-
    [ -z "$(mounts_below "$M")" ]
}

@test "a password in the address lets the mount in, a wrong or missing one is an error at once" {
    echo secret >"$T/password"
    start_server --listen 127.0.0.1:0 --password-file "$T/password"
    address=$(grep -oE 'kv://[^ ]+' "$T/server.out")
    mount_kvfs "kv://:secret@${address#kv://}" "$M"
    echo v >"$M/file"
    # What others can see does not have it.
    fails grep -rs secret /proc/mounts
    umount_kvfs "$M"
    says 1 'the password is wrong' kvfs "kv://:wrong@${address#kv://}" "$M"
    says 1 'a password is required.*kv://:PASSWORD@HOST' kvfs "$address" "$M"
    says 1 'the password is wrong' kvfs -f "kv://:wrong@${address#kv://}" "$M"
    [ -z "$(mounts_below "$T")" ]
}

# out_of_reach PATTERN STORE [ARGUMENT...]: one warning that PATTERN describes, and the mount comes up.
out_of_reach() {
    local pattern=$1
    shift
    mount_kvfs "$1" "$M" "${@:2}"
    grep -qE "^kvfs: warning: $pattern" "$T/kvfs.log"
    [ "$(wc -l <"$T/kvfs.log")" -eq 1 ]
    fusermount3 -u "$M"
    wait_until no_kvfs_runs
}

@test "a server out of reach is a warning on the terminal, and the mount comes up" {
    out_of_reach 'cannot reach kv://127.0.0.1:1: connection refused; requests wait for it' kv://127.0.0.1:1
    out_of_reach 'cannot reach kv\+unix://.*nowhere.sock: no such file' "kv+unix://$T/nowhere.sock"
    out_of_reach 'cannot reach kv://host.invalid: .*cannot be resolved|cannot reach.*within 1 s' kv://host.invalid
    out_of_reach 'cannot reach .*; requests fail until it is there' kv://127.0.0.1:1 -o soft
}

@test "a server that says nothing delays the mount by a second, one that answers does not" {
    start_server
    kill -STOP "$SERVER_PID"
    out_of_reach 'cannot reach .*: no answer within 1 s' "$KV_STORE"
    kill -CONT "$SERVER_PID"
    before=$(date +%s%N)
    mount_kvfs "$KV_STORE" "$M"
    [ $((($(date +%s%N) - before) / 1000000)) -lt 900 ]
    [ ! -s "$T/kvfs.log" ]
}

@test "a mount over the data directory of its own store is refused" {
    mkdir "$T/both"
    says 1 "is the data directory" kvfs "$T/both" "$T/both"
    ln -s both "$T/link"
    says 1 "is the data directory" kvfs "$T/link" "$T/both"
}

@test "what is no store is refused" {
    /usr/bin/python3 -c 'import socket, sys
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
c = s.accept()[0]
c.sendall(b"220 mail.example ESMTP\r\n")
c.recv(1000)
c.recv(1)' >"$T/port" 3>&- &
    wait_until test -s "$T/port"
    says 1 'there is no kvfs store' kvfs "kv://127.0.0.1:$(cat "$T/port")" "$M"
    [ -z "$(mounts_below "$T")" ]
}

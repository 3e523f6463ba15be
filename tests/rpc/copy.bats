#!/usr/bin/env bats
# kv import and export: a directory of the machine into a store and out again. The judge of sameness is rsync.

load ../lib
load ../expect

setup() {
    setup_kvfs
    start_server
}

# same A B [OPTION...]: nothing that rsync knows of differs; run as root it looks at owners, devices and trusted.* too.
same() {
    rsync --dry-run --itemize-changes --checksum -aHAX --delete "${@:3}" "$1/" "$2/" >"$T/differences"
    if [ -s "$T/differences" ]; then
        echo "these differ: $1 and $2"
        head -n 20 "$T/differences"
        return 1
    fi
}

make_tree() {
    mkdir -p "$1/dir/inner" "$1/empty"
    echo short >"$1/dir/file"
    : >"$1/dir/nothing"
    random_file "$1/long" 2500000
    random_file "$1/dir/inner/middling" 70000
    for i in $(seq 300); do echo "$i" >"$1/dir/inner/f$i"; done
    echo odd >"$1/dir/"$'new\nline \xff'
    ln "$1/dir/file" "$1/dir/inner/second-name"
    ln -s ../file "$1/dir/inner/link"
    ln -s /nowhere/at/all "$1/dangling"
    mkfifo "$1/dir/fifo"
    truncate -s 10000000 "$1/sparse"
    printf x | dd of="$1/sparse" bs=1 seek=5000000 conv=notrunc status=none
    truncate -s 1G "$1/hole"
    setfattr -n user.color -v red "$1/dir/file"
    setfattr -n user.raw -v 0x00ff00 "$1/dir"
    setfacl -m u:1234:r "$1/dir/file"
    setfacl -d -m u:1234:rwx "$1/dir/inner"
    chmod 4711 "$1/long"
    chmod 2775 "$1/dir/inner"
    if [ "$(id -u)" -eq 0 ]; then
        mknod "$1/device" c 1 3
        chown 123:456 "$1/dir/file" "$1/empty"
        chown -h 77:88 "$1/dangling"
        setfattr -n trusted.secret -v x "$1/dir/file"
    fi
    touch -d '1960-01-02 03:04:05.678901234' "$1/dir/file"
    touch -h -d '2001-01-01 00:00:00.000000001' "$1/dangling"
    touch -d '2040-01-01' "$1/empty" "$1/dir"
}

@test "a tree that goes in and comes out again is the same in all that rsync compares" {
    make_tree "$T/tree"
    kv import "$T/tree" some/place
    is short kv get some/place/dir/file
    kv export some/place "$T/back"
    same "$T/tree" "$T/back"
    [ "$(stat -c %b "$T/back/hole")" -eq 0 ]
    [ "$(stat -c %b "$T/back/sparse")" -lt 1000 ]
}

@test "the root can be filled and emptied like any directory" {
    make_tree "$T/tree"
    kv import "$T/tree"
    kv export "$T/back"
    same "$T/tree" "$T/back"
}

@test "what a mount shows is the tree that was imported" {
    make_tree "$T/tree"
    kv import "$T/tree" x
    mount_kvfs "$KV_STORE" "$T/mnt"
    same "$T/tree" "$T/mnt/x"
}

@test "a second run copies nothing but directories' attributes, and mends what was changed" {
    make_tree "$T/tree"
    kv import "$T/tree" x
    says 0 '^4 copied \(0 B\), 31[0-9] there already$' kv import "$T/tree" x
    kv set x/dir/file changed
    kv del x/long
    kv del x/dir/inner/link
    kv set x/dir/inner/link file
    kv import "$T/tree" x
    kv export x "$T/back"
    same "$T/tree" "$T/back"
    echo changed >"$T/back/dir/file"
    rm "$T/back/dir/inner/second-name"
    echo apart >"$T/back/dir/inner/second-name"
    rm "$T/back/long"
    kv export x "$T/back"
    same "$T/tree" "$T/back"
}

@test "an import that is killed leaves no half file under its name, and the next one finishes it" {
    mkdir "$T/tree"
    for i in $(seq 40); do random_file "$T/tree/f$i" $((3000000 + i)); done
    kv import "$T/tree" x >/dev/null 3>&- &
    wait_until eval '[ "$(kv ls x 2>/dev/null | wc -l)" -gt 3 ]'
    kill -KILL $!
    wait $! || true
    kv export x "$T/part"
    local file
    for file in "$T/part"/f*; do
        [ ! -e "$file" ] || cmp "$file" "$T/tree/${file##*/}"
    done
    kv import "$T/tree" x
    rm -rf "$T/part"
    kv export x "$T/part"
    rm -f "$T/part"/.kv-*
    same "$T/tree" "$T/part" --omit-dir-times
}

@test "what cannot be copied is named, the rest goes on, and the status says so" {
    mkdir -p "$T/tree/dir"
    echo a >"$T/tree/a"
    echo z >"$T/tree/z"
    mkdir "$T/tree/.kvfs"
    says 4 '\.kvfs: .*EPERM' kv import "$T/tree"
    is z kv get z
    kv set clash value
    mkdir "$T/tree/clash"
    says 4 '^kv: import clash: ' kv import "$T/tree"
    mkdir -p "$T/out/a"
    says 4 '^kv: export a: ' kv export "$T/out"
    is z cat "$T/out/z"
    says 4 'ENOENT' kv import "$T/nowhere"
    says 1 'ENOENT|no such' kv stat nowhere
    says 4 '' kv export nowhere "$T/out2"
    says 4 'no directory' kv export z "$T/out2"
    says 3 '' kv -s "kv+unix://$T/no.sock" export "$T/out2"
}

@test "the summary is JSON when asked for, and a terminal is needed for the bar" {
    mkdir "$T/tree"
    echo a >"$T/tree/a"
    kv --json import "$T/tree" x >"$T/json" 2>"$T/err"
    is_json 'v == {"copied": 2, "unchanged": 0, "failed": 0, "bytes": 2}' <"$T/json"
    [ ! -s "$T/err" ]
    says 2 '' kv import
    says 2 '' kv export
}

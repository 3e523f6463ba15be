#!/usr/bin/env bats
# The key is the path and the value is the file, both ways: what kv writes, a program reads from the mount, and the other
# way round. (kind.bash: over which mounts.)

load ../lib
load ../expect
load kind

setup() {
    setup_kvfs
    mount_a_store
}

# names: one a line, as bash's $'...' strings without their quotes; what a file system must bear.
names() {
    cat <<'NAMES'
plain
two words
 leading and trailing 
-dash
--help
*?[x]$(id)`id`"'\\
line\nfeed\n
tab\tand\rreturn
\001\033[31m\177
Grüße, 世界, 🗝
\303\050 is no UTF-8 \377\376
.hidden
...
:@=,;%20+~#
NAMES
}

# for_each_name FUNCTION: with each name as its argument.
for_each_name() {
    local line name
    while IFS= read -r line; do
        # A $(...) would take the newlines at the end away.
        printf -v name '%b' "$line"
        echo "with the name '$line'"
        "$1" "$name"
    done < <(names)
}

@test "what is set by key is read as a file" {
    kv set greeting hello
    is hello cat "$M/greeting"
    [ "$(stat -c %s "$M/greeting")" -eq 5 ]
}

@test "what is written as a file is read by key" {
    echo hello >"$M/greeting"
    is hello kv get greeting
    printf 'no newline' >"$M/greeting"
    is 'no newline' kv get greeting
}

@test "what is appended either way is appended for both" {
    kv set log one,
    printf two, >>"$M/log"
    kv append log three
    is one,two,three cat "$M/log"
    is one,two,three kv get log
}

@test "a directory is a prefix, whoever makes it" {
    kv set a/b/c/d deep
    is deep cat "$M/a/b/c/d"
    is directory stat -c %F "$M/a/b"
    mkdir -p "$M/x/y"
    echo v >"$M/x/y/z"
    is v kv get x/y/z
    is y kv ls x
    is z ls "$M/x/y"
    kv mkdir -p m/n
    [ -d "$M/m/n" ]
}

@test "a directory stays until it is removed, also when it is empty" {
    kv set a/b/c v
    kv del a/b/c
    [ -d "$M/a/b" ]
    rmdir "$M/a/b"
    says 1 ENOENT kv stat a/b
    kv rmdir a
    [ ! -e "$M/a" ]
}

@test "what is removed by key is gone as a file, and the other way round" {
    kv set one 1
    kv set two 2
    cat "$M/one" "$M/two"
    kv del one
    [ ! -e "$M/one" ]
    says 1 'No such file' cat "$M/one"
    rm "$M/two"
    says 1 ENOENT kv get two
    is '' ls -A "$M"
    is '' kv ls
}

@test "what kv changes shows on the mount at once, however warm its caches are" {
    local i
    for i in {1..25}; do
        kv set dir/file "$i"
        is "$i" cat "$M/dir/file"
        kv set dir/file "longer $i"
        is "longer $i" cat "$M/dir/file"
        [ "$(stat -c %s "$M/dir/file")" -eq $((7 + ${#i})) ]
        kv mv dir/file dir/moved
        is moved ls "$M/dir"
        [ ! -e "$M/dir/file" ]
        kv append dir/moved !
        is "longer $i!" cat "$M/dir/moved"
        kv del dir/moved
        [ ! -e "$M/dir/moved" ]
        is '' ls -A "$M/dir"
    done
}

@test "what is moved by key has moved as a file, and the other way round" {
    kv set a/from v
    cat "$M/a/from"
    kv mv a/from a/to
    [ ! -e "$M/a/from" ]
    is v cat "$M/a/to"
    mv "$M/a" "$M/b"
    is v kv get b/to
    says 1 ENOENT kv get a/to
}

@test "a binary value comes through unchanged, both ways" {
    random_file "$T/random" 100003
    printf '\0\1\377\n\0' >>"$T/random"
    kv set from-kv <"$T/random"
    cmp "$T/random" "$M/from-kv"
    cp "$T/random" "$M/from-mount"
    kv get from-mount | cmp "$T/random"
}

@test "an empty value is an empty file, and no missing one" {
    kv set empty ''
    [ -f "$M/empty" ]
    [ ! -s "$M/empty" ]
    : >"$M/touched"
    is '' kv get touched
    is 1 kv exists touched
}

@test "values around the sizes where their storage changes come through unchanged" {
    local size
    for size in 1 254 255 256 257 4095 4096 65535 65536 65537 131071 131072 131073 1048575 1048577; do
        random_file "$T/random" $size
        kv set "by-key/$size" <"$T/random"
        cmp "$T/random" "$M/by-key/$size"
        cp "$T/random" "$M/copied"
        kv get copied | cmp "$T/random"
        [ "$(stat -c %s "$M/copied")" -eq $size ]
    done
}

@test "a value of 64 MiB comes through unchanged, both ways" {
    random_file "$T/random" $((64 << 20))
    # Under a sanitizer this takes a while.
    kv --timeout 60s set from-kv <"$T/random"
    cmp "$T/random" "$M/from-kv"
    cp "$T/random" "$M/from-mount"
    kv --timeout 60s get from-mount | cmp "$T/random"
}

set_and_cat() {
    kv set -- "dir/$1" "value of $1"
    printf 'value of %s' "$1" | cmp - "$M/dir/$1"
}

write_and_get() {
    printf 'value of %s' "$1" >"$M/dir/$1"
    printf 'value of %s' "$1" >"$T/expected"
    kv get -- "dir/$1" | cmp "$T/expected"
    [ "$(stat -c %s "$M/dir/$1")" -eq "$(stat -c %s "$T/expected")" ]
}

make_local() { : >"$T/local/$1"; }

@test "a key of any bytes that a name may have is the file of that name" {
    for_each_name set_and_cat
}

@test "a file of any name is the key of the same bytes" {
    mkdir "$M/dir"
    for_each_name write_and_get
}

@test "both list the same names, byte by byte, in their order" {
    mkdir "$M/dir" "$T/local"
    for_each_name write_and_get
    for_each_name make_local
    find "$T/local" -type f -printf '%P\0' | LC_ALL=C sort -z >"$T/expected"
    kv ls -0 dir | cmp "$T/expected"
    find "$M/dir" -type f -printf '%P\0' | LC_ALL=C sort -z | cmp "$T/expected"
}

@test "a name has at most 255 bytes, on the mount and as part of a key" {
    local longest
    longest=$(printf 'n%.0s' {1..255})
    kv set "dir/$longest" v
    is v cat "$M/dir/$longest"
    echo w >"$M/$longest"
    is w kv get "$longest"
    says 1 'File name too long' touch "$M/${longest}n"
    says 4 ENAMETOOLONG kv set "${longest}n" v
}

@test "a key of 4095 bytes is a path that can be reached from directory to directory" {
    local part key i
    part=$(printf 'p%.0s' {1..255})
    key=$part
    for ((i = 1; i < 16; i++)); do
        key+=/$part
    done
    [ ${#key} -eq 4095 ]
    kv set "$key" deep
    # The path of the mount comes in front, and open(2) takes 4095 bytes at most: so in two steps.
    cd "$M/${key:0:2047}"
    is deep cat "${key:2048}"
    cd /
    says 4 ENAMETOOLONG kv get "${key}p"
}

@test "a value below a file, or a file in place of a directory, is refused on both sides" {
    kv set file v
    kv mkdir dir
    says 4 ENOTDIR kv set file/below v
    says 4 EISDIR kv set dir v
    says 1 'Not a directory' cp /etc/hostname "$M/file/below"
    says 1 'Is a directory' bash -c "echo v >'$M/dir'"
    is v kv get file
}

@test "a value that expires is gone from the mount at that moment" {
    kv set --ttl 1h short v
    is v cat "$M/short"
    kv expire short 200ms
    wait_until [ ! -e "$M/short" ]
    says 1 'No such file' cat "$M/short"
    is '' ls -A "$M"
}

@test "the type, mode and size that kv shows are those of the mount" {
    printf 12345 >"$M/file"
    chmod 640 "$M/file"
    kv --json stat file | is_json 'v["size"] == 5 and v["mode"] == "0640" and v["type"] == "regular file"'
    [ "$(kv --json stat file | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')" = \
        "$(stat -c %i "$M/file")" ]
}

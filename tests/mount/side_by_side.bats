#!/usr/bin/env bats
# Two mounts and kv on one server show one tree: what has been written on one is there on the others at once. Nothing
# here waits: a stale answer is a failure.

load ../lib
load ../expect
load kind

setup() {
    setup_kvfs
    start_server --listen 127.0.0.1:0
    A=$T/a B=$T/b
    # The two come by different ways.
    mount_kvfs "$KV_STORE" "$A"
    mount_kvfs "$(tcp_address)" "$B"
}

@test "a file that one writes the other reads" {
    echo one >"$A/file"
    is one cat "$B/file"
    is one kv get file
    echo two >"$B/file"
    is two cat "$A/file"
    kv set file three
    is three cat "$A/file"
    is three cat "$B/file"
}

@test "a file that has been read, and is kept in the caches, changes when another writes it" {
    local i
    for i in {1..30}; do
        echo "value $i" >"$A/file"
        is "value $i" cat "$B/file"
        echo "longer value $i" >"$B/file"
        is "longer value $i" cat "$A/file"
        kv set file "$i"
        is "$i" cat "$A/file"
        is "$i" cat "$B/file"
        [ "$(stat -c %s "$A/file")" -eq ${#i} ]
    done
}

@test "a change of the same length within one clock tick is seen too" {
    local i
    kv set file 0000
    for i in {1000..1050}; do
        kv set file "$i"
        [ "$(<"$A/file")" = "$i" ]
        [ "$(<"$B/file")" = "$i" ]
    done
}

@test "a file that was looked for in vain is found when another has made it" {
    says 1 'No such file' cat "$B/dir/file"
    mkdir "$A/dir"
    says 1 'No such file' cat "$B/dir/file"
    echo v >"$A/dir/file"
    is v cat "$B/dir/file"
    says 1 'No such file' cat "$A/by-kv"
    kv set by-kv v
    is v cat "$A/by-kv"
}

@test "a name that one removes or moves is gone on the other" {
    echo v >"$A/file"
    cat "$B/file"
    rm "$A/file"
    [ ! -e "$B/file" ]
    mkdir -p "$A/dir/sub"
    echo v >"$A/dir/sub/file"
    cat "$B/dir/sub/file"
    mv "$A/dir" "$A/moved"
    says 1 'No such file' cat "$B/dir/sub/file"
    is v cat "$B/moved/sub/file"
    kv mv moved back
    is v cat "$A/back/sub/file"
    [ ! -e "$A/moved" ]
    [ ! -e "$B/moved" ]
}

@test "all list the same names" {
    local i
    for i in {1..20}; do
        : >"$A/a-$i"
        : >"$B/b-$i"
        kv set "kv-$i" v
        [ "$(ls "$A" | wc -l)" -eq $((3 * i)) ]
        [ "$(ls "$B" | wc -l)" -eq $((3 * i)) ]
        [ "$(kv ls | wc -l)" -eq $((3 * i)) ]
    done
    diff <(ls -A "$A") <(ls -A "$B")
    rm "$B"/a-*
    is 40 bash -c "ls '$A' | wc -l"
}

@test "attributes and extended attributes that one sets the other shows" {
    : >"$A/file"
    stat "$B/file"
    chmod 4711 "$A/file"
    is 4711 stat -c %a "$B/file"
    touch -d '2020-02-02 02:02:02 UTC' "$B/file"
    is 1580608922 stat -c %Y "$A/file"
    truncate -s 1000 "$A/file"
    is 1000 stat -c %s "$B/file"
    setfattr -n user.who -v A "$A/file"
    is A getfattr --only-values -n user.who "$B/file"
    setfattr -n user.who -v B "$B/file"
    is B getfattr --only-values -n user.who "$A/file"
}

@test "a file that is open on one is read there as the other has written it" {
    echo first >"$A/file"
    exec 5<"$B/file"
    is first head -c 100 <&5
    echo second-and-longer >>"$A/file"
    is $'first\nsecond-and-longer' cat /proc/self/fd/5 5<&5
    # And from where the descriptor stands.
    is second-and-longer cat <&5
    exec 5<&-
}

@test "lines that both append, each with the file held open, all stay" {
    local i
    exec 5>>"$A/log" 6>>"$B/log"
    for i in {1..50}; do
        echo "a $i" >&5
        echo "b $i" >&6
        kv append log "kv $i"$'\n'
    done
    exec 5>&- 6>&-
    is 150 bash -c "sort -u '$A/log' | wc -l"
    is 150 bash -c "kv get log | sort -u | wc -l"
}

@test "an id is the same on both, and nobody else's after the file has gone" {
    local id
    echo v >"$A/file"
    id=$(stat -c %i "$A/file")
    is "$id" stat -c %i "$B/file"
    rm "$B/file"
    echo v >"$B/file"
    [ "$(stat -c %i "$A/file")" != "$id" ]
}

@test "a file that is open on one mount can be read there when the other has renamed or replaced it" {
    echo content >"$A/file"
    exec 5<"$B/file"
    mv "$A/file" "$A/renamed"
    is content cat /proc/self/fd/5 5<&5
    exec 5<&-
}

@test "a file that is held open on one mount and removed there outlives its name" {
    echo content >"$A/file"
    exec 5<"$A/file"
    rm "$A/file"
    [ ! -e "$B/file" ]
    is content cat <&5
    exec 5<&-
}

@test "an exclusive creation succeeds on one of the two only" {
    local i a b
    for i in {1..20}; do
        (set -C && : >"$A/lock-$i") 2>/dev/null 3>&- &
        a=$!
        (set -C && : >"$B/lock-$i") 2>/dev/null 3>&- &
        b=$!
        got=0
        wait "$a" && got=$((got + 1))
        wait "$b" && got=$((got + 1))
        [ "$got" -eq 1 ]
    done
}

@test "git on one mount, and its clone on the other" {
    export HOME=$T/home GIT_CONFIG_NOSYSTEM=1
    mkdir "$HOME" "$A/repository"
    git -C "$A/repository" init -q -b main
    cp /etc/hostname "$A/repository/file"
    git -C "$A/repository" add file
    git -C "$A/repository" -c user.name=T -c user.email=t@example.org commit -qm first
    git clone -q "$B/repository" "$B/clone"
    git -C "$B/clone" fsck --strict --full
    is '' git -C "$A/clone" status --porcelain
}

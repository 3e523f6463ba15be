#!/usr/bin/env bats
# kv: what it says when something fails. A message names the key that it is about, and what it advises must not make
# things worse when it is typed in.

load ../lib
load ../expect

setup() {
    setup_kvfs
    start_server
}

teardown() {
    rm -rf "${OTHER:-}"
    teardown_kvfs
}

# says_not PATTERN: the last command's words have no line that PATTERN describes.
says_not() {
    if grep -qaE -- "$1" "$T/said"; then
        echo "this should not be said: $1"
        cat "$T/said"
        return 1
    fi
}

@test "a value too long for one request: the advice appends where append would have, and names the key" {
    local big="truncate -s 200M '$T/big' && kv"
    says 4 '^kv: write it through a mount: cat > MOUNTPOINT/d/key$' bash -c "$big set d/key <'$T/big'"
    says 4 "^kv: write it through a mount: cat >> MOUNTPOINT/'a log'\$" bash -c "$big append 'a log' <'$T/big'"
    says 4 ' of=MOUNTPOINT/key conv=notrunc oflag=seek_bytes seek=4711$' bash -c "$big setrange key 4711 <'$T/big'"
    says_not 'cat >'
    # cat would replace what --nx protects.
    says 4 EFBIG bash -c "$big set --nx key <'$T/big'"
    says_not 'mount'
}

# advised COMMAND...: what kv advises when stdin is too long for COMMAND, with $T for the mount.
advised() {
    truncate -s 200M "$T/big"
    kv "$@" 2>&1 <"$T/big" | sed -n "s:^kv. write it through a mount. ::p" | sed "s:MOUNTPOINT:'$T':"
}

@test "what is advised does to a file what the command would have done" {
    printf 0123456789 >"$T/a key"
    printf XY | eval "$(advised setrange 'a key' 3)"
    [ "$(cat "$T/a key")" = 012XY56789 ]
    printf Z | eval "$(advised append 'a key')"
    [ "$(cat "$T/a key")" = 012XY56789Z ]
    printf all | eval "$(advised set 'a key')"
    [ "$(cat "$T/a key")" = all ]
}

@test "a directory where a value was expected is named, with one piece of advice where there is one" {
    kv mkdir d
    kv set f 1
    says 4 "^kv: get d: 'd' is a directory \(EISDIR\)$" kv get d
    says 4 '^kv: kv ls shows it, kv rm -r removes it$' kv append d v
    says 4 "^kv: incr d: 'd' is a directory \(EISDIR\)$" kv incr d
    says_not 'rm -r'
    says 4 "^kv: del d: 'd' is a directory; use rmdir \(EISDIR\)$" kv del d
    says_not 'rm -r'
    says 4 '^kv: kv rm -r removes it' kv rm d
    says 4 "^kv: mv f -> d: 'd' is a directory \(EISDIR\)$" kv mv f d
    says_not 'rm -r'
}

@test "mset names the key that stood in its way" {
    kv mkdir -p d/dir
    kv set d/file v
    says 4 "^kv: mset d/dir: 'd/dir' is a directory \(EISDIR\)$" kv mset d/a 1 d/dir 2
    says 4 "^kv: mset d/file/x: 'd/file' is not a directory \(ENOTDIR\)$" kv mset d/a 1 d/file/x 2
    kv ln -s loop d/loop
    says 4 '^kv: mset d/loop: .*ELOOP' kv mset d/a 1 d/loop 2
}

@test "below a file there is no key: the answer is no, and the file is named" {
    kv set a v
    says 1 "^kv: get a/x: 'a' is not a directory \(ENOTDIR\)$" kv get a/x
    says 1 ENOTDIR kv stat a/x
    says 1 ENOTDIR kv ttl a/x
    says 1 ENOTDIR kv rm a/x
    says 1 ENOTDIR kv ls a/x
    says 0 '' kv rm -f a/x
    says 4 ENOTDIR kv set a/x v
    says 4 "'a' is not a directory" kv rmdir a
}

@test "mv names both, and which of them is to blame" {
    kv set aa 1
    kv set file 2
    kv set dir/full 3
    kv mkdir other
    says 1 "^kv: mv nope -> bb: there is no 'nope' \(ENOENT\)$" kv mv nope bb
    says 1 "^kv: mv aa -> nod/x: there is no directory 'nod' \(ENOENT\)$" kv mv aa nod/x
    says 1 "there is no directory 'dir/no'" kv mv aa dir/no/x
    says 1 "^kv: mv aa -> bb: there is no 'bb'" kv mv --exchange aa bb
    says 1 "^kv: mv aa -> file: 'file' exists already \(EEXIST\)$" kv mv -n aa file
    says 4 "'file' is not a directory" kv mv aa file/x
    says 4 "'dir' is a directory, but 'file' is not" kv mv dir file
    says 4 "^kv: mv other -> dir: the directory 'dir' is not empty" kv mv other dir
    says 4 '^kv: mv dir -> dir/sub: cannot move a directory into itself \(EINVAL\)$' kv mv dir dir/sub
    says 4 'EINVAL' kv mv aa a//b
    says_not 'into itself'
    is 1 kv get aa
}

@test "ln and readlink say what is wrong" {
    kv set file v
    kv mkdir dir
    says 4 "^kv: ln dir -> second: 'dir' is a directory, and there are no hard links to directories" kv ln dir second
    says 1 "^kv: ln nope -> second: there is no 'nope'" kv ln nope second
    says 1 "there is no directory 'nod'" kv ln file nod/x
    says 1 "there is no directory 'nod'" kv ln -s nope nod/x
    says 1 "'dir' exists already" kv ln -s file dir
    says 4 "^kv: readlink file: 'file' is not a symbolic link \(EINVAL\)$" kv readlink file
    says 4 "'dir' is not a symbolic link" kv readlink dir
}

@test "tree of a file is an error, and newlines in names do not forge lines" {
    kv set d/$'new\nline' 1
    kv ln -s $'to\nthere' d/link
    says 0 "└── .\\\$'new\\\\nline'|── \\\$'new\\\\nline'$" kv tree d
    says 0 " \\\$'new\\\\nline'$" kv ls -l d
    says 0 " link -> \\\$'to\\\\nthere'$" kv ls -l d
    [ "$(kv ls -l d | wc -l)" -eq 2 ]
    kv ls -0 d | cmp - <(printf 'link\0new\nline\0')
    kv ls d | cmp - <(printf 'link\nnew\nline\n')
    kv set file v
    says 4 '^kv: tree: file is not a directory' kv tree file
}

@test "an empty store is an error, and a bad one is named with its source" {
    says 2 '^kv: ping: -s names no store: it is empty$' kv -s '' ping
    says 2 '^kv: ping: .KV_STORE names no store: it is empty$' env KV_STORE= kv ping
    says 2 '^kv: ping: .KV_STORE redis://x: ' env KV_STORE=redis://x kv ping
    says 2 '^kv: ping: -s redis://x: ' kv -s redis://x ping
    says 3 '^kv: \(.KV_STORE names this store\)$' env KV_STORE=kv://127.0.0.1:1 kv ping
    says 3 '' kv -s kv://127.0.0.1:1 ping
    says_not 'names this store'
}

@test "a data directory that nobody serves: what it is that is missing" {
    says 3 "^kv: there is no directory $T/none$" kv -s "$T/none" ping
    echo v >"$T/file"
    says 3 "^kv: $T/file is not a directory$" kv -s "$T/file" ping
    says 3 "is a socket: say -s kv\+unix://$T/s.sock$" kv -s "$T/s.sock" ping
    mkdir "$T/empty"
    says 3 "no kvfs or kvcored serves $T/empty; start one: .*kvcored --dir $T/empty$" kv -s "$T/empty" ping
    mkdir "$T/strange"
    echo v >"$T/strange/kvfs.sock"
    says 3 "kvfs.sock is not a socket" kv -s "$T/strange" ping
    says 3 'has died; start it again: .*kvcored --dir' kv -s "$(dead_store)" ping
    says 3 'has died; start it again' kv -s "kv+unix://$T/dead/kvfs.sock" ping
    says_not 'start a store'
    says 3 "start a store with kvcored --unix $T/no.sock" kv -s "kv+unix://$T/no.sock" ping
}

@test "a data directory whose socket has too long a path is said to be that" {
    local long
    long=$T/$(printf 'x%.0s' {1..120})
    mkdir "$long"
    says 2 'longer than 107 bytes' kv -s "$long" ping
}

# A data directory whose owner ended as by a crash, its socket still there.
dead_store() {
    mkdir -p "$T/dead"
    /usr/bin/python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$T/dead/kvfs.sock"
    echo "$T/dead"
}

@test "a store of another user: permission is what is missing, and no other store is advised" {
    [ "$(id -u)" -eq 0 ] || skip 'takes a second user, so root'
    local as_other='setpriv --reuid 65534 --regid 65534 --clear-groups' store
    # A folder that the other user may pass, with a copy of kv: the build and $T may lie where he may not go.
    OTHER=$(mktemp -d /tmp/kvtest-other.XXXXXX)
    chmod 755 "$OTHER"
    cp "$KV_BIN/kv" "$OTHER/kv"
    mkdir -m 755 "$OTHER/open"
    mkdir -m 700 "$OTHER/closed"
    /usr/bin/python3 -c 'import socket, sys
for path in sys.argv[1:]:
    socket.socket(socket.AF_UNIX).bind(path)' "$OTHER/open/kvfs.sock" "$OTHER/closed/kvfs.sock"
    chmod 600 "$OTHER/open/kvfs.sock"
    for store in "$OTHER/open" "$OTHER/closed" "kv+unix://$OTHER/open/kvfs.sock"; do
        # shellcheck disable=SC2086
        says 3 'you may not use this store: it belongs to the user root$' $as_other "$OTHER/kv" -s "$store" ping
        says_not 'start|serves'
    done
    # shellcheck disable=SC2086
    says 3 'you may not use this store' $as_other "$OTHER/kv" -s "kv+unix://$OTHER/closed/kvfs.sock" ping
    says_not 'start|serves'
}

@test "words that make no sense are named" {
    says 2 "^kv: --timeout: 'abc' is not a duration" kv --timeout abc ping
    says 2 "'soon' is not a duration" kv expire key soon
    says 4 "password file $T/none: No such file" kv --password-file "$T/none" ping
    says 2 'kv -s kv://example.org bench' kv bench -h example.org -n 5
    says 2 'kv -s kv://HOST:6379 bench' kv bench -p 6379
    says 0 '^usage: kv .* bench' kv bench -h
}

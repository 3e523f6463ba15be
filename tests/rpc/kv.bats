#!/usr/bin/env bats
# kv: every command, what it prints, and the status it ends with: 0 done, 1 the answer is no, 2 wrong usage, 3 no answer
# from the store, 4 another error.

load ../lib
load ../expect

setup() {
    setup_kvfs
    start_server
}

# json_is PROGRAM COMMAND...: what kv --json COMMAND prints is JSON of which PROGRAM is true.
json_is() {
    local program=$1
    shift
    kv --json "$@" >"$T/json"
    is_json "$program" <"$T/json"
}

@test "set and get: a value from the command line, from stdin, and from -" {
    is OK kv set key 'two words'
    is 'two words' kv get key
    echo from stdin | kv set key
    is 'from stdin' kv get key
    printf 'a\0b' | kv set key -
    kv get key | cmp - <(printf 'a\0b')
    kv set key ''
    is '' kv get key
    kv set -- --key --value
    is --value kv get -- --key
    kv set key -5
    is -5 kv get key
}

@test "get adds nothing to the bytes" {
    printf 'no newline' | kv set key
    kv get key | cmp - <(printf 'no newline')
    printf 'one newline\n' | kv set key
    kv get key | cmp - <(printf 'one newline\n')
}

@test "get of what is not there, and of a directory" {
    says 1 'kv: get nope: .*ENOENT' kv get nope
    kv mkdir dir
    says 4 'EISDIR' kv get dir
    says 1 'ENOTDIR' bash -c 'kv set file v && kv get file/below'
}

@test "set --nx sets only what is not there, --xx only what is" {
    kv set --nx key one
    says 1 EEXIST kv set --nx key two
    is one kv get key
    kv set --xx key two
    is two kv get key
    says 1 ENOENT kv set --xx nope v
    says 1 ENOENT kv get nope
    says 2 nx kv set --nx --xx key v
}

@test "set --if-version sets only what nobody has changed" {
    local version
    kv --json set key one >"$T/json"
    version=$(/usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["version"])' <"$T/json")
    kv set --if-version "$version" key two
    says 1 VERSION kv set --if-version "$version" key three
    is two kv get key
}

@test "set --ttl lets a key expire, and a plain set keeps it" {
    kv set --ttl 100s key v
    [ "$(kv ttl key)" -gt 95 ]
    kv set key w
    is -1 kv ttl key
    kv set --ttl 100ms key v
    wait_until gone key
    kv set --ttl 1d2h key v
    [ "$(kv ttl key)" -gt 93000 ]
    says 2 'duration' kv set --ttl soon key v
}

gone() { ! kv exists "$1" >/dev/null; }

@test "del and exists count, and 0 is a no" {
    kv set a 1
    kv set b 2
    is 2 kv exists a b nope
    is 2 kv del a b nope
    says 1 '^0$' kv del a
    says 1 '^0$' kv exists a b
    kv mkdir dir
    says 4 EISDIR kv del dir
    is 1 kv exists dir
}

@test "append makes and lengthens" {
    is 3 kv append log one
    is 6 kv append log two
    echo three | kv append log
    is onetwothree kv get log
}

@test "incr and decr count, and refuse what is no number or too large" {
    is 1 kv incr n
    is 11 kv incr n 10
    is 6 kv incr n -5
    is 4 kv decr n 2
    is 4 kv get n
    kv set n 9223372036854775807
    says 4 ERANGE kv incr n
    is 9223372036854775807 kv get n
    kv set n abc
    says 4 EINVAL kv incr n
    is abc kv get n
    says 2 'whole number' kv incr n many
}

@test "getrange and setrange work on parts, from either end, with holes" {
    kv set key 0123456789
    is 234 kv getrange key 2 4
    is 789 kv getrange key -3 -1
    is '' kv getrange key 20 30
    is 0123456789 kv getrange key 0 -1
    is 10 kv setrange key 3 xyz
    is 012xyz6789 kv get key
    is 15 kv setrange new 10 hello
    kv get new | cmp - <(printf '\0\0\0\0\0\0\0\0\0\0hello')
    says 2 'out of range' kv setrange new -1 v
}

@test "mset and mget take several keys of one slot" {
    is OK kv mset d/a 1 d/b 2 d/c 3
    is $'1\n2\n3' kv mget d/a d/b d/c
    says 1 '\(nil\)' kv mget d/a d/nope
    kv mset '{tag}one' 1 '{tag}two' 2
    is $'1\n2' kv mget '{tag}one' '{tag}two'
    says 2 'no value' kv mset d/a 1 d/b
}

@test "keys of different slots are CROSSSLOT, and nothing is set" {
    says 4 CROSSSLOT kv mset one 1 two 2
    says 1 ENOENT kv get one
    says 4 CROSSSLOT kv mget one two
}

@test "mset sets all or nothing" {
    kv mkdir -p d/dir
    says 4 EISDIR kv mset d/a 1 d/dir 2
    says 1 ENOENT kv get d/a
}

@test "ls lists in order, byte by byte" {
    kv set d/b 1
    kv set d/B 1
    kv set d/a/below 1
    kv set d/é 1
    kv set d/a0 1
    is $'B\na\na0\nb\né' kv ls d
    is $'B\na\na0\nb\né' kv ls d/
    is d kv ls
    is $'B\na' kv ls --limit 2 d
    is $'b\né' kv ls --after a0 d
    is d/b kv ls d/b
    says 1 ENOENT kv ls nope
    kv ls -0 d | cmp - <(printf 'B\0a\0a0\0b\0é\0')
}

@test "ls -l shows what ls(1) would" {
    kv set d/file 12345
    kv mkdir d/dir
    kv ln -s file d/link
    says 0 '^-rw-r--r-- +1 .* 5 .* file$' kv ls -l d
    says 0 '^drwxr-xr-x +2 .* dir$' kv ls -l d
    says 0 '^lrwxrwxrwx +1 .* link -> file$' kv ls -l d
}

@test "ls goes on from page to page, through thousands" {
    seq -f 'k-%05g' 12345 >"$T/expected"
    sed 's:.*:d/& v:' "$T/expected" | xargs -n 6000 kv mset
    kv ls d | cmp - "$T/expected"
    [ "$(kv ls --after k-10000 d | wc -l)" -eq 2345 ]
    [ "$(kv ls -l d | wc -l)" -eq 12345 ]
    json_is 'len(v) == 12345 and v == sorted(v)' ls d
}

@test "tree draws what is there" {
    kv set a/b/one 1
    kv set a/two 2
    kv set three 3
    is "/
├── a
│   ├── b
│   │   └── one
│   └── two
└── three

2 directories, 3 files" kv tree
    says 0 '1 directory, 1 file' kv tree --depth 1 a
    says 1 ENOENT kv tree nope
}

@test "stat shows a key, and not what a link leads to" {
    kv set key 12345
    says 0 'Size: 5 ' kv stat key
    says 0 'Type: regular file' kv stat key
    says 0 'Expires: never' kv stat key
    kv ln -s key link
    says 0 'symbolic link' kv stat link
    says 0 'regular file' kv stat -L link
    says 0 'Type: directory' kv stat /
    says 1 ENOENT kv stat nope
}

@test "mkdir and rmdir make and remove directories" {
    kv mkdir one two
    says 1 EEXIST kv mkdir one
    kv mkdir -p one a/b/c
    says 1 ENOENT kv mkdir x/y
    kv mkdir -m 700 private
    json_is "v['mode'] == '0700'" stat private
    says 4 ENOTEMPTY kv rmdir a
    kv rmdir one two
    is $'a\nprivate' kv ls
    says 2 octal kv mkdir -m 9 bad
}

@test "rm removes keys, and with -r whole trees" {
    kv set a/b/c 1
    kv set a/d 2
    kv set e 3
    says 4 'EISDIR' kv rm a
    kv rm -r a
    kv rm e
    is '' kv ls
    says 1 ENOENT kv rm e
    kv rm -f e
    says 2 'root' kv rm -r /
}

@test "mv renames, replaces, or does neither" {
    kv set from 1
    kv mv from to
    is 1 kv get to
    says 1 ENOENT kv mv from to
    kv set other 2
    says 1 EEXIST kv mv --no-replace other to
    kv mv --exchange other to
    is 2 kv get to
    kv mv other to
    is 1 kv get to
    kv set dir/a 1
    kv mv dir moved
    is 1 kv get moved/a
    says 4 EINVAL kv mv moved moved/below
}

@test "ln and readlink make names and links" {
    kv set file v
    kv ln file second
    json_is "v['nlink'] == 2" stat file
    kv ln -s file link
    is file kv readlink link
    is v kv get link
    says 4 EINVAL kv readlink file
    says 1 EEXIST kv ln file second
}

@test "expire, ttl and persist" {
    kv set key v
    is -1 kv ttl key
    is 1 kv expire key 1m
    [ "$(kv ttl key)" -gt 55 ]
    [ "$(kv ttl --ms key)" -gt 55000 ]
    is 1 kv persist key
    says 1 '^0$' kv persist key
    is -1 kv ttl key
    kv expire key 100ms
    wait_until gone key
    says 1 ENOENT kv ttl key
    says 1 ENOENT kv expire key 1m
    kv mkdir dir
    says 4 'EISDIR|EINVAL' kv expire dir 1m
}

@test "info shows the server's figures, all or one section" {
    says 0 "^pid:$SERVER_PID\$" kv info
    says 0 '^# Memory' kv info
    says 0 '^used_bytes:[0-9]+$' kv info memory
    fails grep -q Server "$T/said"
    json_is "v['server']['pid'] == $SERVER_PID" info
    says 4 EINVAL kv info nosuch
}

@test "ping answers, once or often" {
    is PONG kv ping
    says 0 '3 sent, 3 answered' kv ping -c 3 -i 1ms
    json_is "v['sent'] == 3 and v['answered'] == 3 and v['min_us'] > 0" ping -c 3 -i 1ms
}

@test "bench measures what it is asked for" {
    says 0 'set' kv bench -q -n 500 -c 5
    json_is "[t['test'].lower() for t in v] == ['set', 'get', 'incr', 'append', 'mset', 'ls', 'ping']
        and all(t['ops_per_s'] > 0 and 0 < t['p50_us'] <= t['p99_us'] for t in v)" \
        bench -n 200 -c 3 -P 4 -r 100 -t set,get,incr,append,mset,ls,ping
    says 2 'bogus' kv bench -t bogus
}

@test "--json prints JSON for every command that prints anything" {
    json_is "v['version'] > 0" set d/key value
    json_is "v == 'value'" get d/key
    printf '\377' | kv set d/binary
    json_is "v == {'base64': '/w=='}" get d/binary
    json_is 'v == 6' append d/key X
    json_is 'v == 1' exists d/key
    json_is 'v == 1' incr d/n
    json_is 'v == 0' decr d/n
    json_is "v == 'val'" getrange d/key 0 2
    json_is 'v == 6' setrange d/key 0 V
    json_is 'v is True' mset d/x 1 d/y 2
    says 1 '^\["1", ?null\]$' kv --json mget d/x d/nope
    json_is 'v is True' expire d/key 1m
    json_is '0 < v <= 60' ttl d/key
    json_is 'v is True' persist d/key
    json_is "v == ['binary', 'key', 'n', 'x', 'y']" ls d
    json_is "[e['name'] for e in v] == ['binary', 'key', 'n', 'x', 'y'] and v[1]['size'] == 6" ls -l d
    json_is 'v == []' ls --after z d
    json_is "v['type'] == 'regular file' and v['key'] == 'd/key'" stat d/key
    json_is 'v is True' mkdir d/dir
    json_is 'v is True' rmdir d/dir
    json_is 'v is True' mv d/x d/z
    json_is 'v is True' ln -s key d/link
    json_is "v == 'key'" readlink d/link
    json_is "v == 'PONG'" ping
    json_is 'v == 2' del d/y d/z
    json_is "v['removed'] == 5" rm -r d
}

@test "names that are no UTF-8, or hold control characters, are whole in JSON too" {
    kv set $'d/new\nline' 1
    kv set $'d/\377' 1
    json_is "v == ['new\\nline', {'base64': '/w=='}]" ls d
}

@test "help tells about every command, on stdout" {
    local command
    kv help >"$T/help"
    kv --help | cmp - "$T/help"
    [ "$(sed -n 's/^  \([a-z]*\) .*/\1/p' "$T/help" | wc -l)" -gt 20 ]
    for command in $(sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p' "$T/help"); do
        kv help "$command" | grep -q "^usage: kv \[OPTIONS\] $command"
        kv "$command" --help | cmp - <(kv help "$command")
    done
    says 0 '^kv .*[0-9]' kv --version
}

@test "a command line that makes no sense ends with status 2, and with help" {
    says 2 'usage' kv
    says 2 'no command frobnicate' kv frobnicate
    says 2 'usage: kv get KEY' kv get
    says 2 'too many' kv get one two
    says 2 'unknown option' kv get --bogus key
    says 2 'unknown option' kv --bogus get key
    says 2 'redis' kv -s redis://localhost get key
    says 2 'timeout' kv --timeout never get key
    says 2 'bogus' kv help bogus
}

@test "what is printed to a full disk is an error" {
    kv set key v
    kv mkdir dir
    kv set dir/file v
    for command in 'get key' 'ls' 'ls -l' 'tree' 'stat key' 'info' 'ping' 'help' '--version' '--json ls' 'incr n'; do
        says 4 'No space left' bash -c "kv $command >/dev/full"
    done
}

@test "a reader that goes away ends kv as SIGPIPE does, without a word" {
    # More than a pipe holds, so that the reader is gone before all is written.
    seq -f "d/$(printf 'n%.0s' {1..100})-%g v" 2000 | xargs kv mset
    head -c 3000000 /dev/zero | kv set big
    for command in 'ls d' '--json ls -l d' 'get big'; do
        # 141: ended by signal 13. The reader waits until there is something to read, and leaves.
        says 0 '^141 ' bash -c "kv $command 2>'$T/complaint' | head -c 1 >/dev/null; echo \${PIPESTATUS[*]}"
        [ ! -s "$T/complaint" ]
    done
}

@test "a closed stdout is an error and not the server's" {
    says 4 '' bash -c 'kv ping >&-'
    is PONG kv ping
}

@test "a store is found by -s, by KV_STORE, and in this order" {
    is PONG env KV_STORE=kv://127.0.0.1:1 kv -s "$KV_STORE" ping
    says 3 '127.0.0.1:1' env KV_STORE=kv://127.0.0.1:1 kv ping
    says 3 'nowhere.sock' kv -s "kv+unix://$T/nowhere.sock" ping
}

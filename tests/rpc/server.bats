#!/usr/bin/env bats
# kvcored as an operator meets it: starting, stopping, its configuration, and what it refuses to start with.

load ../lib
load ../expect

setup() {
    setup_kvfs
}

tcp_address() { grep -oE 'kv://[^ ]+' "$T/server.out"; }

@test "it says where it is ready, on stdout, and listens there" {
    start_server --listen 127.0.0.1:0 --listen '[::1]:0' || {
        # Without IPv6 there is nothing to test of it.
        [ ! -e /proc/net/if_inet6 ] || grep -q '::1' "$T/server.log"
        start_server --listen 127.0.0.1:0
    }
    for address in $(grep -oE 'kv(\+unix)?://[^ ]+' "$T/server.out"); do
        is PONG kv -s "$address" ping
    done
    [ "$(wc -l <"$T/server.out")" -eq 1 ]
}

@test "SIGTERM, SIGINT and SIGHUP stop it with status 0, and its socket is gone" {
    local signal
    for signal in TERM INT HUP; do
        : >"$T/server.out"
        env --default-signal="$signal" "$KV_BIN/kvcored" --unix "$T/s.sock" >"$T/server.out" 2>>"$T/server.log" </dev/null 3>&- &
        SERVER_PID=$!
        wait_until grep -q ready "$T/server.out"
        [ -S "$T/s.sock" ]
        kill -"$signal" "$SERVER_PID"
        wait_until process_ended "$SERVER_PID"
        wait "$SERVER_PID"
        unset SERVER_PID
        [ ! -e "$T/s.sock" ]
    done
}

@test "SIGTERM stops it while clients are connected and one is in the middle of a request" {
    start_server
    mount_kvfs "$KV_STORE" "$T/mnt"
    /usr/bin/python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"\x94\x00\x01\xa3set\x92\xa3key\xc6\x00\x10\x00\x00half")
print("sent", flush=True)
s.recv(1)' "$T/s.sock" >"$T/out" 3>&- &
    client=$!
    wait_until grep -q sent "$T/out"
    kill -TERM "$SERVER_PID"
    wait_until process_ended "$SERVER_PID"
    wait "$SERVER_PID"
    unset SERVER_PID
    wait "$client"
    timeout 5 fusermount3 -u "$T/mnt"
}

@test "after kill -9 it starts again on the same socket and directory" {
    start_server --dir "$T/data"
    kill_server
    [ -S "$T/s.sock" ]
    start_server --dir "$T/data"
    is PONG kv ping
    is PONG kv -s "$T/data" ping
}

@test "a socket on which another server listens is refused, and left to it" {
    start_server
    says 1 "s.sock.*another process listens" kvcored --unix "$T/s.sock"
    is PONG kv ping
}

@test "a file that is no socket is never removed" {
    echo precious >"$T/s.sock"
    says 1 'not a socket' kvcored --unix "$T/s.sock"
    is precious cat "$T/s.sock"
}

@test "a port in use is refused, and the message names it" {
    start_server --listen 127.0.0.1:0
    address=$(tcp_address)
    says 1 "cannot listen on 127.0.0.1:${address##*:}: address already in use" kvcored --listen "127.0.0.1:${address##*:}"
    is PONG kv -s "$address" ping
}

@test "a start that fails leaves no socket behind" {
    mkdir -p "$T/data/kvfs.sock"
    says 1 'kvfs.sock.*not a socket' kvcored --unix "$T/s.sock" --dir "$T/data"
    [ ! -e "$T/s.sock" ]
}

@test "beyond loopback it refuses to listen without a password, and says so" {
    says 1 'refuses to listen on 0.0.0.0:0 without a password' kvcored --listen 0.0.0.0:0
    says 1 'without a password' kvcored --listen '[::]:0'
    says 1 'without a password' kvcored --listen 127.0.0.1:0 --listen 192.0.2.1:7400
    echo 'listen = {"0.0.0.0:0"}' >"$T/conf"
    says 1 'without a password' kvcored --config "$T/conf"
}

@test "with a password it listens anywhere, and lets in who knows it" {
    echo secret >"$T/password"
    echo wrong >"$T/wrong"
    start_server --listen 0.0.0.0:0 --password-file "$T/password"
    address=$(tcp_address)
    address=kv://127.0.0.1:${address##*:}
    says 4 NOAUTH kv -s "$address" get key
    says 4 'NOAUTH' kv -s "$address" --password-file "$T/wrong" get key
    says 0 OK kv -s "$address" --password-file "$T/password" set key v
    is v env KV_PASSWORD=secret kv -s "$address" get key
    is v kv -s "kv://:secret@${address#kv://}" get key
    # No message repeats a password.
    fails grep -r secret "$T/server.log" "$T/server.out"
    says 4 NOAUTH kv -s "kv://:wrongsecret@${address#kv://}" get key
    fails grep wrongsecret "$T/said"
}

@test "a password file that is missing or empty stops the start" {
    says 1 "nowhere" kvcored --listen 0.0.0.0:0 --password-file "$T/nowhere"
    : >"$T/empty"
    says 1 'empty|no password' kvcored --listen 0.0.0.0:0 --password-file "$T/empty"
}

@test "a configuration file is read, and the command line overrides it" {
    cat >"$T/conf" <<CONF
# A comment.
listen = {"127.0.0.1:0"}
unix = "$T/from-file.sock"
password = "secret"
maxmemory = "64mb"
max-connections = "7"
log-level = "warning"
CONF
    start_server --config "$T/conf"
    export KV_PASSWORD=secret
    says 0 '^connections_max:7$' kv info clients
    says 0 '^max_bytes:67108864$' kv info memory
    is PONG kv -s "$(tcp_address)" ping
    # --unix won.
    [ ! -e "$T/from-file.sock" ]
    stop_server
    start_server --config "$T/conf" --max-connections 9 --maxmemory 1gb
    says 0 '^connections_max:9$' kv info clients
    says 0 '^max_bytes:1073741824$' kv info memory
}

@test "a configuration file with an unknown word is refused by file, line and word" {
    printf 'unix = "%s"\nfrobnicate = "yes"\n' "$T/s.sock" >"$T/conf"
    says 1 "$T/conf:2: .*frobnicate" kvcored --config "$T/conf"
    printf '# one\n/* two\n three */\nfrobnicate = "yes"\n' >"$T/conf"
    says 1 "$T/conf:4: .*frobnicate" kvcored --config "$T/conf"
    printf '# one\nmaxmemory = "much"\n' >"$T/conf"
    says 1 "$T/conf:2: maxmemory.*much" kvcored --config "$T/conf"
    printf 'listen = {"127.0.0.1:99999"}\n' >"$T/conf"
    says 1 '99999' kvcored --config "$T/conf"
    printf 'unix = "no end\n' >"$T/conf"
    says 1 "$T/conf" kvcored --config "$T/conf"
    says 1 "nowhere.*No such file" kvcored --config "$T/nowhere"
}

@test "a command line that makes no sense is refused with status 2" {
    says 2 'bogus' kvcored --bogus
    says 2 'unexpected argument' kvcored something
    says 2 'maxmemory' kvcored --maxmemory lots
    says 2 'max-connections' kvcored --max-connections 0
    says 2 'log-level|level' kvcored --log-level loud
    says 2 'port' kvcored --listen 127.0.0.1:http
    says 2 'unix.*empty' kvcored --unix ''
    says 2 'dir.*empty' kvcored --dir ''
    says 2 'listen.*empty' kvcored --listen ''
    local long
    long=$(printf '%05000d' 0)
    says 2 'unix is longer than' kvcored --unix "$long"
    says 2 'dir is longer than' kvcored --dir "$long"
}

@test "a relative socket is told from the root" {
    cd "$T"
    "$KV_BIN/kvcored" --unix ./rel.sock >"$T/server.out" 2>>"$T/server.log" </dev/null 3>&- &
    SERVER_PID=$!
    wait_until grep -q ready "$T/server.out"
    cd /
    is PONG kv -s "$(grep -oE 'kv\+unix://[^ ]+' "$T/server.out")" ping
}

@test "a socket whose listener is stopped, its queue full, is refused and does not hang the start" {
    /usr/bin/python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(0)
waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
for w in waiting:
    w.setblocking(False)
    w.connect_ex(sys.argv[1])
print("full", flush=True)
time.sleep(60)' "$T/s.sock" >"$T/out" 3>&- &
    wait_until grep -q full "$T/out"
    says 1 'another process listens' kvcored --unix "$T/s.sock"
    kill %1
}

@test "clients past max-connections are told of in one line" {
    start_server --max-connections 1
    /usr/bin/python3 -c 'import socket, sys, time
held = [socket.socket(socket.AF_UNIX) for _ in range(20)]
for s in held:
    s.connect(sys.argv[1])
assert all(s.recv(1) == b"" for s in held[1:])' "$T/s.sock"
    is 1 grep -c 'max-connections (1).*: 1 since' "$T/server.log"
    is 1 grep -c 'max-connections' "$T/server.log"
}

@test "a data directory is used by one server at a time" {
    start_server --dir "$T/data"
    [ "$(stat -c %a "$T/data")" = 700 ]
    says 1 "in use by process $SERVER_PID" kvcored --unix "$T/other.sock" --dir "$T/data"
    is PONG kv -s "$T/data" ping
}

@test "a data directory that cannot be made is an error" {
    : >"$T/file"
    says 1 "$T/file/data" kvcored --unix "$T/s.sock" --dir "$T/file/data"
}

@test "the Unix socket is for its owner alone" {
    start_server
    is 600 stat -c %a "$T/s.sock"
    if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
        chmod a+rx "$T"
        says 3 'ermission denied|refused' setpriv --reuid 65534 --regid 65534 --clear-groups "$KV_BIN/kv" ping
    fi
}

@test "--help and --version answer on stdout" {
    says 0 'listen' kvcored --help
    says 0 '^kvcored [0-9]' kvcored --version
}

@test "a value may be as long as memory allows, and no longer" {
    start_server --maxmemory 32mb
    head -c 20000000 /dev/zero | kv set large
    says 4 ENOSPC bash -c 'head -c 20000000 /dev/zero | kv set second'
    says 1 ENOENT kv get second
    [ "$(kv get large | wc -c)" -eq 20000000 ]
    mount_kvfs "$KV_STORE" "$T/mnt"
    says 1 'No space left' dd if=/dev/zero of="$T/mnt/third" bs=1M count=20
    rm "$T/mnt/large" "$T/mnt/third"
    head -c 20000000 /dev/zero | kv set second
}

@test "a full cache gives up what was not used, and the mount sees it gone" {
    start_server --maxmemory 16mb --maxmemory-policy allkeys-lru
    kv set kept "in use"
    kv set gone "not in use"
    mount_kvfs "$KV_STORE" "$T/mnt"
    is "not in use" cat "$T/mnt/gone"
    filler=$(head -c 4000 /dev/zero | tr '\0' x)
    for part in $(seq 8); do
        seq -f "d/$part-%g $filler" 400 | xargs -n 50 "$KV_BIN/kv" mset >/dev/null
        is "in use" kv get kept
    done
    head -c 12000000 /dev/zero | kv set large
    says 0 '^evicted:[1-9]' kv info keyspace
    says 0 '^policy:allkeys-lru$' kv info memory
    says 1 ENOENT kv get gone
    says 1 'No such file' cat "$T/mnt/gone"
    says 2 'noeviction, allkeys-lru, allkeys-lfu, volatile-ttl' kvcored --maxmemory-policy lru
}

@test "hundreds of kv, one after the other and many at once, leave nothing behind in the server" {
    start_server
    seq 300 | xargs -P 8 -I{} kv set "dir/{}" v >/dev/null
    is 300 bash -c 'kv ls dir | wc -l'
    says 0 '^connections:1$' kv info clients
    says 0 '^nodes:302$' kv info keyspace
}

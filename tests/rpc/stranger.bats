#!/usr/bin/env bats
# The wire is a standard: a MessagePack implementation that is not ours talks to kvcored, well and badly. What is said is
# in stranger.py.

load ../lib
load ../expect

setup() {
    setup_kvfs
}

# stranger CHECK [ARGUMENT...]: with the server at its TCP address.
stranger() {
    timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/stranger.py" "$(grep -oE 'kv://[^ ]+' "$T/server.out")" "$@"
    # Whatever was said, the server is still there.
    process_ended "$SERVER_PID" && return 1
    return 0
}

start_tcp_server() { start_server --listen 127.0.0.1:0 "$@"; }

@test "a stranger sets, gets and lists without hello" {
    start_tcp_server
    stranger simple
}

@test "a stranger on a Unix socket" {
    start_server
    timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/stranger.py" "$KV_STORE" simple
}

@test "hello tells who serves, and gives each connection a session" {
    start_tcp_server
    stranger hello
}

@test "keys and values may be str or bin" {
    start_tcp_server
    stranger str_or_bin
}

@test "a node is named by key, by id, or by directory and name" {
    start_tcp_server
    stranger refs
}

@test "what a mount does can be done by hand" {
    start_tcp_server
    stranger mount_operations
}

@test "errors are a code, a text and a detail, and say what is wrong with the arguments" {
    start_tcp_server
    stranger errors
}

@test "bad keys are refused with the POSIX error, whatever is done with them" {
    start_tcp_server
    stranger bad_keys
}

@test "thousands of requests out of one write are answered one by one" {
    start_tcp_server
    stranger pipelining
}

@test "a request may come byte by byte" {
    start_tcp_server
    stranger bytewise
}

@test "a notification is carried out without an answer" {
    start_tcp_server
    stranger notification
}

@test "any 32 bits are a message id" {
    start_tcp_server
    stranger message_ids
}

@test "a value of 64 MiB is one message, and what is too long is refused with EFBIG" {
    start_tcp_server
    stranger large
}

@test "hostile frames end their own connection and nothing else" {
    start_tcp_server
    stranger hostile
}

@test "who leaves in the middle of a message leaves nothing behind" {
    start_tcp_server
    stranger half_messages
}

@test "without the password every command is refused, with it none" {
    echo secret >"$T/password"
    start_tcp_server --password-file "$T/password"
    stranger no_password
}

@test "a client that stops reading is no longer read from, and harms nobody" {
    start_tcp_server
    stranger stops_reading
}

@test "10,000 connections are served at once" {
    [ "$(ulimit -Hn)" -ge 10100 ] || skip "only $(ulimit -Hn) files may be open here"
    start_tcp_server
    stranger connections 10000
    is PONG kv ping
}

@test "past max-connections one more is turned away, until another leaves" {
    start_tcp_server --max-connections 10
    stranger too_many_connections 10
}

@test "past maxmemory writes are refused with ENOSPC, and deletes still work" {
    start_tcp_server --maxmemory 16mb
    stranger full
}

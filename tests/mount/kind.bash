# One test file for both kinds of mount: `load kind`, then `mount_a_store` in the tests.
#
# x.bats tests an embedded mount, where the store is in kvfs itself. x_over_unix.bats and x_over_tcp.bats are symbolic
# links to it: the same tests with a kvcored on the other side of a Unix socket or of TCP.

# mount_a_store [ARGUMENT...]: mounts an empty store at $M, with these arguments to kvfs; kv finds it by KV_STORE.
mount_a_store() {
    M=$T/mnt
    case $BATS_TEST_FILENAME in
    *_over_unix.bats)
        start_server
        ;;
    *_over_tcp.bats)
        start_server --listen 127.0.0.1:0
        KV_STORE=$(tcp_address)
        ;;
    *)
        KV_STORE=$T/data
        ;;
    esac
    export KV_STORE
    mount_kvfs "$KV_STORE" "$M" "$@"
}

# tcp_address: of the server that start_server started with --listen HOST:0.
tcp_address() { grep -oE 'kv://[^ ]+' "$T/server.out"; }

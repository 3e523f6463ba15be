/* Where a store is: the text a user gives after -s, to kvfs or in a configuration file.
 *
 *   kv://[:PASSWORD@]HOST[:PORT]    TCP; an IPv6 address in brackets; the port defaults to 7400
 *   kv+unix://PATH                  a Unix socket
 *   anything without "://"          a directory: the embedded store's data
 *   other schemes                   refused by name ("kv+sentinel" and others are to come)
 */
#ifndef KV_RPC_ADDRESS_H
#define KV_RPC_ADDRESS_H

#include "kvcore/base/limits.h"

#include <stdbool.h>
#include <stddef.h>

#define KV_PORT_DEFAULT 7400

enum address_kind { ADDRESS_TCP, ADDRESS_UNIX, ADDRESS_DIRECTORY };

struct address {
    enum address_kind kind;
    char host[256];
    int port;
    char path[4096]; /* Unix socket or directory */
    char password[256];
    char text[4096]; /* as given, without the password: for messages */
};

/* 0, or -EINVAL with a sentence in ret_why (size why_bytes). */
int address_parse(const char *text, struct address *ret_address, char *ret_why, size_t why_bytes);

/* HOST:PORT, [V6]:PORT, HOST or :PORT, as --listen takes it; the host defaults to 127.0.0.1. 0 or -EINVAL. */
int address_parse_host_port(const char *text, struct address *ret_address, char *ret_why, size_t why_bytes);

/* Does this host name or address mean this machine only (127.0.0.0/8, ::1, localhost)? */
bool address_is_loopback(const char *host);

#endif

#include "kvcore/rpc/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

enum { PORT_MAX = 65535 };

#define SOCKET_PATH_BYTES_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static const char host_default[] = "127.0.0.1";

/* Where a sentence on what is wrong goes. */
struct why {
    char *text;
    size_t bytes;
};

static int wrong(struct why why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int wrong(struct why why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why.text, why.bytes, format, args);
    va_end(args);
    return -EINVAL;
}

/* Copies `len` bytes as a string where they fit. */
static bool copy(char *to, size_t room, const char *from, size_t len)
{
    if (len >= room)
        return false;
    memcpy(to, from, len);
    to[len] = 0;
    return true;
}

/* An IPv6 address, perhaps with its zone: fe80::1%eth0. */
static bool is_ipv6(const char *host)
{
    struct in6_addr ignored;
    char bare[INET6_ADDRSTRLEN];
    return copy(bare, sizeof bare, host, strcspn(host, "%")) && inet_pton(AF_INET6, bare, &ignored) == 1;
}

static bool is_host_name(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    return host[0] && host[strspn(host, allowed)] == 0;
}

static int parse_port(const char *text, int *ret_port, struct why why)
{
    int port = 0;
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits && port <= PORT_MAX; i++)
        port = port * 10 + (text[i] - '0');
    if (digits == 0 || text[digits] || port > PORT_MAX)
        return wrong(why, "'%.64s' is not a port: 1 to 65535", text);
    *ret_port = port;
    return 0;
}

/* Splits HOST[:PORT] into the host and what stands behind the colon (NULL: nothing does). */
static int split_host_port(const char *text, char *host, size_t host_bytes, const char **ret_port, struct why why)
{
    const char *end, *port = NULL;
    if (text[0] == '[') {
        end = strchr(++text, ']');
        if (!end)
            return wrong(why, "'[%.128s' lacks the closing bracket", text);
        if (end[1] && end[1] != ':')
            return wrong(why, "'%.64s' behind the bracket: only :PORT may follow it", end + 1);
        port = end[1] ? end + 2 : NULL;
    } else if (is_ipv6(text)) {
        end = text + strlen(text);
    } else {
        end = strchrnul(text, ':');
        port = *end ? end + 1 : NULL;
    }
    if (!copy(host, host_bytes, text, (size_t)(end - text)))
        return wrong(why, "the host name is longer than %zu bytes", host_bytes - 1);
    if (end[0] == ']' ? !is_ipv6(host) : host[0] && !is_ipv6(host) && !is_host_name(host))
        return wrong(why, "'%.128s' is not a host name or address", host);
    *ret_port = port;
    return 0;
}

static int parse_host_port(const char *text, struct address *address, struct why why)
{
    const char *port = NULL;
    int rc = split_host_port(text, address->host, sizeof address->host, &port, why);
    if (rc < 0)
        return rc;
    if (!address->host[0]) {
        if (!port)
            return wrong(why, "the address is empty: HOST, HOST:PORT or :PORT is needed");
        strcpy(address->host, host_default);
    }
    address->kind = ADDRESS_TCP;
    address->port = KV_PORT_DEFAULT;
    return port ? parse_port(port, &address->port, why) : 0;
}

/* [:PASSWORD@]HOST[:PORT] */
static int parse_tcp(const char *rest, struct address *address, struct why why)
{
    const char *at = strrchr(rest, '@'); /* a password may contain one, a host cannot */
    if (at) {
        if (rest[0] != ':')
            return wrong(why, "there are no user names here: a password is written kv://:PASSWORD@HOST");
        if (!copy(address->password, sizeof address->password, rest + 1, (size_t)(at - rest - 1)))
            return wrong(why, "the password is longer than %zu bytes", sizeof address->password - 1);
        rest = at + 1;
    }
    snprintf(address->text, sizeof address->text, "kv://%s", rest);
    int rc = parse_host_port(rest, address, why);
    if (rc == 0 && address->port == 0) /* to listen there means "any"; to connect there means nothing */
        return wrong(why, "'0' is not a port: 1 to 65535");
    return rc;
}

static int parse_path(enum address_kind kind, const char *path, const char *text, struct address *address,
                      struct why why)
{
    address->kind = kind;
    if (!path[0])
        return wrong(why, "the path is empty");
    if (!copy(address->path, sizeof address->path, path, strlen(path)) ||
        !copy(address->text, sizeof address->text, text, strlen(text)))
        return wrong(why, "the path is longer than %zu bytes", sizeof address->path - 1);
    if (kind == ADDRESS_UNIX && strlen(path) > SOCKET_PATH_BYTES_MAX)
        return wrong(why, "the path of a Unix socket is at most %zu bytes long", SOCKET_PATH_BYTES_MAX);
    return 0;
}

static int parse(const char *text, struct address *address, struct why why)
{
    const char *mark = strstr(text, "://");
    if (!mark)
        return parse_path(ADDRESS_DIRECTORY, text, text, address, why);
    int scheme_len = (int)(mark - text);
    const char *rest = mark + 3;
    if (scheme_len == 2 && memcmp(text, "kv", 2) == 0)
        return parse_tcp(rest, address, why);
    if (scheme_len == 7 && memcmp(text, "kv+unix", 7) == 0)
        return parse_path(ADDRESS_UNIX, rest, text, address, why);
    return wrong(why, "stores of the kind '%.*s://' are not known here; kv://, kv+unix:// or a directory are",
                 scheme_len < 32 ? scheme_len : 32, text);
}

int address_parse(const char *text, struct address *ret_address, char *ret_why, size_t why_bytes)
{
    struct address address = {0};
    int rc = parse(text, &address, (struct why){ret_why, why_bytes});
    if (rc == 0)
        *ret_address = address;
    return rc;
}

int address_parse_host_port(const char *text, struct address *ret_address, char *ret_why, size_t why_bytes)
{
    struct address address = {0};
    struct why why = {ret_why, why_bytes};
    if (!copy(address.text, sizeof address.text, text, strlen(text)))
        return wrong(why, "the address is longer than %zu bytes", sizeof address.text - 1);
    int rc = parse_host_port(text, &address, why);
    if (rc == 0)
        *ret_address = address;
    return rc;
}

bool address_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

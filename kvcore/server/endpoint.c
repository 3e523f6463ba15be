#include "kvcore/server/endpoint.h"

#include "kvcore/base/error.h"

#include <libgen.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int endpoint_resolve(const struct address *address, struct sockaddr_storage *ret_socket, char *why, size_t why_bytes)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    char port[16];
    snprintf(port, sizeof port, "%d", address->port);
    int rc = getaddrinfo(address->host, port, &hints, &found);
    if (rc != 0) {
        snprintf(why, why_bytes, "cannot listen on '%s': %s", address->host, gai_strerror(rc));
        return -EINVAL;
    }
    memcpy(ret_socket, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

/* Does anybody answer on this Unix socket? Who listens but does not get round to us (EAGAIN: its queue is full) does.
 */
static bool socket_is_alive(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool alive = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno != ECONNREFUSED;
    close(fd);
    return alive;
}

/* Is the folder there that the path lies in? */
static bool directory_exists(const char *path)
{
    char folder[sizeof((struct sockaddr_un *)0)->sun_path];
    struct stat stat_buf;
    snprintf(folder, sizeof folder, "%s", path);
    return stat(dirname(folder), &stat_buf) == 0;
}

int endpoint_clear(const char *path, char *why, size_t why_bytes)
{
    struct stat found;
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        snprintf(why, why_bytes, "cannot listen on '%s': the path of a Unix socket has at most %zu bytes", path,
                 sizeof((struct sockaddr_un *)0)->sun_path - 1);
        return -ENAMETOOLONG;
    }
    if (!directory_exists(path)) { /* libuv would say "permission denied" */
        snprintf(why, why_bytes, "cannot listen on '%s': its directory does not exist", path);
        return -ENOENT;
    }
    if (lstat(path, &found) < 0)
        return 0;
    if (!S_ISSOCK(found.st_mode)) {
        snprintf(why, why_bytes, "cannot listen on '%s': something that is not a socket is there", path);
        return -EEXIST;
    }
    if (socket_is_alive(path)) {
        snprintf(why, why_bytes, "cannot listen on '%s': another process listens there", path);
        return -EADDRINUSE;
    }
    unlink(path);
    return 0;
}

int endpoint_absolute(const char *path, char *ret_path, size_t path_bytes)
{
    char folder[PATH_MAX], real[PATH_MAX] = "";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int len;
    snprintf(folder, sizeof folder, "%s", path);
    if (path[0] == '/')
        len = snprintf(ret_path, path_bytes, "%s", path);
    else if (realpath(dirname(folder), real))
        len = snprintf(ret_path, path_bytes, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
    else
        return -errno;
    return (size_t)len < path_bytes ? 0 : -ENAMETOOLONG;
}

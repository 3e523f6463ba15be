#include "kvcore/tools/unreachable.h"

#include "kvcore/tools/attr_text.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum finding {
    FOUND_NOTHING,       /* no such socket */
    FOUND_NO_DIRECTORY,  /* nor a directory for it */
    FOUND_NOT_DIRECTORY, /* the directory is something else */
    FOUND_NOT_SOCKET,
    FOUND_FORBIDDEN,
    FOUND_NOBODY, /* a socket that nobody listens on: its owner died */
    FOUND_OTHER,  /* whatever it was has passed, or is not for us to explain */
};

/* What connect(2) has to say, 0 when somebody answers. Never waits. */
static int connect_error(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
    close(fd);
    return error;
}

static enum finding look(const char *directory, const char *path)
{
    struct stat status;
    if (directory[0]) {
        if (stat(directory, &status) < 0)
            return errno == EACCES ? FOUND_FORBIDDEN : FOUND_NO_DIRECTORY;
        if (!S_ISDIR(status.st_mode))
            return FOUND_NOT_DIRECTORY;
    }
    switch (connect_error(path)) {
    case ENOENT:
    case ENOTDIR:
        return FOUND_NOTHING;
    case EACCES:
        return FOUND_FORBIDDEN;
    case ECONNREFUSED:
        return stat(path, &status) == 0 && !S_ISSOCK(status.st_mode) ? FOUND_NOT_SOCKET : FOUND_NOBODY;
    default:
        return FOUND_OTHER;
    }
}

/* Whose socket it is, as far as can be seen; with a directory that hides it, whose that is. */
static void say_forbidden(const char *directory, const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 || (directory[0] && stat(directory, &status) == 0))
        fprintf(stderr, "kv: you may not use this store: it belongs to the user %s\n", attr_user(status.st_uid));
    else
        fprintf(stderr, "kv: you may not use this store: a directory on the way to it is closed to you\n");
}

static void say_directory(const char *directory, const char *path)
{
    struct stat status;
    switch (look(directory, path)) {
    case FOUND_NO_DIRECTORY:
        fprintf(stderr, "kv: there is no directory %s\n", directory);
        break;
    case FOUND_NOT_DIRECTORY:
        if (stat(directory, &status) == 0 && S_ISSOCK(status.st_mode))
            fprintf(stderr, "kv: %s is a socket: say -s kv+unix://%s\n", directory, directory);
        else
            fprintf(stderr, "kv: %s is not a directory\n", directory);
        break;
    case FOUND_NOT_SOCKET:
        fprintf(stderr, "kv: %s is not a socket: is %s a store's data directory?\n", path, directory);
        break;
    case FOUND_FORBIDDEN:
        say_forbidden(directory, path);
        break;
    case FOUND_NOBODY:
        fprintf(stderr,
                "kv: the kvfs or kvcored that served %s has died; start it again: kvfs %s MOUNTPOINT, or kvcored "
                "--dir %s\n",
                directory, directory, directory);
        break;
    case FOUND_NOTHING:
    case FOUND_OTHER:
        fprintf(stderr, "kv: no kvfs or kvcored serves %s; start one: kvfs %s MOUNTPOINT, or kvcored --dir %s\n",
                directory, directory, directory);
        break;
    }
}

static void say_socket(const char *path)
{
    switch (look("", path)) {
    case FOUND_FORBIDDEN:
        say_forbidden("", path);
        break;
    case FOUND_NOT_SOCKET:
        fprintf(stderr, "kv: %s is not a socket\n", path);
        break;
    case FOUND_NOBODY:
        fprintf(stderr, "kv: the kvcored or kvfs that listened there has died; start it again\n");
        break;
    default:
        fprintf(stderr, "kv: start a store with kvcored --unix %s, or name another with -s or $KV_STORE\n", path);
        break;
    }
}

void unreachable_complain(const struct tool *tool, const char *why)
{
    const struct address *address = &tool->address;
    fprintf(stderr, "kv: %s\n", why);
    if (tool->directory[0])
        say_directory(tool->directory, address->path);
    else if (address->kind == ADDRESS_UNIX)
        say_socket(address->path);
    else
        fprintf(stderr, "kv: start a store with kvcored, or name another with -s or $KV_STORE\n");
    if (tool->store_source[0] == '$')
        fprintf(stderr, "kv: (%s names this store)\n", tool->store_source);
}

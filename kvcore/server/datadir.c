#include "kvcore/server/datadir.h"

#include "kvcore/base/error.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* mkdir -p with 0700. */
static int make_directory(const char *path)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof part)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static int lock_is_taken(int fd, const char *path, char *why, size_t why_bytes)
{
    char pid[32] = "";
    ssize_t len = pread(fd, pid, sizeof pid - 1, 0);
    pid[len > 0 ? len : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    snprintf(why, why_bytes, "the data directory '%s' is in use by process %s; one process owns it at a time", path,
             pid[0] ? pid : "(unknown)");
    return -EBUSY;
}

int datadir_open(struct datadir *datadir, const char *path, char *why, size_t why_bytes)
{
    char lock_path[PATH_MAX];
    datadir->lock_fd = -1;
    int rc = make_directory(path);
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot create the data directory '%s': %s", path, strerror(-rc));
        return rc;
    }
    snprintf(lock_path, sizeof lock_path, "%s/LOCK", path);
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = -errno;
        snprintf(why, why_bytes, "cannot open '%s': %s", lock_path, strerror(errno));
        return rc;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        rc = errno == EWOULDBLOCK ? lock_is_taken(fd, path, why, why_bytes) : -errno;
        if (rc != -EBUSY)
            snprintf(why, why_bytes, "cannot lock '%s': %s", lock_path, strerror(-rc));
        close(fd);
        return rc;
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
        rc = -errno;
        snprintf(why, why_bytes, "cannot write '%s': %s", lock_path, strerror(errno));
        close(fd);
        return rc;
    }
    datadir->lock_fd = fd;
    return 0;
}

void datadir_close(struct datadir *datadir)
{
    if (datadir->lock_fd >= 0)
        close(datadir->lock_fd);
    datadir->lock_fd = -1;
}

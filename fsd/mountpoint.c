#include "fsd/mountpoint.h"

#include "kvcore/base/buf.h"
#include "kvcore/base/error.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Undoes the kernel's "\040" for a space and the like. */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in; out++) {
        unsigned code;
        if (in[0] == '\\' && sscanf(in + 1, "%3o", &code) == 1) {
            *out = (char)code;
            in += 4;
        } else {
            *out = *in++;
        }
    }
    *out = '\0';
}

bool mountpoint_is_kvfs(const char *path, const char *mountinfo)
{
    char where[PATH_MAX], type[64];
    for (const char *line = mountinfo; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        const char *dash = strstr(line, " - ");
        if (!dash || sscanf(line, "%*s %*s %*s %*s %4095s", where) != 1 || sscanf(dash, " - %63s", type) != 1)
            continue;
        unescape(where);
        if (strcmp(where, path) == 0 && strcmp(type, "fuse.kvfs") == 0)
            return true;
    }
    return false;
}

static bool is_mounted_here(const char *path)
{
    struct buf text = {0};
    FILE *file = fopen("/proc/self/mountinfo", "re");
    size_t got = 1;
    while (file && got > 0 && buf_reserve(&text, 65536) == 0) {
        got = fread(text.data + text.len, 1, 65535, file);
        text.len += got;
    }
    if (file)
        fclose(file);
    if (text.data)
        text.data[text.len] = '\0';
    bool mounted = text.data && mountpoint_is_kvfs(path, text.data);
    buf_close(&text);
    return mounted;
}

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return true; /* nothing to hide: who may mount need not be allowed to read */
    const struct dirent *entry = readdir(dir);
    while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0))
        entry = readdir(dir);
    closedir(dir);
    return !entry;
}

int mountpoint_check(const char *path, bool nonempty, char *ret_path, size_t path_bytes, char *ret_why,
                     size_t why_bytes)
{
    char real[PATH_MAX];
    struct stat stat_of;
    bool found = realpath(path, real) && stat(real, &stat_of) == 0;
    int error = found ? 0 : errno;
    if (error == ENOTCONN || (found && is_mounted_here(real))) {
        snprintf(ret_why, why_bytes, "%s: %s; unmount it first: umount %s", path,
                 found ? "kvfs is already mounted here" : "a mount whose daemon is gone", path);
        return -EBUSY;
    }
    if (error) {
        snprintf(ret_why, why_bytes,
                 error == ENOENT ? "%s: the mount point does not exist; make the directory first"
                                 : "%s: the mount point: %s",
                 path, strerror(error));
        return -error;
    }
    if (!S_ISDIR(stat_of.st_mode)) {
        snprintf(ret_why, why_bytes, "%s: the mount point is not a directory", path);
        return -ENOTDIR;
    }
    if (!nonempty && !is_empty(real)) {
        snprintf(ret_why, why_bytes,
                 "%s: the mount point is not empty; what is in it would be hidden (-o nonempty allows it)", path);
        return -ENOTEMPTY;
    }
    snprintf(ret_path, path_bytes, "%s", real);
    return 0;
}

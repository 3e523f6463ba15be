#include "fsd/mountpoint.h"

#include "kvcore/base/buf.h"
#include "kvcore/base/error.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { READ_STEP_BYTES = 65536 };

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

bool mountpoint_find(const char *path, const char *mountinfo, char *ret_device, size_t device_bytes)
{
    char where[PATH_MAX], device[32], type[64];
    bool found = false;
    for (const char *line = mountinfo; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        const char *dash = strstr(line, " - ");
        if (!dash || sscanf(line, "%*s %*s %31s %*s %4095s", device, where) != 2 || sscanf(dash, " - %63s", type) != 1)
            continue;
        unescape(where);
        if (strcmp(where, path) != 0 || strcmp(type, "fuse.kvfs") != 0)
            continue;
        snprintf(ret_device, device_bytes, "%s", device);
        found = true;
    }
    return found;
}

static bool find_here(const char *path, char *ret_device, size_t device_bytes)
{
    struct buf text = {0};
    FILE *file = fopen("/proc/self/mountinfo", "re");
    size_t got = 1;
    while (file && got > 0 && buf_reserve(&text, READ_STEP_BYTES + 1) == 0) {
        got = fread(text.data + text.len, 1, READ_STEP_BYTES, file);
        text.len += got;
    }
    if (file)
        fclose(file);
    if (text.data)
        text.data[text.len] = '\0';
    bool found = text.data && mountpoint_find(path, text.data, ret_device, device_bytes);
    buf_close(&text);
    return found;
}

void mountpoint_read_ahead(const char *path, unsigned kib)
{
    char device[32], setting[128];
    if (!find_here(path, device, sizeof device))
        return;
    snprintf(setting, sizeof setting, "/sys/class/bdi/%s/read_ahead_kb", device);
    FILE *file = fopen(setting, "we");
    if (!file)
        return;
    fprintf(file, "%u\n", kib);
    fclose(file);
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
    char device[32];
    bool found = realpath(path, real) && stat(real, &stat_of) == 0;
    int error = found ? 0 : errno;
    if (error == ENOTCONN || (found && find_here(real, device, sizeof device))) {
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

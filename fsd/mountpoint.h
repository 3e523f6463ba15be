/* Whether a directory may be mounted on. */
#ifndef KV_FSD_MOUNTPOINT_H
#define KV_FSD_MOUNTPOINT_H

#include <stdbool.h>
#include <stddef.h>

/* Puts the mount point's real path in ret_path. -ENOENT, -ENOTDIR, -ENOTEMPTY (unless `nonempty`), -EBUSY (there is a
 * kvfs already), or why it cannot be read, with a sentence in ret_why. */
int mountpoint_check(const char *path, bool nonempty, char *ret_path, size_t path_bytes, char *ret_why,
                     size_t why_bytes);

/* The device number, "0:39", of the file system of type fuse.kvfs at this real path, by this text in the format of
 * /proc/self/mountinfo (proc(5)). False: there is none. */
bool mountpoint_find(const char *path, const char *mountinfo, char *ret_device, size_t device_bytes);

/* Lets the kernel read ahead as much as one message carries, where we may set that (root); its default is 128 KiB. */
void mountpoint_read_ahead(const char *path, unsigned kib);

#endif

/* A data directory and its one owner.
 *
 *   LOCK        flock(2)ed by the owner for as long as it lives; holds its pid as text, for people
 *   kvfs.sock   the owner listens here, so that `kv -s DIR` finds it
 *
 * The lock goes with the process, however it ends, so a stale LOCK file never keeps anybody out.
 */
#ifndef KV_SERVER_DATADIR_H
#define KV_SERVER_DATADIR_H

#include <stddef.h>

#define DATADIR_SOCKET "kvfs.sock"

struct datadir {
    int lock_fd; /* -1: no directory */
};

/* Creates the directory (0700, parents too) where it is missing, and takes the lock. -EBUSY when another process has
 * it; negative with a sentence in `why`. */
int datadir_open(struct datadir *datadir, const char *path, char *why, size_t why_bytes);
void datadir_close(struct datadir *datadir);

#endif

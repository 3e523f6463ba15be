/* A disk in memory that keeps what it promised and not a byte more.
 *
 *   what calls see                 what a power loss leaves
 *   bytes, names         <──────   what was synced, and of the rest any part: each write cut in sectors, each sector
 *                                  there, missing, or torn; the size any that the file had; each change of a name done
 *                                  or not
 *
 * Failures are ordered ahead: the power goes off in the Nth call from now, or the Nth call of some kinds fails. A sync
 * that fails has made some part safe and forgets the rest: a later one does not try again (as Linux does).
 *
 * Not for two threads at once.
 */
#ifndef TESTS_SIM_DISK_SIM_H
#define TESTS_SIM_DISK_SIM_H

#include "kvcore/base/disk.h"
#include "tests/unit/seed.h"

/* Which calls; or-ed. */
enum disk_sim_call {
    DISK_SIM_OPEN = 1 << 0,
    DISK_SIM_READ = 1 << 1,
    DISK_SIM_WRITE = 1 << 2,
    DISK_SIM_ALLOCATE = 1 << 3,
    DISK_SIM_TRUNCATE = 1 << 4,
    DISK_SIM_SIZE = 1 << 5,
    DISK_SIM_SYNC = 1 << 6,
    DISK_SIM_RENAME = 1 << 7,
    DISK_SIM_REMOVE = 1 << 8,
    DISK_SIM_LIST = 1 << 9,
    DISK_SIM_SYNC_NAMES = 1 << 10,
    DISK_SIM_ALL = (1 << 11) - 1,
};

/* An empty one; its chances go by the seed. disk_free frees it. */
struct disk *disk_sim_new(uint64_t seed);
/* Another one with what calls see now, all of it synced. */
struct disk *disk_sim_clone(const struct disk *disk);

/* How many calls of these kinds there have been. */
uint64_t disk_sim_calls(const struct disk *disk, unsigned calls);

/* From now on the `nth` call (1: the next) of these kinds fails with `code` (negative); with `forever` all after it
 * too. 0: none does. */
void disk_sim_fail(struct disk *disk, unsigned calls, uint64_t nth, int code, bool forever);

/* Bytes that the disk holds; more are -ENOSPC. 0: no bound. */
void disk_sim_set_budget(struct disk *disk, uint64_t bytes);

/* The power goes off in the `nth` call from now, which may still have been carried out in part. From then on all calls
 * fail with -EIO. 0: now. */
void disk_sim_power_off(struct disk *disk, uint64_t nth);
bool disk_sim_is_off(const struct disk *disk);
/* And comes back; what was not synced may be gone. All files must have been closed. */
void disk_sim_power_on(struct disk *disk);
/* As power_on, but only the process was gone: all that calls had seen is still there. */
void disk_sim_restart(struct disk *disk);

/* A file's bytes, to look at and to damage; borrowed until the next call. NULL: there is none of that name. */
char *disk_sim_bytes(struct disk *disk, const char *name, size_t *ret_len);

#endif

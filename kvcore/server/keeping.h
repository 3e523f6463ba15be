/* How a store is kept: what the user chooses, by the same words in kvcored.conf, on kvcored's command line and behind
 * kvfs -o:
 *
 *   durability = memory | written | synced        persistence = log+snapshots | log | snapshots | none
 *   save = "SECONDS CHANGES ..."                  keep-snapshots = N        snapshot-at-exit = yes | no
 */
#ifndef KV_SERVER_KEEPING_H
#define KV_SERVER_KEEPING_H

#include "kvcore/server/durability.h"
#include "kvcore/server/snapshots.h"

struct keeping {
    enum persistence persistence;
    enum durability durability;
    struct snapshot_policy snapshots;
    bool at_exit_given;
};

/* The defaults: a log and snapshots, and answers when the log is written. */
void keeping_init(struct keeping *keeping);

/* Sets one of the words. -EINVAL with a sentence in `why`, also where there is no such word. */
int keeping_set(struct keeping *keeping, const char *word, const char *value, char *why, size_t why_bytes);

/* What is to be done where nothing was said: with snapshots alone one is taken at the end. */
void keeping_settle(struct keeping *keeping);

#endif

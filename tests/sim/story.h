/* One random story that all runs of a test tell: records, and what the tree is after each of them. */
#ifndef TESTS_SIM_STORY_H
#define TESTS_SIM_STORY_H

#include "kvcore/log/recovery.h"

enum { STORY_RECORDS = 400 };

/* For cmocka_run_group_tests. */
int story_make(void **state);
int story_drop(void **state);

/* 1..STORY_RECORDS: a whole record. */
struct bytes story_record(uint64_t index);

/* Writes a snapshot of the tree after that record. 1: it is safely on disk; negative. */
int story_snapshot(struct disk *disk, uint64_t index);

/* All of a tree in a number: every attribute, name and byte. */
uint64_t story_digest(const struct tree *tree);

/* recovery_run as the story's tree began; what went wrong is in story_why. */
int story_recover(struct disk *disk, struct recovery *ret_recovery);
extern char story_why[1024];

/* Recovers, and expects a sound tree equal to the story's at the index it has come to, which lies within the two. The
 * tree is freed. */
void story_expect_recovered(struct disk *disk, uint64_t at_least, uint64_t at_most, struct recovery *ret_recovery);

#endif

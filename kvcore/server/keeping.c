#include "kvcore/server/keeping.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"

#include <stdio.h>
#include <stdlib.h>

void keeping_init(struct keeping *keeping)
{
    *keeping = (struct keeping){
        .persistence = PERSISTENCE_BOTH, .durability = DURABILITY_WRITTEN, .snapshots.keep = SNAPSHOTS_KEEP_DEFAULT};
    CHECK(snapshot_rules_parse(&keeping->snapshots, SNAPSHOT_RULES_DEFAULT, NULL, 0) == 0);
}

static int set_durability(struct keeping *keeping, const char *value, char *why, size_t why_bytes)
{
    if (durability_of(bytes_of(value), &keeping->durability))
        return 0;
    snprintf(why, why_bytes, "durability takes memory, written or synced, not '%s'", value);
    return -EINVAL;
}

static int set_persistence(struct keeping *keeping, const char *value, char *why, size_t why_bytes)
{
    if (persistence_of(bytes_of(value), &keeping->persistence))
        return 0;
    snprintf(why, why_bytes, "persistence takes log+snapshots, log, snapshots or none, not '%s'", value);
    return -EINVAL;
}

static int set_save(struct keeping *keeping, const char *value, char *why, size_t why_bytes)
{
    return snapshot_rules_parse(&keeping->snapshots, value, why, why_bytes);
}

static int set_keep(struct keeping *keeping, const char *value, char *why, size_t why_bytes)
{
    char *end;
    long number = strtol(value, &end, 10);
    if (end == value || *end || number < 1 || number > SNAPSHOTS_KEPT_MAX) {
        snprintf(why, why_bytes, "keep-snapshots takes a number from 1 to %d, not '%s'", SNAPSHOTS_KEPT_MAX, value);
        return -EINVAL;
    }
    keeping->snapshots.keep = (unsigned)number;
    return 0;
}

static int set_at_exit(struct keeping *keeping, const char *value, char *why, size_t why_bytes)
{
    bool yes = strcmp(value, "yes") == 0;
    if (!yes && strcmp(value, "no") != 0) {
        snprintf(why, why_bytes, "snapshot-at-exit takes yes or no, not '%s'", value);
        return -EINVAL;
    }
    keeping->snapshots.at_exit = yes;
    keeping->at_exit_given = true;
    return 0;
}

int keeping_set(struct keeping *keeping, const char *word, const char *value, char *why, size_t why_bytes)
{
    static const struct {
        const char *word;
        int (*set)(struct keeping *keeping, const char *value, char *why, size_t why_bytes);
    } setters[] = {{"durability", set_durability},
                   {"persistence", set_persistence},
                   {"save", set_save},
                   {"keep-snapshots", set_keep},
                   {"snapshot-at-exit", set_at_exit}};
    for (size_t i = 0; i < sizeof setters / sizeof setters[0]; i++)
        if (strcmp(word, setters[i].word) == 0)
            return setters[i].set(keeping, value, why, why_bytes);
    snprintf(why, why_bytes, "there is no '%s'", word);
    return -EINVAL;
}

void keeping_settle(struct keeping *keeping)
{
    if (keeping->persistence == PERSISTENCE_SNAPSHOTS && !keeping->at_exit_given)
        keeping->snapshots.at_exit = true;
    if (keeping->persistence == PERSISTENCE_LOG)
        keeping->snapshots.rule_count = 0;
}

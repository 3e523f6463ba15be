#include "kvcore/server/durability.h"

#include <stddef.h>

static const char *const levels[] = {"memory", "written", "synced"};
static const char *const ways[] = {"log+snapshots", "log", "snapshots", "none"};
enum { LEVELS = sizeof levels / sizeof levels[0], WAYS = sizeof ways / sizeof ways[0] };

static int find(const char *const *names, int count, struct bytes name)
{
    for (int i = 0; i < count; i++)
        if (bytes_equal(name, bytes_of(names[i])))
            return i;
    return -1;
}

const char *durability_name(enum durability level) { return (int)level < LEVELS ? levels[level] : NULL; }

bool durability_of(struct bytes name, enum durability *ret_level)
{
    int level = find(levels, LEVELS, name);
    if (level >= 0)
        *ret_level = (enum durability)level;
    return level >= 0;
}

const char *persistence_name(enum persistence persistence)
{
    return (int)persistence < WAYS ? ways[persistence] : NULL;
}

bool persistence_of(struct bytes name, enum persistence *ret_persistence)
{
    int way = find(ways, WAYS, name);
    if (way >= 0)
        *ret_persistence = (enum persistence)way;
    return way >= 0;
}

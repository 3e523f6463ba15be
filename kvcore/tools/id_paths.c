#include "kvcore/tools/id_paths.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct met {
    uint64_t device, id;
    char path[];
};

static int compare(const void *a, const void *b)
{
    const struct met *left = a, *right = b;
    if (left->device != right->device)
        return left->device < right->device ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

const char *id_paths_meet(struct id_paths *paths, uint64_t device, uint64_t id, const char *path)
{
    size_t len = strlen(path) + 1;
    struct met *met = malloc(sizeof *met + len);
    if (!met)
        return NULL;
    met->device = device;
    met->id = id;
    memcpy(met->path, path, len);
    struct met **found = tsearch(met, &paths->root, compare);
    if (found && *found == met)
        return NULL;
    free(met);
    return found ? (*found)->path : NULL;
}

void id_paths_close(struct id_paths *paths)
{
    tdestroy(paths->root, free);
    paths->root = NULL;
}

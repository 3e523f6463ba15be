#include "kvcore/base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: invariant broken: %s. This is a bug in kvfs; please report it with the core dump.\n", file,
            line, condition);
    abort();
}

#include "kvcore/tools/commands.h"
int run_bench(struct tool *tool, int argc, char **argv)
{
    (void)tool;
    (void)argc;
    (void)argv;
    return 0;
}

/* The commands, each in the file of its kind; the table in kv.c names them. Every one returns an exit code. */
#ifndef KV_TOOLS_COMMANDS_H
#define KV_TOOLS_COMMANDS_H

#include "kvcore/tools/tool.h"

typedef int command_run(struct tool *tool, int argc, char **argv);

/* cmd_values.c */
command_run run_get, run_set, run_append, run_getrange, run_setrange, run_mget, run_mset;
/* cmd_keys.c */
command_run run_del, run_exists, run_incr, run_decr, run_expire, run_ttl, run_persist;
/* cmd_names.c */
command_run run_stat, run_mkdir, run_rmdir;
/* cmd_links.c */
command_run run_mv, run_ln, run_readlink;
/* cmd_list.c */
command_run run_ls, run_tree;
/* cmd_remove.c */
command_run run_rm;
/* cmd_copy.c */
command_run run_import, run_export, run_dump, run_load;
/* cmd_check.c */
command_run run_check;
/* cmd_admin.c */
command_run run_info, run_ping;
/* cmd_disk.c */
command_run run_snapshot, run_sync;
/* bench_main.c */
command_run run_bench;

#endif

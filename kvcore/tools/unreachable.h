/* Says that nobody could be reached, and what to do about it.
 *
 * "Connection refused" or "no such file" is what a program sees; what a person has to do next depends on what lies
 * where the store should be. So the place is looked at again: the directory, the socket in it, and once more who
 * answers there.
 */
#ifndef KV_TOOLS_UNREACHABLE_H
#define KV_TOOLS_UNREACHABLE_H

#include "kvcore/tools/tool.h"

/* `why` begins with the address. */
void unreachable_complain(const struct tool *tool, const char *why);

#endif

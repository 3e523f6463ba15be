/* A node's attributes for people (as ls(1) and stat(1) show them) and as JSON. */
#ifndef KV_TOOLS_ATTR_TEXT_H
#define KV_TOOLS_ATTR_TEXT_H

#include "kvcore/rpc/request.h"

#include <jansson.h>

/* "-rw-r--r--" */
struct mode_text {
    char text[11];
};
struct mode_text attr_mode(uint32_t mode);

/* "regular file", "directory", ... Static. */
const char *attr_type(uint32_t mode);

/* What ls -F puts behind a name: '/', '@', '|', '=', '*'; '\0' for a plain file. */
char attr_suffix(uint32_t mode);

/* "2024-11-23 04:30:00.123456789 +0100" */
struct time_text {
    char text[48];
};
struct time_text attr_time_full(int64_t ns);

/* "Nov 23 04:30", or with the year where it is more than half a year from `now_s`. */
struct time_text attr_time_short(int64_t ns, int64_t now_s);

/* A user's and a group's name, or the number. Static until the next call for another id. */
const char *attr_user(uint32_t uid);
const char *attr_group(uint32_t gid);

/* An object of all attributes; `name` (may be NULL) first, under the member `member`. */
json_t *attr_json(const struct kv_attr *attr, const char *member, const struct bytes *name);

#endif

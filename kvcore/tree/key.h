/* Keys: bytes without NUL, components of 1 to 255 bytes joined by '/', none of them "." or "..", at most 4095
 * bytes in all, no '/' at either end. The empty key is the root, where an operation takes a directory. */
#ifndef KV_TREE_KEY_H
#define KV_TREE_KEY_H

#include "kvcore/base/bytes.h"

/* 0, or -EINVAL, -ENAMETOOLONG; *ret_why (may be NULL) is then a static fragment for people: "has an empty component".
 */
int key_check(struct bytes key, const char **ret_why);

/* The same for one component. */
int name_check(struct bytes name, const char **ret_why);

/* Cuts the first component off *rest; false when nothing is left. */
bool key_next(struct bytes *rest, struct bytes *ret_component);

/* Splits a checked, non-empty key: everything before the last '/', and the last component. */
void key_split(struct bytes key, struct bytes *ret_parent, struct bytes *ret_name);

/* 0..SLOTS-1: CRC-16/XMODEM of the first component, or of what stands between its first '{' and the next '}' when
 * that is not empty (Redis cluster specification, "hash tags"). The root is in slot 0. */
unsigned key_slot(struct bytes key);

#endif

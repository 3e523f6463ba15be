/* A tree as text: every byte that anybody could ask it for, in one order, so that two trees are compared by comparing
 * text. Also what the model does not know: holes, the order of a node's names, readdir positions, sequences. */
#ifndef TESTS_UNIT_TREE_DUMP_H
#define TESTS_UNIT_TREE_DUMP_H

#include "kvcore/tree/tree.h"

/* To be freed. */
char *tree_dump(const struct tree *tree);

/* Prints the first line that differs; 0 where there is none. */
int tree_dump_compare(const char *expected, const char *found);

#endif

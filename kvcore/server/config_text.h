/* The text of a configuration file, made fit for libconfuse: its count of lines goes wrong with each comment, so the
 * comments are blanked before it sees them, and what it then says about a line is true. */
#ifndef KV_SERVER_CONFIG_TEXT_H
#define KV_SERVER_CONFIG_TEXT_H

#include <stddef.h>

#define CONFIG_TEXT_BYTES_MAX (1 << 20)

/* Reads a file as a string, the caller's to free. Negative with a sentence in `why`. */
int config_text_read(const char *path, char **ret_text, char *why, size_t why_bytes);

/* Puts spaces in place of comments; line ends stay. What is a comment is libconfuse's to say:
 *   # and // to the end of the line, slash-star to star-slash; none of them in quotes or in ${...};
 *   # ends a word, // and slash-star do not: /srv//x is one word. */
void config_text_blank_comments(char *text);

#endif

#include "kvcore/server/config_text.h"

#include "kvcore/base/error.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* All of it, since a read of a regular file is short only at its end. */
static int read_all(int fd, char **ret_text)
{
    struct stat found;
    if (fstat(fd, &found) < 0)
        return -errno;
    if (!S_ISREG(found.st_mode))
        return -EISDIR;
    if (found.st_size > CONFIG_TEXT_BYTES_MAX)
        return -EFBIG;
    char *text = malloc((size_t)found.st_size + 1);
    if (!text)
        return -ENOMEM;
    ssize_t len = read(fd, text, (size_t)found.st_size);
    int rc = len < 0 ? -errno : memchr(text, '\0', (size_t)len) ? -EILSEQ : 0;
    if (rc < 0) {
        free(text);
        return rc;
    }
    text[len] = '\0';
    *ret_text = text;
    return 0;
}

int config_text_read(const char *path, char **ret_text, char *why, size_t why_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 ? -errno : read_all(fd, ret_text);
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        snprintf(why, why_bytes, "cannot read the configuration file '%s': %s", path,
                 rc == -EISDIR   ? "it is not a file"
                 : rc == -EILSEQ ? "it is not text"
                                 : strerror(-rc));
    return rc;
}

/* Behind the variable, ${...}, at `text`. */
static char *variable_end(char *text)
{
    text += strcspn(text, "}");
    return text + (*text == '}');
}

/* Behind the quote that closes the one at `text`. */
static char *quoted_end(char *text)
{
    char quote = *text++;
    while (*text && *text != quote)
        if (quote == '"' && strncmp(text, "${", 2) == 0)
            text = variable_end(text);
        else
            text += text[0] == '\\' && text[1] ? 2 : 1;
    return text + (*text == quote);
}

/* Behind the comment at `text`. */
static char *comment_end(char *text)
{
    if (strncmp(text, "/*", 2) != 0)
        return text + strcspn(text, "\n");
    char *end = strstr(text + 2, "*/");
    return end ? end + 2 : text + strlen(text);
}

static void blank(char *text, const char *end)
{
    for (; text < end; text++)
        if (*text != '\n')
            *text = ' ';
}

void config_text_blank_comments(char *text)
{
    bool in_word = false;
    while (*text) {
        char *end = text + 1;
        bool at_slashes = strncmp(text, "//", 2) == 0 || strncmp(text, "/*", 2) == 0;
        bool goes_on = false;
        if (*text == '"' || *text == '\'') {
            end = quoted_end(text);
        } else if (strncmp(text, "${", 2) == 0) {
            end = variable_end(text);
        } else if (*text == '#' || (at_slashes && !in_word)) {
            end = comment_end(text);
            blank(text, end);
        } else {
            goes_on = !strchr(" \t\r\n(){}=,+*", *text);
        }
        in_word = goes_on;
        text = end;
    }
}

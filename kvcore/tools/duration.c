#include "kvcore/tools/duration.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};

/* Digits and at most one point, as a count of `scale`: "1.5" with scale 1000 is 1500. Parts below 1 are cut off. */
static int number_parse(const char **text, int64_t scale, int64_t *ret_value)
{
    const char *at = *text;
    int64_t value = 0;
    if (!isdigit((unsigned char)*at))
        return -EINVAL;
    for (; isdigit((unsigned char)*at); at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *at - '0', &value))
            return -EINVAL;
    if (__builtin_mul_overflow(value, scale, &value))
        return -EINVAL;
    if (*at == '.')
        for (at++; isdigit((unsigned char)*at); at++) {
            int64_t part = (*at - '0') * scale / 10;
            if (__builtin_add_overflow(value, part, &value))
                return -EINVAL;
            scale /= 10;
        }
    *text = at;
    *ret_value = value;
    return 0;
}

/* How many ms the unit at `text` has, and how long its name is; none is seconds. */
static int unit_find(const char *text, size_t *ret_len, int64_t *ret_ms)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
    *ret_len = len;
    *ret_ms = 1000;
    if (len == 0)
        return *text ? -EINVAL : 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0) {
            *ret_ms = units[i].ms;
            return 0;
        }
    return -EINVAL;
}

int duration_parse(const char *text, int64_t *ret_ms)
{
    int64_t total_ms = 0;
    do {
        const char *number = text;
        size_t unit_len;
        int64_t unit_ms, part_ms;
        int rc = unit_find(text + strspn(text, "0123456789."), &unit_len, &unit_ms);
        if (rc == 0)
            rc = number_parse(&text, unit_ms, &part_ms);
        if (rc < 0)
            return rc;
        if (strchr("abcdefghijklmnopqrstuvwxyz", *text) == NULL || text == number)
            return -EINVAL;
        text += unit_len;
        if (__builtin_add_overflow(total_ms, part_ms, &total_ms))
            return -EINVAL;
    } while (*text);
    *ret_ms = total_ms;
    return 0;
}

#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"

int exec_parse_integer(struct bytes text, int64_t *ret_number)
{
    size_t at = 0;
    if (text.len && text.data[text.len - 1] == '\n')
        text.len--;
    bool negative = text.len && text.data[0] == '-';
    at += negative;
    if (at == text.len || text.len > INTEGER_BYTES)
        return -EINVAL;
    int64_t number = 0;
    for (; at < text.len; at++) {
        int digit = text.data[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_sub_overflow(number, digit, &number)) /* downwards: INT64_MIN has no positive twin */
            return -EINVAL;
    }
    if (!negative && __builtin_sub_overflow(0, number, &number))
        return -EINVAL;
    *ret_number = number;
    return 0;
}

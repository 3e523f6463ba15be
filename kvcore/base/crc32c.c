#include "kvcore/base/crc32c.h"

#include <limits.h>

#include <isa-l/crc.h>

/* ISA-L takes and gives the bare register, the complement of what everybody else calls the sum. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t length)
{
    uint32_t state = ~crc;
    for (const unsigned char *at = bytes; length > 0;) {
        int piece = length > INT_MAX ? INT_MAX : (int)length;
        state = crc32_iscsi((unsigned char *)at, piece, state);
        at += piece;
        length -= (size_t)piece;
    }
    return ~state;
}

/* CRC-32C (Castagnoli; RFC 3720, appendix B.4), as iSCSI and ext4 have it: what guards every record and block on disk.
 */
#ifndef KV_BASE_CRC32C_H
#define KV_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Starts with 0; the result of one run of bytes goes in with the next. crc32c(0, "123456789", 9) is 0xe3069283. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t length);

#endif

/* What reading a data directory has to tell: how far it is, and what is wrong. */
#ifndef KV_LOG_DAMAGE_H
#define KV_LOG_DAMAGE_H

#include <stdint.h>

enum { LOG_NAME_BYTES = 64 }; /* of a file in a data directory, with the terminator */

/* Told now and then, from the thread that reads. */
struct log_progress {
    void (*on_progress)(struct log_progress *progress, uint64_t done_bytes, uint64_t total_bytes);
};

/* The first thing that is wrong with a file. */
struct log_damage {
    char file[LOG_NAME_BYTES];
    uint64_t offset;         /* of the block or record that is bad */
    uint64_t records_beyond; /* good ones behind it, of a log; whole blocks behind it, of a snapshot */
    char text[160];          /* "the checksum is wrong", ... */
};

#endif

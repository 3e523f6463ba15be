/* What stands in a log, from a disk that may say anything: the frame under whatever checksum it has, and, since no
 * fuzzer guesses one, again under the right one, down to every effect. */
#include "kvcore/log/segment.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct bytes bytes)
{
    struct segment_frame frame;
    struct effect effect;
    size_t at = 0;
    if (segment_frame_read(bytes, 0, &frame) < 0 || frame.kind != FRAME_RECORD)
        return;
    while (record_next(&frame.record, &at, &effect) > 0)
        continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct segment_header header;
    char *copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    segment_header_decode(bytes_make(copy, size), &header);
    read_all(bytes_make(copy, size));
    if (size >= FRAME_HEAD_BYTES) {
        frame_seal(copy, size, FRAME_RECORD, 0);
        read_all(bytes_make(copy, size));
    }
    free(copy);
    return 0;
}

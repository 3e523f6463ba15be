/* frame_scan on any bytes: it ends, it is right about where, and it gives the same answer however they arrive. */
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/rpc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says in what steps the others arrive. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1, step = 1 + data[0];
    struct frame_scan whole = {0}, parts = {0};
    int rc = frame_scan(&whole, bytes, len), parts_rc = 0;
    CHECK(rc == 0 || rc == 1 || rc == -EPROTO || rc == -E2BIG);
    CHECK(rc < 0 || whole.at <= len);
    CHECK(rc != 0 || (whole.need > len && whole.need <= MESSAGE_BYTES_MAX + 1));
    CHECK(whole.items <= MESSAGE_ITEMS_MAX && whole.depth <= MESSAGE_DEPTH_MAX);
    for (size_t come = 0; parts_rc == 0; come += step) {
        if (come >= len) {
            parts_rc = frame_scan(&parts, bytes, len);
            break;
        }
        parts_rc = frame_scan(&parts, bytes, come);
    }
    CHECK(parts_rc == rc);
    CHECK(rc < 0 || parts.at == whole.at);
    return 0;
}

#include "kvcore/rpc/recall.h"

#include "kvcore/rpc/message.h"
#include "kvcore/rpc/writer.h"

int recall_add(struct buf *changes, const struct kv_change *change)
{
    struct writer writer;
    int rc = writer_begin(&writer, changes, 3 * WRITER_HEADER_BYTES + change->name.len);
    if (rc < 0)
        return rc;
    writer_array(&writer, change->kind == KV_CHANGE_ATTR ? 1 : 2);
    writer_uint64(&writer, change->id);
    if (change->kind == KV_CHANGE_DATA)
        writer_true(&writer);
    else if (change->kind == KV_CHANGE_ENTRY)
        writer_name(&writer, change->name);
    else if (change->kind == KV_CHANGE_ALL)
        writer_nil(&writer);
    writer_end(&writer, changes);
    return 0;
}

int recall_encode(struct buf *out, uint64_t ticket, const struct buf *changes, size_t count)
{
    struct writer writer;
    int rc = writer_begin(&writer, out, 6 * WRITER_HEADER_BYTES + changes->len);
    if (rc < 0)
        return rc;
    writer_array(&writer, 3);
    writer_uint32(&writer, MESSAGE_NOTIFICATION);
    writer_text(&writer, bytes_of("recall"));
    writer_array(&writer, count + 1);
    writer_uint64(&writer, ticket);
    writer_bytes(&writer, buf_bytes(changes));
    writer_end(&writer, out);
    return 0;
}

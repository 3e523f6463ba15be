#include "kvcore/server/fields.h"

#include "kvcore/base/error.h"

#include <stdarg.h>
#include <stdio.h>

static bool wanted(const struct kv_fields *fields, const char *name)
{
    const char *dot = strchr(name, '.');
    if (fields->section.len == 0 || !dot)
        return true;
    return bytes_equal(fields->section, bytes_make(name, (size_t)(dot - name)));
}

static void add(struct kv_fields *fields, struct kv_field row)
{
    if (fields->error == 0)
        fields->error = buf_append(fields->rows, &row, sizeof row);
}

void fields_number(struct kv_fields *fields, const char *name, uint64_t number)
{
    if (wanted(fields, name))
        add(fields, (struct kv_field){.name = name, .number = number});
}

void fields_text(struct kv_fields *fields, const char *name, const char *format, ...)
{
    if (!wanted(fields, name))
        return;
    char line[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    len = len < (int)sizeof line ? len : (int)sizeof line - 1;
    /* The text buffer may move yet: until fields_finish, `number` is the offset and any data means "text". */
    add(fields, (struct kv_field){name, fields->text->len, {"", (size_t)len}});
    if (fields->error == 0)
        fields->error = buf_append(fields->text, line, (size_t)len);
}

int fields_finish(struct kv_fields *fields, struct kv_reply *reply)
{
    if (fields->error < 0)
        return fields->error;
    struct kv_field *rows = (struct kv_field *)fields->rows->data;
    size_t count = fields->rows->len / sizeof *rows;
    for (size_t i = 0; i < count; i++)
        if (rows[i].text.data)
            rows[i].text.data = fields->text->data ? fields->text->data + rows[i].number : "";
    reply->kind = KV_REPLY_MAP;
    reply->fields = rows;
    reply->count = count;
    return 0;
}

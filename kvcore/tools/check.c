#include "kvcore/tools/check.h"

#include "kvcore/base/error.h"
#include "kvcore/log/nodeconf.h"
#include "kvcore/log/recovery_files.h"
#include "kvcore/log/recovery_plan.h"
#include "kvcore/log/recovery_replay.h"
#include "kvcore/log/segment_read.h"
#include "kvcore/log/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* Segments */

static int spoil(struct check_file *file, const char *text)
{
    file->damage.offset = file->good_bytes;
    snprintf(file->damage.text, sizeof file->damage.text, "%s", text);
    return -EBADMSG;
}

static int check_record(const struct record *record, struct check_file *file)
{
    struct effect effect;
    size_t at = 0;
    int rc;
    if (record->head.index != file->last_index + 1)
        return spoil(file, "a record is out of order");
    while ((rc = record_next(record, &at, &effect)) > 0)
        continue;
    if (rc < 0)
        return spoil(file, "an effect is not as it must be");
    file->last_index++;
    file->count++;
    if (record->head.epoch > file->epoch)
        file->epoch = record->head.epoch;
    return 0;
}

static int check_frames(struct segment_reader *reader, struct log_progress *progress, struct check_file *file)
{
    struct segment_frame frame;
    int rc;
    while ((rc = segment_reader_next(reader, &frame)) > 0) {
        rc = frame.kind == FRAME_RECORD ? check_record(&frame.record, file) : 0;
        if (rc < 0)
            return rc;
        file->good_bytes = segment_reader_offset(reader);
        if (progress && file->count % 4096 == 0)
            progress->on_progress(progress, file->good_bytes, file->bytes);
    }
    if (rc == -ENODATA)
        return spoil(file, "the file ends within a record");
    return rc == -EBADMSG ? spoil(file, "this is no whole record") : rc;
}

/* What lies behind tells a torn end from damage. */
static int judge_segment(struct disk *disk, uint64_t index, struct check_file *file)
{
    struct beyond beyond;
    const struct replay replay = {.disk = disk, .end = file->good_bytes};
    int rc = replay_look_beyond(&replay, &index, 1, &beyond);
    if (rc < 0)
        return rc;
    file->damage.records_beyond = beyond.records;
    file->torn = beyond.synced_index <= file->last_index;
    return file->torn ? 0 : -EBADMSG;
}

static int check_segment(struct disk *disk, const char *name, uint64_t index, struct log_progress *progress,
                         struct check_file *file)
{
    struct segment_reader reader;
    struct segment_header header = {0};
    int rc = segment_reader_open(&reader, disk, name);
    if (rc < 0)
        return rc;
    file->bytes = reader.size;
    rc = segment_reader_header(&reader, &header);
    if (rc == -ENODATA || rc == -EBADMSG || (rc == 0 && header.first_index != index)) {
        header.first_index = index;
        rc = spoil(file, "the header is damaged, or another segment's");
    }
    file->first_index = header.first_index;
    file->last_index = header.first_index - 1;
    file->epoch = header.epoch;
    if (rc == 0) {
        file->good_bytes = segment_reader_offset(&reader);
        rc = check_frames(&reader, progress, file);
    }
    segment_reader_close(&reader);
    return rc == -EBADMSG ? judge_segment(disk, index, file) : rc;
}

/* Others */

static int check_snapshot(struct disk *disk, const char *name, struct log_progress *progress, struct check_file *file)
{
    struct snapshot_info info;
    int rc = snapshot_check(disk, name, progress, &info, &file->damage);
    if (rc < 0)
        return rc;
    file->bytes = info.bytes;
    file->epoch = info.epoch;
    file->last_index = info.index;
    file->count = info.nodes;
    return 0;
}

static int check_nodeconf(struct disk *disk, struct check_file *file)
{
    struct nodeconf conf;
    char why[256];
    int rc = nodeconf_load(disk, &conf, why, sizeof why);
    if (rc == -EBADMSG)
        spoil(file, "its bytes are not as they must be");
    if (rc < 0)
        return rc;
    file->bytes = NODECONF_BYTES;
    file->node_id = conf.node_id;
    file->epoch = conf.promised_epoch;
    return 0;
}

int check_file(struct disk *disk, const char *name, struct log_progress *progress, struct check_file *ret_file)
{
    uint64_t index;
    *ret_file = (struct check_file){0};
    snprintf(ret_file->damage.file, sizeof ret_file->damage.file, "%.*s", LOG_NAME_BYTES - 1, name);
    if (segment_index_of(name, &index)) {
        ret_file->kind = CHECK_SEGMENT;
        return check_segment(disk, name, index, progress, ret_file);
    }
    if (snapshot_index_of(name, &index)) {
        ret_file->kind = CHECK_SNAPSHOT;
        return check_snapshot(disk, name, progress, ret_file);
    }
    if (strcmp(name, NODECONF_NAME) != 0)
        return 0;
    ret_file->kind = CHECK_NODECONF;
    return check_nodeconf(disk, ret_file);
}

/* Copies */

static int copy_bytes(struct disk_file *from, struct disk_file *to, uint64_t length)
{
    enum { PIECE_BYTES = 1 << 20 };
    char *piece = malloc(PIECE_BYTES);
    int64_t got = piece ? 1 : -ENOMEM;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && got > 0 && at < length; at += (uint64_t)got) {
        got = disk_read(from, at, piece, length - at < PIECE_BYTES ? length - at : PIECE_BYTES);
        rc = got > 0 ? disk_write(to, at, piece, (size_t)got) : 0;
    }
    free(piece);
    rc = got < 0 ? (int)got : rc;
    return rc < 0 ? rc : disk_sync(to);
}

int check_copy(struct disk *from, const char *name, struct disk *to, const char *to_name, uint64_t length)
{
    struct disk_file *source, *target;
    int rc = disk_open(from, name, 0, &source);
    if (rc < 0)
        return rc;
    rc = disk_open(to, to_name, DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &target);
    if (rc == 0) {
        rc = copy_bytes(source, target, length);
        disk_close(target);
    }
    disk_close(source);
    return rc;
}

/* The newest one that is sound: its index; 0: there is none. */
static int find_snapshot(struct disk *disk, const struct recovery_files *files, uint64_t *ret_index, bool *ret_found)
{
    *ret_index = 0;
    *ret_found = false;
    for (size_t i = files->snapshot_count; i-- > 0;) {
        char name[LOG_NAME_BYTES];
        struct snapshot_info info;
        struct log_damage damage;
        snapshot_name(files->snapshots[i], name);
        int rc = snapshot_check(disk, name, NULL, &info, &damage);
        if (rc == 0) {
            *ret_index = info.index;
            *ret_found = true;
            return 0;
        }
        if (rc != -EBADMSG)
            return rc;
    }
    return 0;
}

static int copy_log(struct disk *from, struct disk *to, const struct recovery_files *files, struct replay *replay)
{
    size_t first = plan_first_segment(files->segments, files->segment_count, replay->held);
    int rc = replay_run(replay, files->segments, first, files->segment_count);
    if (rc < 0 && rc != -EBADMSG)
        return rc;
    rc = 0;
    for (size_t i = first; rc == 0 && i < files->segment_count && i <= replay->segment; i++) {
        char name[LOG_NAME_BYTES];
        uint64_t length = i < replay->segment ? files->sizes[i] : replay->end;
        segment_name(files->segments[i], name);
        if (length >= SEGMENT_HEADER_BYTES)
            rc = check_copy(from, name, to, name, length);
    }
    return rc;
}

static int copy_nodeconf(struct disk *from, struct disk *to, uint64_t epoch)
{
    struct nodeconf conf;
    char why[256];
    int rc = nodeconf_load(from, &conf, why, sizeof why);
    if (rc == -ENOENT)
        return 0;
    if (rc == -EBADMSG) {
        conf.promised_epoch = epoch;
        if (getrandom(&conf.node_id, sizeof conf.node_id, 0) != sizeof conf.node_id)
            return -EIO;
        rc = 0;
    }
    return rc < 0 ? rc : nodeconf_save(to, &conf);
}

static int repair_from(struct disk *from, struct disk *to, const struct recovery_files *files)
{
    struct replay replay = {.disk = from};
    bool has_snapshot;
    int rc = find_snapshot(from, files, &replay.held, &has_snapshot);
    if (rc < 0)
        return rc;
    if (!has_snapshot && (files->segment_count == 0 || files->segments[0] > 1))
        return -ENODATA;
    if (has_snapshot) {
        char name[LOG_NAME_BYTES];
        snapshot_name(replay.held, name);
        rc = check_copy(from, name, to, name, UINT64_MAX);
    }
    if (rc == 0)
        rc = copy_log(from, to, files, &replay);
    if (rc == 0)
        rc = copy_nodeconf(from, to, replay.epoch);
    return rc < 0 ? rc : disk_sync_names(to);
}

int check_repair(struct disk *from, struct disk *to)
{
    struct recovery_files files = {0};
    int rc = recovery_files_list(from, true, true, &files);
    if (rc == 0)
        rc = repair_from(from, to, &files);
    recovery_files_close(&files);
    return rc;
}

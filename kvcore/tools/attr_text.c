#include "kvcore/tools/attr_text.h"

#include "kvcore/tools/output.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

static const struct {
    uint32_t type;
    char letter;
    char suffix;
    const char *name;
} types[] = {
    {S_IFREG, '-', '\0', "regular file"}, {S_IFDIR, 'd', '/', "directory"}, {S_IFLNK, 'l', '@', "symbolic link"},
    {S_IFIFO, 'p', '|', "fifo"},          {S_IFSOCK, 's', '=', "socket"},   {S_IFCHR, 'c', '\0', "character device"},
    {S_IFBLK, 'b', '\0', "block device"},
};

enum { TYPES = sizeof types / sizeof types[0] };

static int type_of(uint32_t mode)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].type == (mode & S_IFMT))
            return i;
    return 0;
}

struct mode_text attr_mode(uint32_t mode)
{
    struct mode_text mode_text = {"-rwxrwxrwx"};
    char *text = mode_text.text;
    text[0] = types[type_of(mode)].letter;
    for (int bit = 0; bit < 9; bit++)
        if (!(mode & (0400u >> bit)))
            text[bit + 1] = '-';
    if (mode & S_ISUID)
        text[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID)
        text[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX)
        text[9] = mode & S_IXOTH ? 't' : 'T';
    return mode_text;
}

const char *attr_type(uint32_t mode) { return types[type_of(mode)].name; }

char attr_suffix(uint32_t mode)
{
    if (S_ISREG(mode) && (mode & 0111))
        return '*';
    return types[type_of(mode)].suffix;
}

/* Seconds and the rest, rounded down also before 1970. */
static int64_t seconds_of(int64_t ns, int64_t *ret_rest)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        rest += 1000000000;
        seconds--;
    }
    *ret_rest = rest;
    return seconds;
}

static struct time_text time_format(int64_t seconds, const char *format)
{
    struct time_text out = {""};
    struct tm local;
    time_t time = seconds;
    if (localtime_r(&time, &local))
        strftime(out.text, sizeof out.text, format, &local);
    return out;
}

struct time_text attr_time_full(int64_t ns)
{
    int64_t rest;
    int64_t seconds = seconds_of(ns, &rest);
    char format[48];
    snprintf(format, sizeof format, "%%Y-%%m-%%d %%H:%%M:%%S.%09lld %%z", (long long)rest);
    return time_format(seconds, format);
}

struct time_text attr_time_short(int64_t ns, int64_t now_s)
{
    enum { HALF_YEAR_S = 31556952 / 2 };
    int64_t rest;
    int64_t seconds = seconds_of(ns, &rest);
    bool recent = seconds <= now_s && seconds > now_s - HALF_YEAR_S;
    return time_format(seconds, recent ? "%b %e %H:%M" : "%b %e  %Y");
}

/* The last one asked for is remembered: neighbours in a listing mostly have one owner. */
struct owner_name {
    bool known;
    uint32_t id;
    char text[64];
};

static const char *owner_keep(struct owner_name *owner, uint32_t id, const char *name)
{
    if (name)
        snprintf(owner->text, sizeof owner->text, "%s", name);
    else
        snprintf(owner->text, sizeof owner->text, "%u", id);
    owner->known = true;
    owner->id = id;
    return owner->text;
}

const char *attr_user(uint32_t uid)
{
    static struct owner_name owner;
    if (owner.known && owner.id == uid)
        return owner.text;
    const struct passwd *entry = getpwuid(uid);
    return owner_keep(&owner, uid, entry ? entry->pw_name : NULL);
}

const char *attr_group(uint32_t gid)
{
    static struct owner_name owner;
    if (owner.known && owner.id == gid)
        return owner.text;
    const struct group *entry = getgrgid(gid);
    return owner_keep(&owner, gid, entry ? entry->gr_name : NULL);
}

/* Ids use all 64 bits, JSON's whole numbers end at 63 (jansson) or 53 (JavaScript): an id is a string. */
json_t *attr_json(const struct kv_attr *attr, const char *member, const struct bytes *name)
{
    char id[24], mode[8];
    json_t *object = json_object();
    if (name)
        json_object_set_new(object, member, output_json_bytes(*name));
    snprintf(id, sizeof id, "%llu", (unsigned long long)attr->id);
    snprintf(mode, sizeof mode, "%04o", attr->mode & 07777);
    json_object_set_new(object, "type", json_string(attr_type(attr->mode)));
    json_object_set_new(object, "id", json_string(id));
    json_object_set_new(object, "mode", json_string(mode));
    const struct {
        const char *name;
        json_int_t number;
    } numbers[] = {
        {"nlink", attr->nlink},
        {"uid", attr->uid},
        {"gid", attr->gid},
        {"size", (json_int_t)attr->size},
        {"stored", (json_int_t)attr->stored},
        {"version", (json_int_t)attr->version},
        {"atime_ns", attr->atime_ns},
        {"mtime_ns", attr->mtime_ns},
        {"ctime_ns", attr->ctime_ns},
        {"btime_ns", attr->btime_ns},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        json_object_set_new(object, numbers[i].name, json_integer(numbers[i].number));
    if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
        json_object_set_new(object, "rdev",
                            json_pack("[I,I]", (json_int_t)major(attr->rdev), (json_int_t)minor(attr->rdev)));
    json_object_set_new(object, "expires_ns", attr->expires_ns ? json_integer(attr->expires_ns) : json_null());
    return object;
}

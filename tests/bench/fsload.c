/* fsload: the file-system side of `make bench`. Runs one load in a directory and prints what one operation took, in
 * microseconds, as a bare number.
 *
 *   fsload DIR LOAD COUNT
 *
 *   create    create, write 4 KiB, close          COUNT new files (removed by `unlink`)
 *   stat      lstat each file                     the caller drops the kernel's caches before for "first time"
 *   read      open, read 4 KiB, close             likewise
 *   rename    each file to another name and back
 *   unlink    each file
 *   many      COUNT empty files; prints two figures: what one took among the first tenth, and among the last (medians
 * of ten batches each) list      readdir of the directory            an operation is one entry list-l    readdir and
 * lstat of each entry create4   four processes create COUNT / 4 files each in a directory of their own, and remove them
 *   seqwrite  a file of COUNT MiB in 1 MiB writes an operation is one MiB
 *   seqread   the same file
 *   randwrite, randread   4 KiB at random places of that file, COUNT * 16 times
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, MIB = 1 << 20 };

static char block[MIB];

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void need(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static const char *name_of(const char *prefix, long i)
{
    static char name[64];
    snprintf(name, sizeof name, "%s%06ld", prefix, i);
    return name;
}

static long create(long count)
{
    for (long i = 0; i < count; i++) {
        int fd = open(name_of("f", i), O_CREAT | O_EXCL | O_WRONLY, 0644);
        need(fd >= 0, "create");
        need(write(fd, block, BLOCK) == BLOCK, "write");
        need(close(fd) == 0, "close");
    }
    return count;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Prints its figures itself. */
static long many(long count)
{
    enum { BATCHES = 100, TENTH = BATCHES / 10 };
    double took[BATCHES];
    for (int batch = 0; batch < BATCHES; batch++) {
        double start = now_us();
        for (long i = count * batch / BATCHES; i < count * (batch + 1) / BATCHES; i++) {
            int fd = open(name_of("f", i), O_CREAT | O_EXCL | O_WRONLY, 0644);
            need(fd >= 0, "create");
            close(fd);
        }
        took[batch] = (now_us() - start) * BATCHES / (double)count;
    }
    qsort(took, TENTH, sizeof *took, by_size);
    qsort(took + BATCHES - TENTH, TENTH, sizeof *took, by_size);
    printf("%.3f %.3f\n", took[TENTH / 2], took[BATCHES - TENTH / 2]);
    return 0;
}

static long do_stat(long count)
{
    struct stat st;
    for (long i = 0; i < count; i++)
        need(lstat(name_of("f", i), &st) == 0, "lstat");
    return count;
}

static long do_read(long count)
{
    for (long i = 0; i < count; i++) {
        int fd = open(name_of("f", i), O_RDONLY);
        need(fd >= 0, "open");
        need(read(fd, block, BLOCK) == BLOCK, "read");
        close(fd);
    }
    return count;
}

static long do_rename(long count)
{
    char from[64];
    for (int back = 0; back < 2; back++)
        for (long i = 0; i < count; i++) {
            snprintf(from, sizeof from, "%s", name_of(back ? "g" : "f", i));
            need(rename(from, name_of(back ? "f" : "g", i)) == 0, "rename");
        }
    return 2 * count;
}

static long do_unlink(long count)
{
    for (long i = 0; i < count; i++)
        need(unlink(name_of("f", i)) == 0, "unlink");
    return count;
}

static long list(int with_stat)
{
    struct stat st;
    long entries = 0;
    DIR *dir = opendir(".");
    need(dir != NULL, "opendir");
    for (struct dirent *entry; (entry = readdir(dir)); entries++)
        if (with_stat)
            need(lstat(entry->d_name, &st) == 0, "lstat");
    closedir(dir);
    return entries;
}

static long do_list(long count) { return (void)count, list(0); }
static long do_list_l(long count) { return (void)count, list(1); }

static long create4(long count)
{
    for (int child = 0; child < 4; child++) {
        if (fork() > 0)
            continue;
        char dir[16];
        snprintf(dir, sizeof dir, "p%d", child);
        need(mkdir(dir, 0755) == 0 && chdir(dir) == 0, "mkdir");
        create(count / 4);
        do_unlink(count / 4);
        need(chdir("..") == 0 && rmdir(dir) == 0, "rmdir");
        _exit(0);
    }
    for (int status; wait(&status) > 0;)
        need(status == 0, "child");
    return count;
}

static long seq(long count, int flags)
{
    int fd = open("big", flags, 0644);
    need(fd >= 0, "open");
    for (long i = 0; i < count; i++)
        need((flags == O_RDONLY ? read(fd, block, MIB) : write(fd, block, MIB)) == MIB, "1 MiB");
    need(close(fd) == 0, "close");
    return count;
}

static long seqwrite(long count) { return seq(count, O_CREAT | O_WRONLY | O_TRUNC); }
static long seqread(long count) { return seq(count, O_RDONLY); }

static long at_random(long count, int writing)
{
    unsigned state = 12345;
    int fd = open("big", O_RDWR);
    need(fd >= 0, "open");
    for (long i = 0; i < count * 16; i++) {
        state = state * 1664525u + 1013904223u;
        off_t at = (off_t)(state >> 4) % (count * MIB / BLOCK) * BLOCK;
        need((writing ? pwrite(fd, block, BLOCK, at) : pread(fd, block, BLOCK, at)) == BLOCK, "4 KiB");
    }
    close(fd);
    return count * 16;
}

static long randwrite(long count) { return at_random(count, 1); }
static long randread(long count) { return at_random(count, 0); }

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        long (*run)(long count);
    } loads[] = {{"create", create},    {"stat", do_stat},      {"read", do_read},     {"rename", do_rename},
                 {"unlink", do_unlink}, {"list", do_list},      {"list-l", do_list_l}, {"create4", create4},
                 {"many", many},        {"seqwrite", seqwrite}, {"seqread", seqread},  {"randwrite", randwrite},
                 {"randread", randread}};
    if (argc != 4)
        return fprintf(stderr, "usage: fsload DIR LOAD COUNT\n"), 2;
    need(chdir(argv[1]) == 0, argv[1]);
    memset(block, 'x', sizeof block);
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++)
        if (strcmp(loads[i].name, argv[2]) == 0) {
            double start = now_us();
            long done = loads[i].run(atol(argv[3]));
            if (done)
                printf("%.3f\n", (now_us() - start) / (double)done);
            return 0;
        }
    return fprintf(stderr, "fsload: there is no load '%s'\n", argv[2]), 2;
}

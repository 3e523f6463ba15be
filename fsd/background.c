#include "fsd/background.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Waits for the child's word, or its end. */
static void __attribute__((noreturn)) follow(pid_t child, int fd)
{
    char word;
    ssize_t got;
    do {
        got = read(fd, &word, 1);
    } while (got < 0 && errno == EINTR);
    if (got == 1)
        _exit(0);
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    _exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

int background_begin(struct background *background)
{
    int ends[2];
    background->ready_fd = -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    pid_t child = fork();
    if (child < 0) {
        int rc = -errno;
        close(ends[0]);
        close(ends[1]);
        return rc;
    }
    if (child > 0) {
        close(ends[1]);
        follow(child, ends[0]);
    }
    close(ends[0]);
    background->ready_fd = ends[1];
    setsid();
    return 0;
}

void background_ready(struct background *background)
{
    if (background->ready_fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    while (write(background->ready_fd, "", 1) < 0 && errno == EINTR)
        continue;
    close(background->ready_fd);
    background->ready_fd = -1;
}

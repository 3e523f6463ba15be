/* Going to the background, in such a way that the command ends when the mount is usable, and with its error if it never
 * becomes so (daemon(7), the traditional kind).
 *
 *   parent: background_begin ... waits ................................ exits: 0, or with the child's code
 *   child:  background_begin -> opens the store, mounts, serves INIT -> background_ready
 *
 * Nothing that a fork would break (a loop, threads) may exist before background_begin. Until background_ready the child
 * has the terminal, so its errors are seen.
 */
#ifndef KV_FSD_BACKGROUND_H
#define KV_FSD_BACKGROUND_H

struct background {
    int ready_fd; /* the child's end of the pipe; -1: none */
};

/* Returns in the child only; the parent exits from here. -errno: still in the foreground. */
int background_begin(struct background *background);

/* Lets the parent go, and the terminal. */
void background_ready(struct background *background);

#endif

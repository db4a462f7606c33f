/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compresses a file that is complete, piece by piece, for a thread that has other
 * things to do in between: PATH becomes PATH.zst, which is there whole or not at
 * all, and PATH goes when it is.
 */
#ifndef TCPSAGA_AGENT_PRESS_H
#define TCPSAGA_AGENT_PRESS_H

struct press;

/* NULL with errno. */
struct press *press__new(const char *path);

/* The next piece, a millisecond's work or so. 1: there is more; 0: PATH.zst is there;
 * -errno: it cannot be, and PATH stays. */
int press__step(struct press *press);

/* One that is not done leaves PATH as it was. May be NULL. */
void press__free(struct press *press);

#endif

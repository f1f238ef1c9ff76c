/* Pace: how fast this machine's memory is, ten times a second: nanoseconds of processor time for a step of a walk.
 *
 * Each step waits for the one before, in an order that no processor foresees, through more than its own caches hold.
 * What shares the processor's caches and its memory makes the steps longer, whoever it is: other guests of the host, too.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LINE = 16, LINES = 16 << 20 >> 6, STEPS = 3000 }; /* 16 MiB in lines of 64 bytes */

static double processor_ns(void) {
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * 1e9 + used.tv_nsec;
}

int main(void) {
    uint32_t *walk = malloc((size_t)LINES * LINE * sizeof *walk), *order = malloc(LINES * sizeof *order), at = 0;
    if (!walk || !order)
        return 1;
    for (uint32_t i = 0; i < LINES; i++)
        order[i] = i;
    for (uint32_t i = LINES - 1; i > 0; i--) {
        uint32_t j = (uint32_t)random() % (i + 1), moved = order[i];
        order[i] = order[j];
        order[j] = moved;
    }
    for (uint32_t i = 0; i < LINES; i++)
        walk[(size_t)order[i] * LINE] = order[(i + 1) % LINES];
    free(order);
    for (;;) {
        double began = processor_ns();
        for (int i = 0; i < STEPS; i++)
            at = walk[(size_t)at * LINE];
        printf("%.1f\n", (processor_ns() - began) / STEPS + (at == LINES)); /* so that the walk is not left out */
        if (fflush(stdout))
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    }
}
